"""The choice of strength on trade-offs whose truth is known, and the fits it rests on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from seqtant.errors import InputError
from seqtant.steering.analysis import strength_search
from seqtant.steering.analysis.strength_search import (
    Budget,
    Choice,
    StrengthMeasurements,
    bracket,
    choose,
    operating_point,
)
from seqtant.steering.theory import LocalLaw, bell, fit_alignment, fit_bell, fit_local_law, loss_orders
from tests.steering.samples import Synthetic


def chosen(truth: Synthetic, budget: Budget, start: float = 0.05) -> Choice:
    observed = StrengthMeasurements(truth, lambda read: read.helpfulness.restricted)
    return choose(observed, budget, start, resamples=300, generator=np.random.default_rng(0))


def true_root(truth: Synthetic, budget: Budget) -> float:
    return brentq(lambda r: truth.loss(budget.side * r) - budget.share, 1e-6, 1000)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.10])
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("shape", [{}, {"linear": 0.01}, {"linear": -0.01}, {"quadratic": -1e-6}, {"quadratic": -4.0}])
def test_finds_the_strength_of_a_local_law(share: float, side: int, shape: dict[str, float]) -> None:
    truth, budget = Synthetic(**shape), Budget(share=share, side=side)  # type: ignore[arg-type]
    scale = (0.05 / abs(shape.get("quadratic", -0.01))) ** 0.5 / 8
    choice = chosen(truth, budget, start=scale)
    expected = side * true_root(truth, budget)
    assert choice.strength.value == pytest.approx(expected, rel=0.05)
    assert choice.strength.low is not None
    assert choice.strength.high is not None
    assert choice.strength.low <= choice.strength.value <= choice.strength.high
    assert choice.limited
    largest = max(abs(value) for value in truth.calls)
    assert abs(choice.strength.value) <= 2 * largest * 1.001, "never further than twice what was measured"


def test_quartic_growth_is_caught_by_measuring_where_the_law_points() -> None:
    """Extrapolation from |r| <= 2 overshoots; a law confirmed at its own root does not."""
    truth, budget = Synthetic(quadratic=-6e-4, quartic=-3e-5), Budget(share=0.05)
    naive = fit_local_law([-2.0, -1.0, 0.0, 1.0, 2.0], truth.probabilities([-2, -1, 0, 1, 2]).mean(axis=1), 0.0)
    expected = true_root(truth, budget)
    assert float(naive.strength(0.05, 1)) > 1.25 * expected
    assert chosen(truth, budget, start=0.5).strength.value == pytest.approx(expected, rel=0.10)


def test_a_root_that_misses_the_budget_by_a_third_is_fitted_again() -> None:
    """Between probe and root a quartic term takes over: the first root loses 1.4 budgets and must not be believed."""
    truth, budget = Synthetic(quadratic=-0.01, quartic=-0.0016), Budget(share=0.05)
    choice = chosen(truth, budget, start=1.118)
    assert truth.loss(choice.first) / 0.05 == pytest.approx(1.4, abs=0.1)
    assert choice.rounds == 1
    assert truth.loss(choice.strength.value) / 0.05 == pytest.approx(1.0, abs=0.1)


def test_items_needed_make_the_interval_as_wide_as_the_budget() -> None:
    """n such that 1.96 standard errors of the paired change of helpfulness are the budget times P_0."""
    truth, budget = Synthetic(quadratic=-0.02), Budget(share=0.05)
    truth.linear = 0.1 * np.random.default_rng(3).standard_normal(200)
    choice = chosen(truth, budget, start=0.2)
    largest = -min(choice.observed.strengths)  # of the law, which is fitted on both sides
    zero, changed = truth.probabilities([0.0, largest])
    n = choice.items_needed
    errors = [float(norm.ppf(0.975)) * (changed - zero).std(ddof=1) / count**0.5 for count in (n, n - 1)]
    assert errors[0] <= 0.05 * zero.mean() < errors[1]
    assert n > 10, "few items would not tell 1.96 from 1.64"


def test_a_first_probe_that_is_too_large_is_made_smaller() -> None:
    truth, budget = Synthetic(), Budget(share=0.02)
    assert chosen(truth, budget, start=40.0).strength.value == pytest.approx(true_root(truth, budget), rel=0.05)


def test_no_limit_gives_the_cap() -> None:
    rising = Synthetic(linear=0.02, quadratic=1e-6)
    choice = chosen(rising, Budget(share=0.05, cap=3.0))
    assert choice.strength.value == 3.0
    assert not choice.limited
    downhill = Budget(share=0.05, cap=3.0, side=-1)
    back = chosen(rising, downhill)
    assert back.limited
    assert back.strength.value == pytest.approx(-true_root(rising, downhill), rel=0.02)


def test_budget_above_chance_is_spent_sooner() -> None:
    truth = Synthetic()
    plain, above = (chosen(truth, Budget(share=0.1, floor=floor)).strength.value for floor in (0.0, 0.25))
    base = float(truth.base.mean())
    assert above < plain
    assert base * (1 - truth.loss(above)) - 0.25 == pytest.approx(0.9 * (base - 0.25), rel=0.01)


def test_helpfulness_below_chance_is_refused() -> None:
    with pytest.raises(InputError, match="not above chance"):
        chosen(Synthetic(), Budget(share=0.1, floor=0.99))


def test_interval_covers_the_truth_of_the_population() -> None:
    """Items drawn from one population: 95 % intervals hold its strength about that often."""
    population = Synthetic(items=20_000, quadratic=-0.02, seed=99)
    expected = true_root(population, Budget(share=0.05))
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        sample = Synthetic(items=80)
        picked = generator.integers(20_000, size=80)
        sample.base, sample.linear, sample.quadratic = (
            getattr(population, name)[picked] for name in ("base", "linear", "quadratic")
        )
        strength = chosen(sample, Budget(share=0.05), start=0.2).strength
        inside += (strength.low or 0) <= expected <= (strength.high or 0)
    assert inside >= 50, f"{inside} of 60 intervals hold the truth"


@pytest.mark.parametrize("side", [1, -1])
def test_operating_point_is_where_the_loss_is_the_budget(side: int) -> None:
    truth, budget = Synthetic(linear=0.004, quartic=-1e-4), Budget(share=0.05, side=side)
    observed = StrengthMeasurements(truth, lambda read: read.helpfulness.restricted)
    found = operating_point(observed, budget, 1.0, resamples=200, generator=np.random.default_rng(0))
    assert found is not None
    assert found.value == pytest.approx(side * true_root(truth, budget), rel=0.02)
    never = StrengthMeasurements(Synthetic(linear=0.02, quadratic=1e-6), lambda read: read.helpfulness.restricted)
    assert (
        operating_point(never, Budget(share=0.05, cap=5.0), 1.0, resamples=200, generator=np.random.default_rng(0))
        is None
    )
    assert bracket(observed, budget, 0.01) == pytest.approx(true_root(truth, budget), rel=0.02)


def test_local_law_recovers_its_coefficients_at_any_scale() -> None:
    for scale in (1e-3, 1.0, 1e4):
        places = scale * np.array([-1, -0.5, 0, 0.5, 1])
        values = 0.8 * np.exp(0.03 * places / scale - 0.2 * (places / scale) ** 2)
        law = fit_local_law(places, values, 0.0)
        assert float(law.linear) * scale == pytest.approx(0.03)
        assert float(law.quadratic) * scale**2 == pytest.approx(-0.2)


def test_curves_are_recovered_with_their_parameters() -> None:
    places = np.linspace(-300, 300, 15)
    fit = fit_alignment(places, np.tanh(0.01 * places - 0.4))
    assert fit.parameters == pytest.approx([0.01, -0.4], rel=1e-5)
    assert fit.r_squared == pytest.approx(1.0)
    shape = fit_bell(places, bell(places, 1.4, 0.02, floor=0.25), 0.25)
    assert shape.parameters == pytest.approx([0.02, 1.4], rel=1e-4)


def test_loss_order_of_known_powers() -> None:
    places = [-2.0, -1.0, 0.0, 1.0, 2.0]
    for power in (1, 2, 3):
        items = np.stack([np.full(40, 0.8 - 0.01 * abs(r) ** power) for r in places])
        orders = loss_orders(places, items, resamples=50, generator=np.random.default_rng(0))
        assert list(orders) == [2.0]
        assert orders[2.0].value == pytest.approx(power)


def test_a_root_is_measured_up_to_twice_the_reach_and_no_further() -> None:
    truth, budget = Synthetic(quadratic=-0.01), Budget(share=0.05)
    root = true_root(truth, budget)
    measured = StrengthMeasurements(truth, lambda read: read.helpfulness.restricted)
    for reach, trusted in ((root / 1.99, True), (root / 2.01, False)):
        assert strength_search._root_within_tolerance(measured, budget, root, reach) is trusted
    assert [value for value in truth.calls if value] == pytest.approx([root])


def test_the_local_law_is_quadratic_in_the_exponent() -> None:
    law = LocalLaw(np.array(-0.02), np.array(-0.003))
    # At r = 4: 1 - exp(-0.08 - 0.048).
    assert float(law.loss(4.0)) == pytest.approx(1 - np.exp(-0.128), abs=1e-15)
    assert float(law.loss(-4.0)) == pytest.approx(1 - np.exp(0.08 - 0.048), abs=1e-15)
    assert float(law.loss(float(law.strength(0.05, 1)))) == pytest.approx(0.05, abs=1e-12)
