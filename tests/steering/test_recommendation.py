"""The advised strength on trade-offs whose truth is known: the best measured one that keeps every budget, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtant.steering.analysis.recommendation import Coherence, best, compare_strengths
from seqtant.steering.analysis.strength_search import Budget, StrengthMeasurements, crossing
from seqtant.steering.applying.generation import Reply
from seqtant.steering.sweeping.bench import BehaviorScores, BenchScores
from tests.steering.samples import Synthetic


class Peaked(Synthetic):
    """Alignment rises up to a strength and falls again: log odds 2 a r - a r^2 / peak."""

    def __init__(self, *, peak: float, rise: float = 0.3, **shape: float) -> None:
        super().__init__(**shape)  # type: ignore[arg-type]
        self.peak, self.rise = peak, rise

    def odds_at(self, r: np.ndarray) -> np.ndarray:
        return 2 * self.rise * r - self.rise * r**2 / self.peak

    def __call__(self, strengths: Sequence[float]) -> BenchScores:
        scores = super().__call__(strengths)
        odds = self.odds_at(np.asarray(strengths))[:, None] + np.linspace(-0.5, 0.5, 8)
        good = [-np.log1p(np.exp(-odds[:, [i]])) for i in range(8)]
        bad = [-np.log1p(np.exp(odds[:, [i]])) for i in range(8)]
        return BenchScores(scores.strengths, BehaviorScores(scores.strengths, good, bad), scores.helpfulness)


def replies(loss: Callable[[float], float]) -> Coherence:
    """Four replies at every strength that lose so many nats per token."""
    return Coherence(
        lambda strengths: [Reply(n, r, "", -1.0 - n / 10 - loss(r), 1.0) for n in range(4) for r in strengths]
    )


def measurements(truth: Synthetic) -> StrengthMeasurements:
    found = StrengthMeasurements(truth, lambda scores: scores.helpfulness.restricted)
    found.add([])
    return found


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("peak", [1.0, 2.3, 3.9, 6.0])
def test_the_advice_is_the_peak_of_alignment_not_the_edge_of_the_budget(peak: float, side: int) -> None:
    truth = Peaked(peak=side * peak, rise=0.3, quadratic=-1e-5)
    found = compare_strengths(measurements(truth), replies(lambda r: 0.0), Budget(share=0.05, side=side), 4.0, 0.5)
    at = best(found)
    assert at is not None
    # The grid ends at a thirty-second of the edge; beyond the edge nothing is advised.
    assert at.strength == pytest.approx(side * min(peak, 4.0), abs=4.0 / 32 + 1e-9)
    start, there = (truth([r]).behavior.alignment.mean() for r in (0.0, at.strength))
    assert at.gain == pytest.approx(side * (there - start), abs=1e-12)
    assert at.loss == pytest.approx(truth.loss(at.strength), abs=1e-12)


def test_replies_that_fall_apart_end_the_range_even_where_later_ones_read_well() -> None:
    truth = Synthetic(quadratic=-1e-5)
    broken = replies(lambda r: 0.9 if 1.9 <= r < 3.0 else 0.1 * r)
    at = best(compare_strengths(measurements(truth), broken, Budget(share=0.05), 4.0, 0.5))
    assert at is not None
    assert at.strength == 1.875  # 2 falls apart; halves are tried between 1 and 2: 1.5, 1.75, 1.875
    assert at.incoherence == pytest.approx(0.1875)


def test_a_strength_that_spends_the_budget_is_not_advised() -> None:
    truth = Synthetic(quadratic=-0.02)  # 5 % are lost at 1.6
    at = best(compare_strengths(measurements(truth), replies(lambda r: 0.0), Budget(share=0.05), 4.0, 0.5))
    assert at is not None
    assert at.loss <= 0.055
    assert at.strength == pytest.approx(1.6, abs=0.25)


@pytest.mark.parametrize(("rise", "loss"), [(-0.3, 0.0), (0.3, 0.6)], ids=["alignment falls", "replies fall apart"])
def test_nothing_is_advised_where_nothing_gains_within_the_budgets(rise: float, loss: float) -> None:
    truth = Peaked(peak=100.0, rise=rise, quadratic=-1e-5)
    broken = replies(lambda r: loss if r else 0.0)
    assert best(compare_strengths(measurements(truth), broken, Budget(share=0.05), 4.0, 0.5)) is None


@settings(max_examples=40, deadline=None)
@given(
    linear=st.floats(-0.02, 0.02),
    quadratic=st.floats(-0.2, -0.001),
    share=st.floats(0.01, 0.3),
    side=st.sampled_from([1, -1]),
)
def test_a_crossing_is_that_of_the_local_law(linear: float, quadratic: float, share: float, side: int) -> None:
    truth = Synthetic(items=1, linear=linear, quadratic=quadratic)
    slope, curve = float(truth.linear[0]), float(truth.quadratic[0])
    # The positive root of Q r^2 + side L r = log(1 - share).
    root = max(np.roots([curve, side * slope, -np.log1p(-share)]).real)
    found = measurements(truth)
    found.add([side * root * factor for factor in (0.3, 0.7, 1.2)])
    assert crossing(found, Budget(share=share, side=side), share) == pytest.approx(root, rel=1e-9)


def test_a_crossing_far_beyond_what_was_measured_is_not_told() -> None:
    found = measurements(Synthetic(items=1, quadratic=-0.01))
    found.add([0.1, 0.2])
    assert crossing(found, Budget(share=0.05), 0.05) == float("inf")
