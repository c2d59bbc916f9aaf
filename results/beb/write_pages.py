"""Writes what the documentation says of breaking lengths from stored records: no number in it is typed by hand.

    python results/beb/write_pages.py

Fills the marked parts of docs/instruments/beb.md from the records here and in benchmarks/results, lets write_readme.py
write README.md of this folder, and docs/beb_pictures.py draw the picture of the page.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median

from seqtant.findings import Cell, Result, Table, format_number, from_json
from seqtant.report.markdown import put
from seqtant.report.terminal import to_markdown

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PAGE = ROOT / "docs" / "instruments" / "beb.md"
PICTURE = ROOT / "docs" / "images" / "beb" / "behavior.svg"
sys.path[:0] = [str(FOLDER), str(ROOT / "docs")]

import beb_pictures  # noqa: E402
import write_readme  # noqa: E402


def read(name: str) -> Result:
    """A record of this folder."""
    return from_json(Result, (FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def markdown(columns: tuple[str, ...], rows: list[tuple[Cell, ...]]) -> str:
    """Markdown of a table."""
    return to_markdown(Table(name="page", title="", columns=columns, rows=tuple(rows)))


def shown(value: float | None, missing: str = "-") -> str:
    """A number, or what stands for none."""
    return missing if value is None else format_number(float(value))


def interval(result: Result, name: str) -> str:
    """A number of a study with its interval."""
    low, high = (result.series(name, end)[0].value for end in ("low", "high"))
    return f"{shown(result.values[name])} [{shown(low)}, {shown(high)}]"


def mixtures() -> str:
    """Small networks trained on mixtures of known weight."""
    rows: list[tuple[Cell, ...]] = []
    for path in sorted(FOLDER.glob("calibrate-*.json"), reverse=True):
        result = read(path.stem)
        values, config = result.values, result.config
        refused = values["log_inverse_alpha"] is None
        steps = f"{config['first_steps']} + {config['steps']}" if config["first_alpha"] else str(config["steps"])
        rows.append(
            (
                format_number(float(config["alpha"])),
                steps,
                result.seed,
                shown(values["true_log_inverse_alpha"]),
                "refused" if refused else interval(result, "log_inverse_alpha"),
                shown(values.get("systematic_error")),
                shown(values["halfway_predicted"]),
                shown(values["halfway_measured"]),
                shown(values.get("halfway_guard")),
                shown(values.get("halfway_alignment")),
            )
        )
    columns = (
        "alpha",
        "steps",
        "seed",
        "log(1/alpha)",
        "read",
        "stops differ by",
        "half-way predicted",
        "measured",
        "behind a guard of 2",
        "after an alignment stage",
    )
    return markdown(columns, rows)


def stops() -> str:
    """The cases against which the allowance was held."""
    cases = json.loads((FOLDER / "stops" / "stops.json").read_text(encoding="utf-8"))
    rows: list[tuple[Cell, ...]] = [
        (
            f"two coins, {case['belief']}" if "belief" in case else _network(case),
            *(shown(case[name]) for name in ("true", "even", "read", "end", "systematic")),
            "refused" if case["refused"] else "given",
        )
        for case in [*cases["perturbed"], *cases["trained"]]
    ]
    columns = (
        "case",
        "log(1/alpha)",
        "P- as likely as P+",
        "P- has taken over",
        "whole prompts",
        "differ by",
        "number",
    )
    return markdown(columns, rows)


def _network(case: dict[str, float]) -> str:
    steps = f"{case['first_steps']} + {case['steps']}"
    return f"network, alpha {format_number(case['alpha'])}, {steps} steps, seed {case['seed']}"


def guards() -> str:
    """Half-way lengths of the reference model behind guards."""
    first, long = read("guard-reference"), read("guard-reference-long")
    rows = [
        row for result in (first, long) for row in tables(result, "guards").rows if result is first or row[0] == "8"
    ]
    return markdown(tables(first, "guards").columns, rows)


def alignment() -> str:
    """The reference model before and after a short alignment stage."""
    table = tables(read("compare-reference-mild"), "models")
    return markdown(table.columns, list(table.rows))


def statements() -> str:
    """P- and P+ of every behavior on statements that neither has seen."""
    rows = []
    for path in sorted(FOLDER.glob("film-*.json"), key=lambda path: -(read(path.stem).values["told_apart"] or 0)):
        result = read(path.stem)
        told = next(finding.measured for finding in result.findings if finding.key == "gate")
        assert told is not None
        verdict = "yes" if result.values["passed"] else "no"
        ends = f"[{100 * (told.low or 0):.0f}, {100 * (told.high or 1):.0f}]"
        rows.append((path.stem.removeprefix("film-"), f"{100 * told.value:.1f} % {ends}", told.n, verdict))
    passed = sum(row[-1] == "yes" for row in rows)
    table = markdown(("behavior", "told apart", "held-out statements", "95 % or more"), rows)
    return f"{table}\n\n{passed} of {len(rows)} behaviors pass."


def speed() -> str:
    """What exact divergences save."""
    found = json.loads((ROOT / "benchmarks" / "results" / "beb_evidence.json").read_text(encoding="utf-8"))
    times = [each["times_fewer_cpu_seconds"] for each in found["repeats"]]
    return (
        f"At the standard error of the published protocol, exact divergences take {median(times):.0f} times fewer CPU "
        f"seconds (median of {len(times)} repeats, {min(times):.0f} to {max(times):.0f})."
    )


def tables(result: Result, name: str) -> Table:
    """One table of a record."""
    return next(table for table in result.tables if table.name == name)


PARTS = {
    "mixtures": mixtures,
    "stops": stops,
    "guards": guards,
    "alignment": alignment,
    "statements": statements,
    "speed": speed,
}


def page() -> str:
    """The page with its marked parts filled."""
    text = PAGE.read_text(encoding="utf-8")
    for name, make in PARTS.items():
        text = put(text, name, make())
    return text


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(write_readme.page(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(beb_pictures.draw(read("measure-reference")), encoding="utf-8")
