"""Families that read a cache, padding or later tokens otherwise than most: found out, and scored rightly."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as tr

from seqtant.errors import InputError
from seqtant.lm.continuations import batch_continuation_log_probs, continuation_log_probs
from seqtant.lm.generation import Sampling, generate
from seqtant.lm.huggingface import Abilities, HuggingFaceLM
from seqtant.lm.layers import hidden_states, last_states
from seqtant.lm.loading import load
from seqtant.lm.probe import probe
from seqtant.lm.scoring import token_log_probs
from seqtant.steering.sweeping.sweep import plan_scoring, sweep_log_probs
from seqtant.steering.vectors.hooks import apply_steering
from seqtant.steering.vectors.vector import SteeringVector

SMALL = {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
JAMBA = {
    **SMALL,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "num_experts": 2,
    "num_experts_per_tok": 1,
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "expert_layer_period": 2,
    "expert_layer_offset": 1,
    "mamba_d_state": 8,
    "mamba_dt_rank": 4,
    "use_mamba_kernels": False,
}
BART = {
    "vocab_size": 300,
    "d_model": 64,
    "decoder_layers": 2,
    "encoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 96,
    "max_position_embeddings": 128,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
ROBERTA = {**SMALL, "intermediate_size": 96, "max_position_embeddings": 128, "pad_token_id": 1, "is_decoder": True}
MAMBA2 = {
    "vocab_size": 300,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "state_size": 8,
    "num_heads": 8,
    "head_dim": 16,
    "n_groups": 1,
    "chunk_size": 16,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
FALCON_H1 = {
    **SMALL,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "head_dim": 16,
    "mamba_d_ssm": 128,
    "mamba_n_heads": 8,
    "mamba_d_head": 16,
    "mamba_n_groups": 1,
    "mamba_d_state": 8,
    "mamba_chunk_size": 16,
}

MAKERS: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: tr.GPT2LMHeadModel(tr.GPT2Config(vocab_size=300, n_embd=64, n_layer=2, n_head=4, n_positions=64)),
    "jamba": lambda: tr.JambaForCausalLM(tr.JambaConfig(**JAMBA)),
    "bart": lambda: tr.BartForCausalLM(tr.BartConfig(**BART)),
    "roberta": lambda: tr.RobertaForCausalLM(tr.RobertaConfig(**ROBERTA)),
    "mamba2": lambda: tr.Mamba2ForCausalLM(tr.Mamba2Config(**MAMBA2)),
    "falcon-h1": lambda: tr.FalconH1ForCausalLM(tr.FalconH1Config(**FALCON_H1)),
    "openai-gpt": lambda: tr.OpenAIGPTLMHeadModel(
        tr.OpenAIGPTConfig(vocab_size=300, n_embd=64, n_layer=2, n_head=4, n_positions=64)
    ),
}
WANTED = {
    "gpt2": Abilities(branches=True),
    "jamba": Abilities(pieces=False),
    "bart": Abilities(padding=False),
    "openai-gpt": Abilities(steps=False, pieces=False),
}
"""What these families can do in transformers 5.23; of the others only that their numbers are right is held."""


def make(kind: str) -> HuggingFaceLM:
    torch.manual_seed(1)
    network = MAKERS[kind]().eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        if parameter.ndim >= 2:
            parameter.data.normal_(0, 0.15, generator=generator)
    return HuggingFaceLM(network)


@pytest.fixture(scope="module", params=list(MAKERS))
def model(request: pytest.FixtureRequest) -> HuggingFaceLM:
    model = make(request.param)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = probe(model)
    assert found == WANTED.get(request.param, found)
    return model


def truth(model: HuggingFaceLM, ids: list[int]) -> torch.Tensor:
    """Log-probability of each token after the first, from one plain call of the network."""
    with torch.no_grad():
        rows = model.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double().log_softmax(-1)
    return rows[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


IDS = torch.randint(3, 300, (40,), generator=torch.Generator().manual_seed(2)).tolist()


def test_scores_are_those_of_the_plain_network(model: HuggingFaceLM) -> None:
    whole, short = token_log_probs(model, [IDS[:30], IDS[5:18]])
    torch.testing.assert_close(whole, truth(model, IDS[:30]), atol=1e-4, rtol=0)
    torch.testing.assert_close(short, truth(model, IDS[5:18]), atol=1e-4, rtol=0)


def test_continuations_of_unlike_prefixes_are_those_of_the_plain_network(model: HuggingFaceLM) -> None:
    prefixes, ends = [IDS[:20], IDS[3:9]], [IDS[20:30], IDS[30:33], IDS[33:34]]
    found = batch_continuation_log_probs(model, prefixes, [ends, ends])
    for prefix, own in zip(prefixes, found, strict=True):
        for end, scores in zip(ends, own, strict=True):
            torch.testing.assert_close(scores, truth(model, prefix + end)[-len(end) :], atol=1e-4, rtol=0)
    (alone,) = continuation_log_probs(model, prefixes[0], ends[:1])
    torch.testing.assert_close(alone, found[0][0], atol=1e-4, rtol=0)


def test_greedy_tokens_do_not_depend_on_what_stands_beside_them(model: HuggingFaceLM) -> None:
    prompts = [IDS[:5], IDS[5:28], IDS[20:34]]
    made = generate(model, prompts, max_tokens=4, sampling=Sampling(temperature=0), stop_ids=[])
    for prompt, line in zip(prompts, made, strict=True):
        ids = list(prompt)
        for token in line.tokens:
            with torch.no_grad():
                logits = model.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
            # Where two tokens are equally likely to rounding, either will do.
            assert logits[token] >= logits.max() - 1e-3
            ids.append(token)


@pytest.mark.parametrize(
    "network",
    [
        lambda: tr.BertForMaskedLM(tr.BertConfig(**SMALL, intermediate_size=96)),
        lambda: tr.XLMWithLMHeadModel(tr.XLMConfig(vocab_size=300, emb_dim=64, n_layers=2, n_heads=4)),
    ],
    ids=["bert", "xlm"],
)
def test_a_network_that_looks_ahead_is_refused(network: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    made = network()
    for parameter in made.parameters():
        if parameter.ndim >= 2:
            parameter.data.normal_(0, 0.15)
    with pytest.raises(InputError, match="looks ahead: another last token moves the scores before it by"):
        load(made, tokenizer=False)


def test_a_wrapper_of_a_copy_reads_as_the_first_does() -> None:
    model = make("jamba")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probe(model)
    assert model.with_network(copy.deepcopy(model.model)).abilities == Abilities(pieces=False)


def test_where_no_cache_serves_one_lack_is_told() -> None:
    with pytest.warns(UserWarning, match="'OpenAIGPTLMHeadModel' cannot go on from its cache: it is read"):
        probe(make("openai-gpt"))


def test_what_a_family_lacks_is_told_once() -> None:
    model = make("jamba")
    with pytest.warns(UserWarning, match="rightly only one token at a time: it is read in slower ways"):
        probe(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probe(model)


def test_last_states_of_texts_that_begin_alike_are_those_of_each_alone(model: HuggingFaceLM) -> None:
    groups = [[IDS[:12], [*IDS[:11], IDS[20]]], [IDS[3:22], [*IDS[3:21], IDS[30]]]]
    found = last_states(model, groups, [1])
    alone = torch.cat([hidden_states(model, [text], [1]) for group in groups for text in group])
    torch.testing.assert_close(found, alone, atol=1e-4, rtol=1e-4)


def test_a_sweep_over_shared_prefixes_scores_as_steering_each_alone(model: HuggingFaceLM) -> None:
    width = model.model.get_input_embeddings().weight.shape[1]
    direction = torch.nn.functional.normalize(torch.randn(width, generator=torch.Generator().manual_seed(3)), dim=0)
    vector = SteeringVector(directions={0: direction})
    items = [(IDS[:14], [IDS[30:33], IDS[33:35]]), ([*IDS[:9], *IDS[20:23]], [IDS[30:33], IDS[35:37]])]
    swept = sweep_log_probs(model, vector, plan_scoring(model, items), [0.0, 1.5])
    for (prompt, continuations), scores in zip(items, swept, strict=True):
        for number, continuation in enumerate(continuations):
            for place, strength in enumerate((0.0, 1.5)):
                with apply_steering(model, vector, strength, allow_other_model=True):
                    wanted = truth(model, prompt + continuation)[-len(continuation) :].sum()
                assert scores[place, number] == pytest.approx(float(wanted), abs=1e-3)


def test_packed_continuations_have_the_logits_of_each_alone(model: HuggingFaceLM) -> None:
    if not model.abilities.branches:
        pytest.skip("this family reads continuations apart")
    lines = [IDS[18:23], IDS[30:31], IDS[18:30], IDS[18:21] + IDS[35:37], []]
    cache = model.forward(torch.tensor([IDS[:18]]), use_cache=True).cache
    found, paths = model.read_branches(cache, lines)
    assert len(found) == 1 + 12 + 2  # what lines begin with in common is read once
    for line, path in zip(lines, paths, strict=True):
        alone = model.model(torch.tensor([IDS[:18] + line])).logits[0, 18:]
        torch.testing.assert_close(found[path], alone, atol=1e-4, rtol=1e-4)
    assert cache.time == 18  # the cache that was given stays as it is
