"""Writes the table of costs on the page beyond one machine, from measured seconds and measured slopes.

``python docs/scale_page.py`` reads ``benchmarks/results`` and ``results`` and writes what stands between the marks of
``docs/guides/beyond-one-machine.md``; a test fails where the page is not what this would write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtant.findings import Estimate
from seqtant.report.markdown import put

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs"
PAGE = "guides/beyond-one-machine.md"
FACTORS = (10, 100, 1000)
UNITS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"), (86400.0, "days"), (365.25 * 86400.0, "years"))


@dataclass(frozen=True)
class Cost:
    """What one job cost, and how that grows."""

    what: str
    size: str
    """The size measured, with its unit."""
    seconds: float
    """Processor seconds at that size."""
    slope: Estimate | None = None
    """Of log seconds against log size; None was not measured."""
    counted: float = 1.0
    """Slope of the operations; a measured one below it is that of calls, not of work, and will not last."""

    @property
    def exponent(self) -> float:
        """The steeper of what was measured and what was counted."""
        return self.counted if self.slope is None else max(self.counted, self.slope.value)

    def at(self, factor: float) -> float:
        """Processor seconds at so many times the size."""
        return self.seconds * factor**self.exponent


def read(path: str) -> dict[str, Any] | None:
    """A stored record, if it is there."""
    file = ROOT / path
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def slope_of(job: dict[str, Any]) -> Estimate:
    """The slope that a benchmark kept, with its interval."""
    return Estimate(
        value=job["slope"],
        low=job["slope_low"],
        high=job["slope_high"],
        level=0.95,
        method="least squares",
        n=len(job["sizes"]),
    )


def costs() -> Iterator[Cost]:
    """All jobs that were measured."""
    jobs = (read("benchmarks/results/growth.json") or {"jobs": {}})["jobs"]
    for job in jobs.values():
        yield Cost(job["what"], f"{job['sizes'][-1]:,} {job['unit']}", job["cpu_seconds"][-1], slope_of(job))
    film = read("results/steering/film-train.json")
    if film is not None:
        size = f"{film['values']['tokens']:,} tokens, {film['values']['parameters']:,} parameters"
        learned = slope_of(jobs["train"]) if "train" in jobs else None
        yield Cost("train a model of film reviews", size, film["cpu_seconds"], learned)
    steps = read("benchmarks/results/quantum_step_cost.json")
    if steps is not None:
        spins = steps["tables"][0]["rows"][-1][0]
        measured = next(each for each in steps["findings"] if each["key"] == "slope")["measured"]
        yield Cost(
            "one step to a ground state",
            f"{spins} spins",
            steps["values"]["seconds_per_step_largest"],
            Estimate(**measured),
            steps["values"]["slope_counted"],
        )
    text = read("benchmarks/results/pretraining_text.json")
    if text is not None:
        yield Cost(
            "build pretraining examples",
            f"{text['bytes'] / 1e6:.1f} MB of text",
            text["command_cpu_seconds"],
            _stages(),
        )


def _stages() -> Estimate | None:
    scale = read("benchmarks/results/pretraining_scale.json")
    if scale is None:
        return None
    value = scale["slopes"]["all stages"]
    return Estimate(value=value, method="least squares", n=len(scale["rows"]))


def duration(seconds: float) -> str:
    """Processor time to two digits, in the largest unit that is not below 1."""
    size, name = next((pair for pair in reversed(UNITS) if seconds >= pair[0]), UNITS[0])
    value = seconds / size
    return f"{value:.1f} {name}" if value < 10 else f"{value:.0f} {name}"


def shown(slope: Estimate | None) -> str:
    """A slope with its interval."""
    return "not measured" if slope is None else f"{slope.number} {slope.interval or ''}".strip()


def table() -> str:
    """The costs as a table."""
    rows = [
        "| job | measured at | processor time | slope | 10 x | 100 x | 1000 x |",
        "| --- | --- " + "| ---: " * 5 + "|",
    ]
    for cost in costs():
        more = " | ".join(duration(cost.at(factor)) for factor in FACTORS)
        rows.append(f"| {cost.what} | {cost.size} | {duration(cost.seconds)} | {shown(cost.slope)} | {more} |")
    return "\n".join(rows)


def pages() -> dict[str, str]:
    """File name -> content."""
    text = (FOLDER / PAGE).read_text(encoding="utf-8")
    return {PAGE: put(text, "costs", f"\n{table()}\n")}


if __name__ == "__main__":
    for file, content in pages().items():
        (FOLDER / file).write_text(content, encoding="utf-8")
