"""Two runs side by side: what was set differently, and by how much the numbers differ, with intervals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

from seqtant.errors import InputError
from seqtant.findings import Cell, Estimate, Measurement, Result, Table, format_number

_Cells = dict[tuple[Any, ...], float]
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
                rows=tuple(
                    (
                        each.quantity,
                        format_number(each.first),
                        format_number(each.second),
                        f"{each.difference.number} {each.difference.interval}".rstrip(),
                        None if each.difference.method == _PLAIN else each.difference.basis,
                    )
                    for each in changed
                ),
                note=f"{same} headline numbers are the same in both." if same else "",
            )
        ]
        if self.settings:
            columns = ("setting", "first", "second")
            shown.insert(0, Table(name="settings", title="Set differently", columns=columns, rows=self.settings))
        return shown


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
    before, after = (
        {"instrument": run.instrument, "seed": run.seed, "seqtant": run.environment.get("seqtant", "")}
        | flat(run.config)
        for run in (first, second)
    )
    facts = ((key, before.get(key, "not set"), after.get(key, "not set")) for key in before | after)
    settings = tuple((key, cell(one), cell(other)) for key, one, other in facts if one != other)
    return Comparison(first=first, second=second, settings=settings, differences=differences)


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
    for finding in first.findings:
        other = findings.get(finding.key)
        for side in ("predicted", "measured") if other else ():
            before, after = getattr(finding, side), getattr(other, side)
            if before is not None and after is not None:
                yield Difference(
                    quantity=f"{prefix}{finding.key}, {side}",
                    first=before.value,
                    second=after.value,
                    difference=difference_of_estimates(before, after),
                )
    for key, before in first.values.items():
        after = second.values.get(key)
        if before is not None and after is not None:
            change = Estimate(value=_minus(after, before), method=_PLAIN)
            yield Difference(quantity=prefix + key, first=before, second=after, difference=change)
    for key in dict.fromkeys(row.key for row in first.measurements):
        rows = second.series(key)
        if rows:
            yield _measured(prefix + key, first.series(key), rows, level)
    others = {part.instrument: part for part in second.parts}
    for part in first.parts:
        if part.instrument in others:
            yield from _differences(part, others[part.instrument], level, f"{prefix}{part.instrument}: ")


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
    # The lower end comes from the second's lower and the first's upper end, distances in quadrature.
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
    """Student's interval over the pairs of rows, where there are any; else Welch's for the difference of the means."""
    from scipy.special import stdtrit

    first, second = _means_by_cell(before), _means_by_cell(after)
    shared = [cell for cell in first if cell in second]
    if shared:
        first, second = ({cell: cells[cell] for cell in shared} for cells in (first, second))
        samples = [_clusters({cell: second[cell] - first[cell] for cell in shared})]
        value, count, method = fmean(samples[0]), len(shared), "paired Student t"
    else:
        samples = [_clusters(first), _clusters(second)]
        value, count, method = fmean(samples[1]) - fmean(samples[0]), len(first) + len(second), "Welch t"
    half = None
    if min(map(len, samples)) < 2:
        method = "one seed and one group: rows of one run are no sample"
    else:
        # Squared standard errors; two samples have the degrees of freedom of Welch and Satterthwaite.
        parts = [variance(means) / len(means) for means in samples]
        freedom: float = len(samples[0]) - 1
        if not shared and sum(parts) > 0:
            freedom = sum(parts) ** 2 / sum(
                part**2 / (len(means) - 1) for part, means in zip(parts, samples, strict=True)
            )
        half = float(stdtrit(freedom, 0.5 + level / 2)) * math.sqrt(sum(parts))
    estimate = Estimate(
        value=value,
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        level=level,
        method=method,
        n=count,
        clusters=sum(map(len, samples)),
        unit=after[0].unit,
    )
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
    # Cells are (seed, group, step).
    place = 0 if len({cell[0] for cell in cells}) > 1 else 1
    clusters: defaultdict[Any, list[float]] = defaultdict(list)
    for cell, value in cells.items():
        clusters[cell[place]].append(value)
    return [fmean(values) for values in clusters.values()]
