"""Gains against exact probabilities, hand-made steps, and weights that come back to the bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtant.errors import InputError
from seqtant.lm import HuggingFaceLM, load
from seqtant.lm.oracles import MarkovLM
from seqtant.pretraining.evaluation.gain import TextPair, corpus_pairs, in_context_gains, measure_gains, story_pairs
from seqtant.reference import WorldLM, reference_world
from tests.pretraining.samples import topical_documents, write_jsonl


def tiny(dtype: torch.dtype = torch.float32) -> HuggingFaceLM:
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=40,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
        )
        return HuggingFaceLM(LlamaForCausalLM(config).to(dtype), name="tiny")


PAIRS = [
    TextPair(related=(5, 6, 7, 8), control=(9, 10, 11, 12), target=(5, 6, 7), start=(1,), cluster="a"),
    TextPair(related=(20, 21, 22), control=(30, 31, 32), target=(21, 22, 23, 24), start=(1,), cluster="b"),
]


def test_a_model_without_memory_gains_only_at_the_seam() -> None:
    """In a Markov chain the text before matters through its last token alone."""
    chain = MarkovLM.from_chain([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]])
    pair = TextPair(related=(0, 1), control=(1, 0), target=(1, 1), start=(chain.bos_id,))
    assert in_context_gains(chain, [pair])[0] == pytest.approx((math.log(0.8) - math.log(0.5)) / 2)
    assert in_context_gains(chain, [pair], related=False)[0] == pytest.approx((math.log(0.1) - math.log(0.5)) / 2)


def test_weights_come_back_to_the_bit_and_stay_frozen() -> None:
    model = tiny()
    before = {name: weight.clone() for name, weight in model.model.named_parameters()}
    measure_gains(model, PAIRS, (1e-3, 1e-1))
    for name, weight in model.model.named_parameters():
        assert torch.equal(weight, before[name]), name
        assert not weight.requires_grad


def test_sequential_gain_is_that_of_a_hand_made_step() -> None:
    model = tiny(torch.float64)
    found = measure_gains(model, PAIRS[:1], (1e-2,)).related_sequential[0, 0]
    other = tiny(torch.float64).model.requires_grad_(True)
    nll = lambda text: other(torch.tensor([[1, *text]]), labels=torch.tensor([[-100, *text]])).loss
    before = nll(PAIRS[0].target).item()
    nll(PAIRS[0].related).backward()
    weights = list(other.parameters())
    length = lambda tensors: math.sqrt(sum(float(t.square().sum()) for t in tensors))
    rate = 1e-2 * length([w.data for w in weights]) / length([w.grad for w in weights])
    with torch.no_grad():
        for weight in weights:
            weight.sub_(weight.grad, alpha=rate)
    assert found == pytest.approx(before - nll(PAIRS[0].target).item(), rel=1e-4)


def test_small_steps_gain_in_proportion() -> None:
    found = measure_gains(tiny(torch.float64), PAIRS, (1e-5, 1e-4)).related_sequential
    assert np.allclose(found[:, 1] / found[:, 0], 10, rtol=0.05)


def test_half_precision_is_refused() -> None:
    with pytest.raises(InputError, match="in half precision"):
        measure_gains(tiny(torch.bfloat16), PAIRS, (1e-3,))


def test_stories_tell_the_exact_world_what_it_needs() -> None:
    """Told where a thing lies, the answer's probability rises from 1/8 to the posterior of one faithful report."""
    oracle = WorldLM(reference_world())
    pairs = story_pairs(oracle, 6, np.random.default_rng(0))
    faithful, places = 0.95, 8
    stray = (1 - faithful) / (places - 1)
    told = faithful**2 + (places - 1) * stray**2
    per_token = (math.log(told) - math.log(1 / places)) / len(pairs[0].target)
    assert in_context_gains(oracle, pairs) == pytest.approx(per_token, rel=0.05)
    assert np.abs(in_context_gains(oracle, pairs, related=False)).max() < 0.03


def test_pairs_of_a_corpus_are_related_and_from_two_documents(tmp_path: Path) -> None:
    model = load("reference")
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(60))
    pairs = corpus_pairs(model, [str(corpus)], 20, np.random.default_rng(0), longest=5)
    assert len(pairs) == 20
    assert all(len(pair.target) <= 5 and pair.start == (model.bos_id,) for pair in pairs)


def test_a_corpus_without_related_segments_is_refused(tmp_path: Path) -> None:
    for text in ("One sentence of six words here.", "Too short."):
        corpus = write_jsonl(tmp_path / "corpus.jsonl", [text])
        with pytest.raises(InputError, match="give more text"):
            corpus_pairs(load("reference"), [str(corpus)], 8, np.random.default_rng(0))
