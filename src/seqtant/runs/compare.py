"""Two runs side by side: what was set differently, and by how much the numbers differ, with intervals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

from seqtant.errors import InputError
from seqtant.findings import Cell, Estimate, Finding, Measurement, Result, Table, format_number

_Cells = dict[tuple[Any, ...], float]
_MISSING = "not set"
_PLAIN = "headline number"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One quantity in both runs."""

    quantity: str
    """What it is: a value, the predicted or measured side of a finding, or the mean of raw rows."""
    first: float
    second: float
    difference: Estimate
    """Second minus first."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs side by side."""

    first: Result
    second: Result
    settings: tuple[tuple[str, Cell, Cell], ...]
    """Dotted name, value in the first run, value in the second: only where they differ."""
    differences: tuple[Difference, ...]

    def tables(self) -> list[Table]:
        """The comparison for people: settings that differ (if any do) and differences."""
        changed = [each for each in self.differences if each.difference.method != _PLAIN or each.difference.value]
        same = len(self.differences) - len(changed)
        shown = [
            Table(
                name="differences",
                title="Second minus first",
                columns=("quantity", "first", "second", "difference", "method"),
                rows=tuple(_row(each) for each in changed),
                note=f"{same} headline numbers are the same in both." if same else "",
            )
        ]
        if self.settings:
            columns = ("setting", "first", "second")
            settings = Table(name="settings", title="Set differently", columns=columns, rows=self.settings)
            shown.insert(0, settings)
        return shown


def _row(each: Difference) -> tuple[Cell, ...]:
    estimate = each.difference
    difference = f"{estimate.number} {estimate.interval}".rstrip()
    method = None if estimate.method == _PLAIN else estimate.basis
    return each.quantity, format_number(each.first), format_number(each.second), difference, method


def compare(first: Result, second: Result, *, level: float = 0.95) -> Comparison:
    """Compares two runs.

    Raw rows that share key, step, seed and group are compared pair by pair, which removes what both runs have in
    common; the interval is Student's over independent clusters (seeds, or groups where there is one seed). Where no
    rows pair, the difference of the two means gets Welch's interval. Estimates in findings are compared by the method
    of variance estimates recovery (Zou and Donner 2008, Statistics in Medicine 27, 1693), which needs only the two
    intervals and takes the runs as independent.

    Args:
        first: The run to compare with.
        second: The run that is compared.
        level: Coverage of the intervals made from raw rows.

    Raises:
        InputError: The runs have no quantity in common.
    """
    differences = tuple(_differences(first, second, level, ""))
    if not differences:
        raise InputError(
            f"runs '{first.id}' ({first.instrument}) and '{second.id}' ({second.instrument}) have no quantity in common"
        )
    return Comparison(first=first, second=second, settings=tuple(_settings(first, second)), differences=differences)


def _settings(first: Result, second: Result) -> Iterator[tuple[str, Cell, Cell]]:
    facts = [
        {"instrument": run.instrument, "seed": run.seed, "seqtant": run.environment.get("seqtant", "")}
        | flat(run.config)
        for run in (first, second)
    ]
    for key in dict.fromkeys([*facts[0], *facts[1]]):
        before, after = facts[0].get(key, _MISSING), facts[1].get(key, _MISSING)
        if before != after:
            yield key, cell(before), cell(after)


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name.

    Example:
        >>> flat({"model": {"depth": 2}, "seed": 0})
        {'model.depth': 2, 'seed': 0}
    """
    named: dict[str, Any] = {}
    for key, value in data.items():
        nested = isinstance(value, Mapping) and value
        named |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return named


def cell(value: Any) -> Cell:
    """A setting as a table cell."""
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _differences(first: Result, second: Result, level: float, prefix: str) -> Iterator[Difference]:
    findings = {finding.key: finding for finding in second.findings}
    for before in first.findings:
        if before.key in findings:
            yield from _finding(before, findings[before.key], prefix)
    for key, before in first.values.items():
        after = second.values.get(key)
        if before is not None and after is not None:
            yield _value(prefix + key, before, after)
    rows = {key: [m for m in second.measurements if m.key == key] for key in {m.key for m in second.measurements}}
    for key in dict.fromkeys(m.key for m in first.measurements if m.key in rows):
        yield _measured(prefix + key, first.series(key), rows[key], level)
    others = {part.instrument: part for part in second.parts}
    for part in first.parts:
        if part.instrument in others:
            yield from _differences(part, others[part.instrument], level, f"{prefix}{part.instrument}: ")


def _finding(before: Finding, after: Finding, prefix: str) -> Iterator[Difference]:
    sides = (("predicted", before.predicted, after.predicted), ("measured", before.measured, after.measured))
    for side, first, second in sides:
        if first is not None and second is not None:
            yield Difference(
                quantity=f"{prefix}{before.key}, {side}",
                first=first.value,
                second=second.value,
                difference=difference_of_estimates(first, second),
            )


def _value(quantity: str, before: float, after: float) -> Difference:
    change = Estimate(value=_minus(after, before), method=_PLAIN)
    return Difference(quantity=quantity, first=before, second=after, difference=change)


def _minus(after: float, before: float) -> float:
    """After minus before; two equal infinities differ by nothing."""
    return 0.0 if after == before else after - before


def difference_of_estimates(first: Estimate, second: Estimate) -> Estimate:
    """Second minus first, from their intervals alone; the two are taken as independent.

    Example:
        >>> a = Estimate(value=1.0, low=0.7, high=1.3, method="t")
        >>> b = Estimate(value=3.0, low=2.6, high=3.4, method="t")
        >>> print(difference_of_estimates(a, b))
        2.0 [1.5, 2.5] (95 %, independent runs)
    """
    value = _minus(second.value, first.value)
    if first.is_exact and second.is_exact:
        return Estimate.exact(value, second.unit)
    ends = (first.low, first.high, second.low, second.high)
    if any(end is None or not math.isfinite(end) for end in ends) or first.level != second.level:
        return Estimate(value=value, method="one side has no interval of that level", unit=second.unit)
    low1, high1, low2, high2 = (float(end) for end in ends if end is not None)
    below = math.hypot(second.value - low2, high1 - first.value)
    above = math.hypot(high2 - second.value, first.value - low1)
    return Estimate(
        value=value,
        low=value - below,
        high=value + above,
        level=second.level,
        method="independent runs",
        unit=second.unit,
    )


def _measured(quantity: str, before: Sequence[Measurement], after: Sequence[Measurement], level: float) -> Difference:
    first, second = _means_by_cell(before), _means_by_cell(after)
    shared = [cell for cell in first if cell in second]
    unit = after[0].unit
    if shared:
        first, second = ({cell: cells[cell] for cell in shared} for cells in (first, second))
        estimate = _paired({cell: second[cell] - first[cell] for cell in shared}, level, unit)
    else:
        estimate = _unpaired(first, second, level, unit)
    return Difference(
        quantity=f"{quantity}, mean of {'pairs' if shared else 'rows'}",
        first=fmean(_clusters(first)),
        second=fmean(_clusters(second)),
        difference=estimate,
    )


def _means_by_cell(rows: Sequence[Measurement]) -> _Cells:
    cells: defaultdict[tuple[Any, ...], list[float]] = defaultdict(list)
    for row in rows:
        cells[row.seed, row.group, row.step].append(row.value)
    return {cell: fmean(values) for cell, values in cells.items()}


def _clusters(cells: _Cells) -> list[float]:
    """Mean of each independent cluster: a seed, or a group where there is only one seed."""
    place = 0 if len({cell[0] for cell in cells}) > 1 else 1
    clusters: defaultdict[Any, list[float]] = defaultdict(list)
    for cell, value in cells.items():
        clusters[cell[place]].append(value)
    return [fmean(values) for values in clusters.values()]


def _paired(differences: _Cells, level: float, unit: str) -> Estimate:
    means = _clusters(differences)
    count = {"n": len(differences), "clusters": len(means), "level": level, "unit": unit}
    if len(means) < 2:
        return Estimate(value=fmean(means), method="one seed and one group: rows of one run are no sample", **count)
    half = _t_quantile(len(means) - 1, level) * math.sqrt(variance(means) / len(means))
    value = fmean(means)
    return Estimate(value=value, low=value - half, high=value + half, method="paired Student t", **count)


def _unpaired(first: _Cells, second: _Cells, level: float, unit: str) -> Estimate:
    """Welch's interval for the difference of two means."""
    before, after = _clusters(first), _clusters(second)
    value = fmean(after) - fmean(before)
    count = {"n": len(first) + len(second), "clusters": len(before) + len(after), "level": level, "unit": unit}
    if len(before) < 2 or len(after) < 2:
        return Estimate(value=value, method="one seed and one group: rows of one run are no sample", **count)
    parts = [variance(means) / len(means) for means in (before, after)]
    if sum(parts) == 0:
        return Estimate(value=value, low=value, high=value, method="Welch t", **count)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(means) - 1) for part, means in zip(parts, (before, after), strict=True)
    )
    half = _t_quantile(freedom, level) * math.sqrt(sum(parts))
    return Estimate(value=value, low=value - half, high=value + half, method="Welch t", **count)


def _t_quantile(freedom: float, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))
