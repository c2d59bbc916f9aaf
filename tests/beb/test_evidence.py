"""Divergences and log-ratios per sentence against sums over all texts, and every way in which they can go wrong."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from seqtant.beb.prompts.divergence import compute_evidence
from seqtant.beb.prompts.sampling import Prompt, sample_prompts
from seqtant.errors import InputError
from seqtant.lm import MarkovLM, MixtureLM
from seqtant.lm.interface import CausalLM
from tests.beb.samples import BOS, MINUS, PLUS, STOP, Stops, chain


def test_two_sentences_against_enumeration() -> None:
    prompt = Prompt((BOS, 0, 1, STOP, 1, STOP), 1, (3, 5))
    (found,) = compute_evidence(MINUS, [PLUS], [prompt])
    expected = np.zeros((2, 2))
    for place in range(1, 6):
        sentence = 0 if place <= 3 else 1
        p, q = (model.forward(torch.tensor([prompt.ids[:place]]), keep=1).logits[0, 0].exp() for model in (MINUS, PLUS))
        for x in range(4):
            if p[x] > 0:
                expected[0, sentence] += float(p[x] * (p[x] / q[x]).log())
        expected[1, sentence] += float((p[prompt.ids[place]] / q[prompt.ids[place]]).log())
    assert found.divergence[0] == pytest.approx(expected[0], abs=1e-12)
    assert found.log_ratio[0] == pytest.approx(expected[1], abs=1e-12)


def test_the_opening_is_given_and_not_counted() -> None:
    whole, opened = Prompt((BOS, 0, STOP, 1, STOP), 1, (2, 4)), Prompt((BOS, 0, STOP, 1, STOP), 3, (4,))
    (first,), (second,) = compute_evidence(MINUS, [PLUS], [whole]), compute_evidence(MINUS, [PLUS], [opened])
    assert second.divergence[0, 0] == pytest.approx(first.divergence[0, 1], abs=1e-12)


def test_the_divergence_is_the_expected_log_ratio() -> None:
    """Over all texts of three letters and a stop: E log-ratio = E divergence, by the chain rule."""
    stopped = [[0.6, 0.4, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]]
    plus = [[0.2, 0.8, 0.0, 0.0], [0.3, 0.7, 0.0, 0.0]]
    sides = [MarkovLM([*rows, rows[0], rows[1]], bos_id=BOS) for rows in (stopped, plus)]
    ratio = divergence = 0.0
    for text in itertools.product((0, 1), repeat=3):
        ids = (BOS, *text)
        (found,) = compute_evidence(sides[0], [sides[1]], [Prompt(ids, 1, (3,))])
        prob = math.prod(
            float(sides[0].forward(torch.tensor([ids[:place]]), keep=1).logits[0, 0, ids[place]].exp())
            for place in range(1, 4)
        )
        ratio += prob * found.log_ratio[0, 0]
        divergence += prob * found.divergence[0, 0]
    assert ratio == pytest.approx(divergence, abs=1e-12)


def test_a_model_is_never_read_twice_and_sides_may_be_the_same() -> None:
    prompt = Prompt((BOS, 0, STOP), 1, (2,))
    first, second = compute_evidence(MINUS, [PLUS, PLUS], [prompt])
    assert np.array_equal(first.divergence, second.divergence)
    (none,) = compute_evidence(MINUS, [MINUS], [prompt])
    assert not none.divergence.any()


def test_an_infinite_divergence_is_refused_or_clamped_visibly() -> None:
    never = chain(0.0, 0.3)
    prompt = Prompt((BOS, 0, 1, STOP), 1, (3,))
    with pytest.raises(InputError, match=r"gives probability 0 .* set floor"):
        compute_evidence(MINUS, [never], [prompt])
    (clamped,) = compute_evidence(MINUS, [never], [prompt], floor=-30.0)
    # Only letter 0 after itself, of probability 0.6, has the floor; everything else counts as it is.
    after_start = 0.5 * math.log(0.5 / 0.3) + 0.5 * math.log(0.5 / 0.7)
    after_0 = 0.6 * (math.log(0.6) + 30) + 0.1 * math.log(0.1 / 0.7)
    after_1 = 0.5 * math.log(0.5 / 0.3) + 0.2 * math.log(0.2 / 0.4)
    assert clamped.divergence[0, 0] == pytest.approx(after_start + after_0 + after_1, abs=1e-9)


def test_the_end_of_the_text_is_left_out_of_all_distributions() -> None:
    """Sides that differ in nothing but how soon they end are not told apart."""
    rows = np.array([[0.4, 0.3, 0.2, 0.1], [0.3, 0.4, 0.2, 0.1], [0.5, 0.4, 0.0, 0.1], [0.5, 0.4, 0.0, 0.1]])
    sooner = rows.copy()
    sooner[:, 3] = 0.4
    sooner[:, :3] *= 0.6 / 0.9
    sides = [MarkovLM(table, bos_id=BOS) for table in (rows, sooner)]
    for side in sides:
        side.eos_id = 3
    (found,) = compute_evidence(sides[0], [sides[1]], [Prompt((BOS, 0, 1, STOP, 0, STOP), 1, (3, 5))])
    assert np.abs(found.divergence).max() < 1e-12
    assert np.abs(found.log_ratio).max() < 1e-12


@pytest.mark.parametrize("alpha", [1e-2, 1e-8, 1e-16])
def test_the_area_of_a_markov_mixture_is_log_inverse_alpha(alpha: float) -> None:
    mixture = MixtureLM([MINUS, PLUS], [math.log(alpha), math.log1p(-alpha)])
    drawn = sample_prompts(MINUS, [[BOS]] * 32, 90, Stops(), generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    (found,) = compute_evidence(MINUS, [mixture], drawn.prompts)
    assert found.log_ratio.sum(axis=1).mean() == pytest.approx(-math.log(alpha), rel=0.01)
    assert found.log_ratio.cumsum(axis=1).max() <= -math.log(alpha) + 1e-9


def test_prompts_hold_whole_sentences_and_never_end_early() -> None:
    rows = [[0.3, 0.2, 0.3, 0.2], [0.3, 0.2, 0.3, 0.2], [0.4, 0.4, 0.0, 0.2], [0.5, 0.5, 0.0, 0.0]]
    model = MarkovLM(rows, bos_id=3)
    model.eos_id = 3  # one sentence in five would be the last
    drawn = sample_prompts(model, [[3]] * 40, 12, Stops(), generator=torch.Generator().manual_seed(1))  # type: ignore[arg-type]
    assert drawn.dropped == 0
    for prompt in drawn.prompts:
        assert len(prompt.ends) == 12
        assert prompt.ids[-1] == STOP
        assert 3 not in prompt.ids[1:]
        assert prompt.upto(0) == (3,)
        assert prompt.upto(12) == prompt.ids


def test_prompts_that_do_not_fit_are_counted_and_too_many_are_refused() -> None:
    model = chain(0.6, 0.5)
    model.context_length = 34
    drawn = sample_prompts(model, [[BOS]] * 60, 7, Stops(), generator=torch.Generator().manual_seed(2))  # type: ignore[arg-type]
    assert 0 < drawn.dropped < 30
    assert len(drawn.prompts) == len(drawn.rows) == 60 - drawn.dropped
    assert max(len(prompt.ids) for prompt in drawn.prompts) <= 34
    with pytest.raises(InputError, match="do not fit into the 34 tokens"):
        sample_prompts(model, [[BOS]] * 20, 30, Stops(), generator=torch.Generator().manual_seed(2))  # type: ignore[arg-type]


def test_different_vocabularies_are_refused() -> None:
    other: CausalLM = MarkovLM([0.5, 0.5])
    with pytest.raises(InputError, match="no tokenizer"):
        compute_evidence(MINUS, [other], [Prompt((BOS, 0, STOP), 1, (2,))])
