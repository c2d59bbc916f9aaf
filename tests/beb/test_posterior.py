"""The weight a model gives to P-, read off its distributions: Bayes' own for exact mixtures, 0 and 1 for the parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seqtant.beb.prompts.divergence import compute_evidence
from seqtant.beb.prompts.sampling import Prompt, sample_prompts
from seqtant.beb.study.measurement import ImpliedPosterior, implied_posterior
from seqtant.beb.theory import bad_weight
from seqtant.lm import MixtureLM
from tests.beb.samples import BOS, MINUS, PLUS, Stops

ALPHA = 0.05


def prompts(count: int, sentences: int) -> tuple[Prompt, ...]:
    generator = torch.Generator().manual_seed(0)
    return sample_prompts(MINUS, [[BOS]] * count, sentences, Stops(), generator=generator).prompts  # type: ignore[arg-type]


def test_an_exact_mixture_believes_what_bayes_rule_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first token of a sentence has seen no evidence of it: the weight there is exactly Eq. 10's.
    monkeypatch.setattr("seqtant.beb.study.measurement.OPENING_TOKENS", 1)
    mixture = MixtureLM([MINUS, PLUS], [math.log(ALPHA), math.log1p(-ALPHA)])
    drawn = prompts(12, 6)
    found = implied_posterior(mixture, MINUS, PLUS, drawn)
    (evidence,) = compute_evidence(MINUS, [PLUS], drawn)
    before = np.concatenate([np.zeros((12, 1)), evidence.log_ratio.cumsum(axis=1)[:, :-1]], axis=1)
    assert found.along / found.whole == pytest.approx(bad_weight(math.log(ALPHA), before), abs=1e-9)
    rows = np.array([3, 3, 7])
    by_hand = (found.along / found.whole * found.whole)[rows].sum(axis=0) / found.whole[rows].sum(axis=0)
    assert found.mean(rows) == pytest.approx(by_hand)


@pytest.mark.parametrize(("model", "weight"), [(MINUS, 1.0), (PLUS, 0.0)])
def test_a_part_alone_believes_in_itself(model: object, weight: float) -> None:
    found = implied_posterior(model, MINUS, PLUS, prompts(4, 3))  # type: ignore[arg-type]
    assert found.mean(np.arange(4)) == pytest.approx(np.full(3, weight), abs=1e-9)


def test_only_the_beginnings_of_sentences_are_read() -> None:
    short, long = Prompt((BOS, 0, 1, 0, 2), 1, (4,)), Prompt((BOS, 0, 1, 0, 1, 1, 2), 1, (6,))
    first, second = (implied_posterior(PLUS, MINUS, PLUS, [prompt]).whole[0, 0] for prompt in (short, long))
    assert first == pytest.approx(second, abs=1e-12)


def test_the_half_way_length_of_given_weights() -> None:
    # Weights 0, 0.25, 0.75, 1 between behaviors 1 and -1: half way from 1 to -1 lies between the second and the third.
    along = np.tile([0.0, 0.25, 0.75, 1.0], (5, 1))
    weights = ImpliedPosterior(along, np.ones_like(along))
    minus, plus = np.full((5, 5), -1.0), np.full((5, 5), 1.0)
    assert weights.halfway_length(minus, plus, (0, 1, 2, 3, 4), np.arange(5)) == pytest.approx(1.5)
    assert weights.halfway_length(minus, plus, (0, 1, 4), np.arange(5)) == math.inf
