"""Differences of two runs, held against scipy's own tests and against simulated coverage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from seqtant.errors import InputError
from seqtant.findings import Estimate, Finding, Measurement, Result
from seqtant.runs.compare import Difference, compare, difference_of_estimates


def run(id: str, **fields: Any) -> Result:
    base = {"instrument": "demo.half", "title": "", "id": id, "created": "", "config": {}, "config_hash": ""}
    return Result(**base | fields)


def rows(values: np.ndarray, *, key: str = "loss", first_seed: int = 0) -> tuple[Measurement, ...]:
    """One row per seed (rows of ``values``) and step (its columns)."""
    return tuple(
        Measurement(key=key, value=value, step=step, seed=first_seed + seed, unit="nats")
        for seed, line in enumerate(values)
        for step, value in enumerate(line)
    )


def only(first: Result, second: Result, **options: Any) -> Difference:
    (difference,) = compare(first, second, **options).differences
    return difference


def finding(value: float, low: float, high: float, verdict: Any = "agrees") -> tuple[Finding, ...]:
    estimate = Estimate(value=value, low=low, high=high, method="t")
    return (Finding(key="depth", question="", verdict=verdict, summary="", measured=estimate),)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_paired_rows_give_the_interval_of_the_paired_t_test(level: float) -> None:
    generator = np.random.default_rng(0)
    before = generator.normal(size=(7, 4)) + 10 * generator.normal(size=(7, 1))
    after = before + 0.5 + 0.1 * generator.normal(size=(7, 4))
    found = only(run("a", measurements=rows(before)), run("b", measurements=rows(after)), level=level)
    test = stats.ttest_rel(after.mean(axis=1), before.mean(axis=1))
    interval = test.confidence_interval(level)
    assert found.difference.value == pytest.approx(after.mean() - before.mean())
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
    assert (found.difference.n, found.difference.clusters) == (28, 7)
    assert found.difference.method == "paired Student t"
    assert found.difference.unit == "nats"


def test_order_of_rows_does_not_matter_and_rows_without_a_partner_are_left_out() -> None:
    values = np.random.default_rng(1).normal(size=(4, 3))
    before, after = rows(values), rows(values + 1)
    lonely = (Measurement(key="loss", value=1e9, step=99, seed=0),)
    shuffled = (*reversed(after), *lonely)
    found = only(run("a", measurements=before), run("b", measurements=shuffled))
    assert found.difference.value == pytest.approx(1)
    assert found.difference.n == 12


def test_rows_that_do_not_pair_give_welchs_interval() -> None:
    generator = np.random.default_rng(2)
    before, after = generator.normal(size=(6, 3)), 2 + 3 * generator.normal(size=(9, 3))
    second = run("b", measurements=rows(after, first_seed=100))
    found = only(run("a", measurements=rows(before)), second)
    test = stats.ttest_ind(after.mean(axis=1), before.mean(axis=1), equal_var=False)
    interval = test.confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
    assert found.difference.method == "Welch t"


def test_groups_are_the_clusters_where_there_is_one_seed() -> None:
    values = np.random.default_rng(3).normal(size=(5, 6))
    shift = np.arange(5)[:, None]
    before, after = (
        tuple(
            Measurement(key="loss", value=value, step=step, seed=0, group=f"prompt {group}")
            for group, line in enumerate(part)
            for step, value in enumerate(line)
        )
        for part in (values, values + shift)
    )
    found = only(run("a", measurements=before), run("b", measurements=after))
    interval = stats.ttest_1samp(shift.ravel(), 0).confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
    assert found.difference.clusters == 5


def test_steps_of_one_run_are_no_sample() -> None:
    values = np.random.default_rng(4).normal(size=(1, 50))
    found = only(run("a", measurements=rows(values)), run("b", measurements=rows(values + 1)))
    assert found.difference.value == pytest.approx(1)
    assert found.difference.interval == ""
    assert "no sample" in found.difference.method


def test_estimates_are_compared_through_their_intervals() -> None:
    found = only(run("a", findings=finding(10, 9, 12)), run("b", findings=finding(15, 13, 16)))
    assert found.quantity == "depth, measured"
    assert found.difference.value == 5
    assert found.difference.low == pytest.approx(5 - math.hypot(2, 2))
    assert found.difference.high == pytest.approx(5 + math.hypot(1, 1))


def test_symmetric_intervals_of_normal_means_give_the_z_interval() -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for _ in range(4000):
        sides = []
        for mean, error in ((1.0, 0.3), (1.5, 0.7)):
            value = generator.normal(mean, error)
            sides.append(Estimate(value=value, low=value - 1.96 * error, high=value + 1.96 * error, method="z"))
        found = difference_of_estimates(*sides)
        assert found.high - found.value == pytest.approx(1.96 * math.hypot(0.3, 0.7))
        covered += found.low <= 0.5 <= found.high
    assert 0.94 < covered / 4000 < 0.96


@pytest.mark.parametrize(
    ("first", "second", "interval"),
    [
        (Estimate.exact(2), Estimate.exact(5), "exact"),
        (Estimate.exact(2), Estimate(value=5, low=4, high=7, method="t"), "[2.0, 5.0]"),
        (Estimate(value=2, method="none"), Estimate(value=5, low=4, high=7, method="t"), ""),
        (Estimate(value=2, low=1, high=3, level=0.9, method="t"), Estimate(value=5, low=4, high=7, method="t"), ""),
        (Estimate(value=2, low=1, method="bound"), Estimate(value=5, low=4, high=7, method="t"), ""),
    ],
)
def test_what_interval_two_estimates_allow(first: Estimate, second: Estimate, interval: str) -> None:
    found = difference_of_estimates(first, second)
    assert found.value == 3
    assert (found.method if found.is_exact else found.interval) == interval


def test_values_and_infinities() -> None:
    first = run("a", values={"depth": 10, "bound": math.inf, "gone": 1, "none": None})
    second = run("b", values={"depth": 14, "bound": math.inf, "none": 3})
    found = {each.quantity: each.difference.value for each in compare(first, second).differences}
    assert found == {"depth": 4, "bound": 0}


def test_settings_that_differ_are_listed_by_dotted_name() -> None:
    first = run("a", config={"model": {"depth": 2, "width": 8}, "seeds": [0]}, values={"x": 1}, seed=1)
    second = run("b", config={"model": {"depth": 4, "width": 8}, "seeds": [0, 1], "new": True}, values={"x": 1}, seed=1)
    assert compare(first, second).settings == (
        ("model.depth", 2, 4),
        ("seeds", "[0]", "[0, 1]"),
        ("new", "not set", True),
    )
    names = [table.name for table in compare(first, second).tables()]
    assert names == ["settings", "differences"]
    assert [table.name for table in compare(first, first).tables()] == ["differences"]


def test_parts_are_compared_by_instrument() -> None:
    first = run("a", instrument="checkup", parts=(run("c", values={"x": 1}), run("d", instrument="other.one")))
    second = run("b", instrument="checkup", parts=(run("e", values={"x": 3}),))
    assert [(each.quantity, each.difference.value) for each in compare(first, second).differences] == [
        ("demo.half: x", 2)
    ]


def test_nothing_in_common_is_said() -> None:
    with pytest.raises(InputError, match=r"'a' \(demo.half\) and 'b' \(demo.third\) have no quantity in common"):
        compare(run("a", values={"x": 1}), run("b", instrument="demo.third", values={"y": 1}))
