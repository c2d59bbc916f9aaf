"""The scripts that fit the papers' published curves: their numbers are those of the papers and of closed forms."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtant.beb import theory
from seqtant.experiments.claims import check_claims, read_claims
from seqtant.experiments.records import Records
from seqtant.runs.recorder import Context
from seqtant.runs.store import Store
from seqtant.steering.theory import fit_bell, symmetric_loss

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def beb() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "recipes" / "beb" / "published_curves.py"))


@pytest.fixture(scope="module")
def steering() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "recipes" / "steering" / "published_curves.py"))


def test_lengths_of_the_paper(beb: dict[str, Any]) -> None:
    values = beb["refit"]("agreeableness").values
    assert values["paper_beta"] == pytest.approx(10.57, abs=0.01)
    assert values["paper_log_inverse_alpha"] == pytest.approx(29.95, abs=0.01)
    assert values["pretrained_beta"] == pytest.approx(1.78, abs=0.01)
    assert values["beta_prime_over_beta"] == pytest.approx(1.28, abs=0.01)
    assert values["halfway"] == pytest.approx(2.64, abs=0.01)
    assert values["halfway_slope"] == pytest.approx(3.53, abs=0.01)
    other = beb["refit"]("anti-immigration").values
    assert other["paper_beta"] == pytest.approx(5.81, abs=0.01)
    assert other["paper_ratio"] == pytest.approx(3.02, abs=0.01)
    assert other["halfway_guarded"] == pytest.approx(7.23, abs=0.01)
    assert other["sigma2"] == pytest.approx(75.75, abs=0.01)


def test_a_sigmoid_fit_finds_its_own_parameters(beb: dict[str, Any]) -> None:
    n = np.arange(1, 11)
    fit = beb["behavior_sigmoid"](n.tolist(), 1 / (1 + np.exp(0.7 * (n - 4.84))))
    assert fit.parameters == pytest.approx([4.84, 0.7], abs=1e-6)


def test_an_average_over_prompts_is_flatter_than_one_prompt(beb: dict[str, Any]) -> None:
    half_slope = beb["half_slope"]
    places = np.linspace(1, 30, 200)
    one, average = theory.sigmoid_weight(-18.0, 1.5, places), theory.expected_weight(-18.0, 1.5, 1.5, places)
    assert np.gradient(average, places).max() < 0.7 * np.gradient(one, places).max()
    center = theory.halfway(-18.0, 1.5)
    slope = np.gradient(np.log(average / (1 - average)), places)[np.argmin(abs(places - center))]
    assert slope == pytest.approx(half_slope(1.5, 1.5, center), rel=0.15)
    assert half_slope(10.57, math.sqrt(45.6), 2.64) == pytest.approx(10.57 / math.sqrt(1 + math.pi * 45.6 * 2.64 / 8))


def test_laws_of_steering(steering: dict[str, Any]) -> None:
    values = steering["refit"]().values
    assert values["curves"] == 8
    assert values["loss_ratio_log2"] == pytest.approx(1.97, abs=0.005)
    assert values["error_linear_quadratic"] == pytest.approx(0.0297, abs=5e-5)
    assert values["error_quadratic"] == pytest.approx(0.1349, abs=5e-5)


def test_the_authors_curves_lose_quadratically(steering: dict[str, Any]) -> None:
    """log2 D(2)/D(1): the study of the raw numbers gives a median of 2.01 over 12 curves; these are 8 of them."""
    orders = []
    for *_, scores in steering["CURVES"]:
        losses = symmetric_loss(steering["STRENGTHS"], np.array(scores))
        orders.append(np.log2(losses[2.0] / losses[1.0]))
    assert np.median(orders) == pytest.approx(2.01, abs=0.1)
    assert min(orders) > 1.6
    assert max(orders) < 2.45


def test_the_authors_base_model_has_the_bell_of_the_study(steering: dict[str, Any]) -> None:
    strengths = steering["STRENGTHS"]
    scores = next(part for *curve, part in steering["CURVES"] if curve == ["international_law", "harmful", "base"])
    inside = [index for index, value in enumerate(strengths) if abs(value) <= 5]
    fit = fit_bell([strengths[index] for index in inside], np.array(scores)[inside], 0.25)
    # The raw grid has 51 points in this window, the printed one 8: R2 .886 there.
    assert fit.r_squared == pytest.approx(0.886, abs=0.03)


def test_claims_of_a_script_are_read_from_its_kept_record_or_say_what_makes_it(tmp_path: Path) -> None:
    claims = [claim for claim in read_claims(only="steering") if claim.script]
    assert len(claims) == 3
    kept = check_claims(claims, Context(), Store(tmp_path / "runs.sqlite"), records=Records(ROOT / "results"))
    assert [entry.check.verdict for entry in kept] == ["reproduced"] * 3
    without = check_claims(claims, Context(), Store(tmp_path / "runs.sqlite"))
    assert [entry.check.verdict for entry in without] == ["not run"] * 3
    assert without[0].reason == "run recipes/steering/published_curves.py --keep"
