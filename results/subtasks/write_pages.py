"""Writes what the documentation says of runs from the records in this folder: no number in it is typed by hand.

    python results/subtasks/write_pages.py

Fills the marked parts of docs/instruments/subtasks.md and recipes/subtasks/README.md, draws docs/images/subtasks and
writes README.md of this folder. A part whose records are not there is left as it is.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

from seqtant.findings import Cell, Estimate, Result, Table, from_json
from seqtant.report.markdown import fill
from seqtant.report.terminal import to_markdown
from seqtant.stats.intervals import share

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PAGES = (ROOT / "docs" / "instruments" / "subtasks.md", ROOT / "recipes" / "subtasks" / "README.md")
PROBED = ROOT / "benchmarks" / "results" / "subtasks_probe.json"
sys.path.insert(0, str(ROOT / "docs"))

from subtasks_pictures import draw  # noqa: E402  # pyright: ignore[reportMissingImports]  (a script, no package)

LEARNED = 0.95
NETWORKS = {"elman": "Elman network", "lstm": "LSTM", "decoder": "decoder", "masked": "masked network"}


def read(pattern: str) -> list[Result]:
    """Records of this folder."""
    return [from_json(Result, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob(pattern))]


def table(columns: tuple[str, ...], rows: list[tuple[Cell, ...]]) -> str:
    """Markdown of a table."""
    return to_markdown(Table(name="page", title="", columns=columns, rows=tuple(rows)))


def shown(found: Estimate) -> str:
    """A share with its interval."""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def interval(accuracy: float, count: int) -> str:
    """A share with Wilson's interval."""
    return shown(share(round(accuracy * count), count))


def value(record: Result, name: str) -> float:
    """A number of a record that must be there."""
    found = record.values[name]
    assert found is not None
    return float(found)


def parities() -> str:
    """Every kept comparison of parities: all seeds of one size together."""
    rows: list[tuple[Cell, ...]] = []
    for bits in (16, 32, 64, 128):
        every = read(f"parity-{bits}*.json") + (read("controls-*.json") if bits == 32 else [])
        for arm in dict.fromkeys(arm for record in every for arm in record.config["arms"]):
            records = [record for record in every if arm in record.config["arms"]]
            seeds = sum(record.config["seeds"] for record in records)
            tested = sum(record.config["seeds"] * record.config["test_rows"] for record in records)
            right = sum(
                value(record, f"accuracy_{arm}") * record.config["seeds"] * record.config["test_rows"]
                for record in records
            )
            seconds = sum(value(record, f"training_cpu_seconds_{arm}") for record in records) / seeds
            network = records[0].config["network"]["kind"]
            needed = [row.value for record in records for row in record.series("updates_to_90", arm)]
            shown = "–" if len(needed) < seeds else f"{statistics.median(needed):.0f}"
            budget = records[0].config["updates"]
            rows.append(
                (bits, NETWORKS[network], arm, interval(right / tested, tested), seeds, f"{shown} of {budget}",
                 f"{seconds:.0f}")
            )  # fmt: skip
    headings = ("bits", "network", "written", "right answers", "seeds", "updates to 90 %", "CPU seconds a run")
    return (
        table(headings, rows)
        + "\n\nRight answers on unseen inputs and the network's own steps, Wilson's 95 % interval over all inputs; "
        "median of seeds; – where a seed never got there. Training on one core."
    )


def tries() -> str:
    """What every small network learned of 32 bits."""
    rows = [_try(record) for record in read("try-*.json")]
    headings = ("network", "optimizer", "updates", "CPU seconds", "steps learned", "weakest step", "answers")
    return (
        table(headings, sorted(rows, key=lambda row: int(str(row[4]).split()[0])))
        + f"\n\nOne seed each. A step counts as learned if it is right in {100 * LEARNED:.0f} % of the unseen inputs "
        "given the true earlier steps."
    )


def _try(record: Result) -> tuple[Cell, ...]:
    network, chosen = record.config["network"], record.config["optimization"]
    shape = f"{NETWORKS[network['kind']]} of {network['width']}"
    if network["kind"] in ("decoder", "masked"):
        shape += f", {network['depth']} layer{'s' * (network['depth'] > 1)}"
    if network["kind"] == "decoder":
        shape += f", {network['heads']} heads, position vectors of {network['embedding_scale'] or 0.02}"
    if network["kind"] == "elman":
        shape += ", everything trained" if network["trained"] == "all" else ", recurrent matrix only"
    descent = network["kind"] == "elman" and network["trained"] != "all"
    rate = chosen["learning_rate"] or (0.1 if descent else 0.002)
    steps = [row.value for row in record.series("true_steps")]
    learned = sum(value >= LEARNED for value in steps)
    return (
        shape,
        f"{'descent' if descent else 'AdamW'} {rate:g}, batch {chosen['batch']}",
        record.config["updates"],
        f"{value(record, 'training_cpu_seconds'):.0f}",
        f"{learned} of {len(steps)}",
        f"{min(steps):.2f}",
        interval(value(record, "accuracy"), record.config["test_rows"]),
    )


def own_rows() -> str:
    """What steps bought on a thousand rows, arm by arm."""
    records = {str(record.config["arm"]): record for record in read("own-rows*.json")}
    rows: list[tuple[Cell, ...]] = []
    for arm, record in records.items():
        whole, foretold = value(record, "chain_accuracy"), value(record, "chain_predicted")
        seconds = value(record, "training_cpu_seconds")
        rows.append((arm, shown(learned(record)), f"{whole:.3f}", f"{foretold:.3f}", f"{seconds:.0f}"))
    first = next(iter(records.values()))
    said = f"{first.config['updates']:,} updates, one seed, {learned(first).n} unseen problems, Wilson's 95 % interval."
    if {"steps", "answer"} <= records.keys():
        bought = gain(learned(records["steps"]), learned(records["answer"]))
        said = f"The steps bought {bought} points over answering at once. {said}"
    headings = ("written", "right answers", "whole solution right", "foretold from true steps", "CPU seconds")
    return f"{table(headings, rows)}\n\n{said}"


def gain(first: Estimate, second: Estimate) -> str:
    """Difference of two shares in points; interval by Newcombe's method from both Wilson intervals (1998)."""
    assert first.low is not None
    assert first.high is not None
    assert second.low is not None
    assert second.high is not None
    middle = first.value - second.value
    low = middle - math.hypot(first.value - first.low, second.high - second.value)
    high = middle + math.hypot(first.high - first.value, second.value - second.low)
    return f"{100 * middle:+.0f} [{100 * low:+.0f}, {100 * high:+.0f}]"


def learned(record: Result) -> Estimate:
    """Right answers of a trained network."""
    found = next(finding.measured for finding in record.findings if finding.key == "learned")
    assert found is not None
    return found


def probed() -> str:
    """Updates needed over units foretold, network by network."""
    cases: dict[str, Any] = json.loads(PROBED.read_text(encoding="utf-8"))["cases"]
    rows: list[tuple[Cell, ...]] = []
    for name, case in cases.items():
        network, bits = name.split("-")
        steps = [each for each in case["steps"] if each["unit"] and each["updates"]]
        ratios = sorted(each["updates"] / each["unit"] for each in steps)
        needed = sorted(each["updates"] for each in steps)
        rows.append(
            (NETWORKS[network], bits, f"{len(steps)} of {len(case['steps'])}", f"{needed[0]:.0f} to {needed[-1]:.0f}",
             f"{statistics.median(ratios):.0f}", f"{ratios[0]:.0f} to {ratios[-1]:.0f}")
        )  # fmt: skip
    headings = ("network", "bits", "steps learned", "updates needed", "times the unit, median", "from step to step")
    return table(headings, rows)


SECTIONS = {
    "parities": (parities, "parity-*.json"),
    "tries": (tries, "try-*.json"),
    "own-rows": (own_rows, "own-rows*.json"),
    "probed": (probed, "../../benchmarks/results/subtasks_probe.json"),
}
"""Parts of the pages, what writes them, and the records they need."""


def readme() -> str:
    """How each record was made."""
    rows: list[tuple[Cell, ...]] = []
    for path in sorted(FOLDER.glob("*.json")):
        record = from_json(Result, path.read_text(encoding="utf-8"))
        rows.append((path.name, f"`{record.command}`", record.created[:10], f"{record.cpu_seconds:.0f}"))
    listed = table(("record", "command", "made", "CPU seconds"), rows)
    return (
        f"# Runs of the sub-tasks package\n\nWritten by `write_pages.py` from the records in this folder.\n\n{listed}\n"
    )


def pictures() -> None:
    """Learning curves of every size that has records."""
    for bits in (16, 32, 128):
        records = sorted(FOLDER.glob(f"parity-{bits}*.json"))
        if records:
            drawn = draw([json.loads(path.read_text(encoding="utf-8")) for path in records])
            (ROOT / "docs" / "images" / "subtasks" / f"parity{bits}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    pictures()
    for chosen in PAGES:
        fill(chosen, SECTIONS, FOLDER)
    (FOLDER / "README.md").write_text(readme(), encoding="utf-8")
