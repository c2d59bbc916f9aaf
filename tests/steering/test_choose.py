"""The numbers of a choice beside the strength itself: both sides, guarantee, law, layers, units, the usable range."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seqtant.findings import Estimate
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.loading import load
from seqtant.steering import BehaviorPrompt, SteeringVector, choose_strength
from seqtant.steering.analysis.verification import edge_verdict
from seqtant.steering.inputs import fact_questions, mood_questions, persona_pairs
from seqtant.steering.instruments.choose import split_in_halves
from seqtant.steering.sweeping.bench import Bench, usable_range
from tests.steering.samples import Synthetic

Rows = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> Rows:
    generator = np.random.default_rng(2)
    return {"behavior": mood_questions(8, generator), "helpfulness": fact_questions(24, generator)}


@pytest.fixture(scope="module")
def shipped() -> HuggingFaceLM:
    """The model that ships: a network with random weights has neither alignment to gain nor coherence to lose."""
    return load("reference", device="cpu")


@pytest.fixture(scope="module")
def vector(shipped: HuggingFaceLM) -> SteeringVector:
    return SteeringVector.extract(shipped, persona_pairs(24, np.random.default_rng(1)), layers=[1, 2])


@pytest.mark.parametrize("side", [1, -1])
def test_the_other_side_of_a_vector_is_the_vector_turned_round(
    side: int, shipped: HuggingFaceLM, vector: SteeringVector, rows: Rows
) -> None:
    """Steering by -r along v with good and bad exchanged is steering by r along -v: every number follows."""
    turned = SteeringVector({layer: -direction for layer, direction in vector.directions.items()}, vector.facts)
    swapped = [BehaviorPrompt(each.prompt, each.bad, each.good) for each in rows["behavior"]]
    options: Rows = {"helpfulness": rows["helpfulness"], "resamples": 100, "device": "cpu", "budget": 0.1}
    one = choose_strength(shipped, vector, behavior=rows["behavior"], side=side, **options).values
    other = choose_strength(shipped, turned, behavior=swapped, side=-side, **options).values
    same = (
        "expected_loss",
        "measured_loss",
        "incoherence",
        "divergence",
        "expected_gain",
        "measured_gain",
        "edge_loss",
    )
    signed = ("strength", "edge", "measured_alignment", "guaranteed_alignment", "alignment_at_zero", "operating_point")
    margins = ("worst_margin", "mean_gap", "slope")
    assert one["strength"] is not None
    for name in same + margins:
        assert other[name] == pytest.approx(one[name], rel=1e-3, abs=1e-6), name
    for name in signed:
        assert other[name] == pytest.approx(-one[name], rel=1e-3, abs=1e-6), name


@pytest.mark.parametrize("side", [1, -1])
def test_the_guarantee_bounds_what_is_measured(
    side: int, shipped: HuggingFaceLM, vector: SteeringVector, rows: Rows
) -> None:
    """Theorem 1 with the margins of the same prompts at the same strength: from below, or from above for -1."""
    found = choose_strength(shipped, vector, **rows, side=side, budget=0.1, resamples=100, device="cpu")
    values = found.values
    assert side * values["strength"] > 0
    assert side * values["guaranteed_alignment"] <= side * values["measured_alignment"] + 1e-9
    assert side * (values["measured_alignment"] - values["alignment_at_zero"]) == pytest.approx(values["measured_gain"])
    (margin,) = (a for f in found.findings if f.key == "alignment" for a in f.assumptions)
    assert margin.status == ("holds" if values["worst_margin"] > 0 else "fails")


def test_law_refit_and_final_check_are_told_apart(shipped: HuggingFaceLM, vector: SteeringVector, rows: Rows) -> None:
    found = choose_strength(shipped, vector, **rows, budget=0.05, resamples=100, device="cpu")
    verdicts = {finding.key: finding.verdict for finding in found.findings}
    assert list(verdicts)[:3] == ["strength", "edge", "law"]
    error = found.values["law_error_5"]
    assert verdicts["law"] == ("agrees" if abs(error) <= 0.1 else "disagrees")
    (table,) = (each for each in found.tables if each.name == "law")
    assert [row[0] for row in table.rows] == [0.02, 0.05, 0.1]
    told, measured = table.rows[1][1:3]
    assert error == pytest.approx(told / measured - 1, abs=1e-3)


def test_the_predicted_alignment_is_the_s_curve_with_the_slope_at_0(
    shipped: HuggingFaceLM, vector: SteeringVector, rows: Rows
) -> None:
    values = choose_strength(shipped, vector, **rows, resamples=100, device="cpu").values
    _, held_out = split_in_halves(Bench(shipped, vector, rows["behavior"], rows["helpfulness"]), 0)
    step = 0.5
    low, start, high = held_out.score_behavior([-step, 0.0, step]).alignment
    odds = np.arctanh(start) + values["strength"] * (high - low) / (2 * step) / (1 - start**2)
    assert values["predicted_alignment"] == pytest.approx(float(np.tanh(odds).mean()), abs=2e-4)


@pytest.mark.parametrize(("measured", "verdict"), [
    (Estimate(value=91.0, low=90.9, high=91.1), "agrees"),
    (Estimate(value=112.0, low=111.0, high=113.0), "disagrees"),
    (Estimate(value=112.0, low=100.5, high=113.0), "inconclusive"),
    (None, "inconclusive"),
])  # fmt: skip
def test_halves_agree_within_a_tenth(measured: Estimate | None, verdict: str) -> None:
    choice: Any = SimpleNamespace(limited=True, strength=Estimate(value=100.0, low=99.0, high=101.0))
    assert edge_verdict(choice, measured) == verdict
    assert edge_verdict(SimpleNamespace(limited=False), measured) == "vacuous"  # type: ignore[arg-type]


def test_layers_that_work_are_named_where_those_asked_for_do_not(
    shipped: HuggingFaceLM, vector: SteeringVector, rows: Rows
) -> None:
    half = SteeringVector({1: -vector.directions[1], 2: vector.directions[2]}, vector.facts)
    found = choose_strength(shipped, half, layers=[1], **rows, resamples=100, device="cpu")
    assert found.values["strength"] is None
    assert found.findings[0].verdict == "disagrees"
    assert "it gains at --layers 2" in found.findings[0].advice
    (table,) = (each for each in found.tables if each.name == "layers")
    assert {row[0]: row[1] is not None for row in table.rows} | {"1,2": None} == {
        "1": False,
        "2": True,
        "1,2": None,
    }


def test_the_best_choice_of_blocks_is_taken(shipped: HuggingFaceLM, vector: SteeringVector, rows: Rows) -> None:
    found = choose_strength(shipped, vector, layers="auto", **rows, resamples=100, device="cpu")
    (table,) = (each for each in found.tables if each.name == "layers")
    assert {row[0] for row in table.rows} == {"1", "2", "1,2"}
    gains = [row[2] or -1 for row in table.rows]
    assert gains == sorted(gains, reverse=True)
    # Chosen at the edge of the law, told at the edge that was measured: grids differ a little.
    assert found.values["expected_gain"] == pytest.approx(gains[0], abs=0.01)
    assert f"--layers {table.rows[0][0]}" in found.findings[0].advice


def test_strengths_are_told_in_hidden_norms(shipped: HuggingFaceLM, vector: SteeringVector, rows: Rows) -> None:
    values = choose_strength(shipped, vector, **rows, resamples=100, device="cpu").values
    norms = [vector.facts[layer].hidden_norm for layer in (1, 2)]
    assert values["strength_in_hidden_norms"] == pytest.approx(values["strength"] / np.mean(norms))


def test_the_usable_range_ends_where_the_share_is_lost() -> None:
    truth = Synthetic(quadratic=-0.3)
    bench: Any = SimpleNamespace(hidden_norm=1.0, score_helpfulness=lambda strengths: truth(strengths).helpfulness)
    reach = usable_range(bench, 0.2, "restricted")
    assert (truth.loss(reach) + truth.loss(-reach)) / 2 == pytest.approx(0.2, abs=0.03)
    flat: Any = SimpleNamespace(hidden_norm=2.0, score_helpfulness=lambda r: Synthetic(quadratic=-1e-9)(r).helpfulness)
    assert usable_range(flat, 0.2, "restricted") == 8.0, "four hidden norms are the end"
