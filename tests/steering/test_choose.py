"""The numbers of a choice beside the strength itself: the predicted curve, the verdict, the units, the usable range."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seqtant.findings import Estimate
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.steering import Budget, ContrastPair, SteeringVector, StrengthMeasurements, choose, choose_strength
from seqtant.steering.config import ChooseConfig
from seqtant.steering.inputs import fact_questions, mood_questions
from seqtant.steering.instruments.choose import _expected_alignment, _verdict
from seqtant.steering.sweeping.bench import usable_range
from tests.steering.samples import Synthetic


def test_the_curve_of_alignment_has_the_slope_of_the_truth() -> None:
    truth = Synthetic(quadratic=-0.1, odds=1.5)
    measured = StrengthMeasurements(truth, lambda scores: scores.helpfulness.restricted)
    generator = np.random.default_rng(0)
    choice = choose(measured, Budget(share=0.02), 0.1, resamples=100, generator=generator)
    config = ChooseConfig(positions="generated", resamples=100)
    expected = _expected_alignment(config, None, choice, generator)  # type: ignore[arg-type]
    # B = tanh((0.3 r + odds) / 2) of each prompt.
    odds = 1.5 + np.linspace(-0.5, 0.5, 8)
    assert expected.slope == pytest.approx(float((0.15 * (1 - np.tanh(odds / 2) ** 2)).mean()), rel=0.02)
    there = float(np.tanh((0.3 * choice.strength.value + odds) / 2).mean())
    assert expected.predicted.value == pytest.approx(there, abs=1e-3)
    assert expected.mean_gap == pytest.approx(0.3, rel=1e-6)
    assert expected.worst_margin == pytest.approx(0.3, rel=1e-6)


@pytest.mark.parametrize(("measured", "verdict"), [
    (Estimate(value=91.0, low=90.9, high=91.1), "agrees"),
    (Estimate(value=112.0, low=111.0, high=113.0), "disagrees"),
    (Estimate(value=112.0, low=100.5, high=113.0), "inconclusive"),
    (None, "inconclusive"),
])  # fmt: skip
def test_a_choice_agrees_within_a_tenth(measured: Estimate | None, verdict: str) -> None:
    choice: Any = SimpleNamespace(limited=True, strength=Estimate(value=100.0, low=99.0, high=101.0))
    assert _verdict(choice, measured) == verdict
    assert _verdict(SimpleNamespace(limited=False), measured) == "vacuous"  # type: ignore[arg-type]


def test_strengths_are_told_in_hidden_norms(model: HuggingFaceLM, pairs: list[ContrastPair]) -> None:
    vector = SteeringVector.extract(model, pairs, layers=[1, 2])
    generator = np.random.default_rng(2)
    rows: dict[str, Any] = {"behavior": mood_questions(6, generator), "helpfulness": fact_questions(12, generator)}
    values = choose_strength(model, vector, **rows, resamples=100, device="cpu").values
    norms = [vector.facts[layer].hidden_norm for layer in (1, 2)]
    assert values["strength_in_hidden_norms"] == pytest.approx(values["strength"] / np.mean(norms))


def test_the_usable_range_ends_where_the_share_is_lost() -> None:
    truth = Synthetic(quadratic=-0.3)
    bench: Any = SimpleNamespace(hidden_norm=1.0, score_helpfulness=lambda strengths: truth(strengths).helpfulness)
    reach = usable_range(bench, 0.2, "restricted")
    assert (truth.loss(reach) + truth.loss(-reach)) / 2 == pytest.approx(0.2, abs=0.03)
    flat: Any = SimpleNamespace(hidden_norm=2.0, score_helpfulness=lambda r: Synthetic(quadratic=-1e-9)(r).helpfulness)
    assert usable_range(flat, 0.2, "restricted") == 8.0, "four hidden norms are the end"
