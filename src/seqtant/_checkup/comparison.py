"""Two models side by side, before and after: the same questions with the same draws, and by how much answers differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from seqtant._checkup.checkup import check_model
from seqtant._checkup.config import CheckupConfig
from seqtant.errors import InputError
from seqtant.findings import Cell, Estimate, Result, Verdict, format_number
from seqtant.packages import PACKAGES
from seqtant.runs.compare import Difference, compare
from seqtant.runs.recorder import Context, Recorder
from seqtant.sources import name_of

ASKED = {
    "architecture": ("Have both the same number of parameters?", ("parameters",)),
    "pretraining": ("Do both gain as much from related text?", ("gain_in_context, mean of pairs",)),
    "icl": ("Are both as accurate after examples?", ("accuracy_after_examples, mean of pairs",)),
    "beb": (
        "Does the alignment of both fail by prompts of one length?",
        ("breaking_length, mean of pairs", "breaking_length, measured"),
    ),
    "steering": (
        "Are both as helpful without steering?",
        ("helpfulness_unsteered, mean of pairs", "strength, measured"),
    ),
    "subtasks": ("Do both solve as many problems on their own steps?", ("right_on_own_steps, mean of pairs",)),
}
"""What is asked of the two, and the quantities that answer it, the best first."""

FEWEST = 8
"""Rows of fewer groups are points of a curve, not a sample of items."""


def check_both(config: CheckupConfig, context: Context) -> Result:
    """Runs the checkup of both models and compares their answers.

    Both are asked with the same seed and files. Where an instrument keeps one number per item (a prompt, a problem, a
    text), the same items are compared in pairs, which leaves out what both models find hard; else the two intervals are
    combined as independent ones.

    Args:
        config: With ``compare``.
        context: Seed, device, folder, progress; each model gets a folder of its own.

    Returns:
        A composite result: both checkups as parts, a finding per instrument with the difference, second minus first.
    """
    if config.compare is None:
        raise InputError("no two models are given: write --compare BEFORE AFTER")
    names = config.compare
    with Recorder("checkup", f"{name_of(names[1])} beside {name_of(names[0])}", config, context) as record:
        checkups: list[Result] = []
        for model, place in zip(names, ("first", "second"), strict=True):
            folder = context.folder / place if context.folder else None
            checkups.append(check_model(config.of(model), replace(context, folder=folder)))
        others = {part.instrument: part for part in checkups[1].parts if part.status == "ok"}
        rows: list[tuple[Cell, ...]] = []
        for part in checkups[0].parts:
            other = others.get(part.instrument)
            if other is not None and part.status == "ok":
                differences = compare(part, other).differences
                _record(record, part.package, differences, names)
                rows += _rows(part.package, differences)
        if rows:
            record.table(
                "differences",
                "Second minus first",
                ("instrument", "quantity", "first", "second", "difference", "items"),
                rows,
                note="Items: how many prompts, problems or texts were compared in pairs; without a number, the two "
                "intervals are combined as independent ones. Numbers without an interval are in the two records.",
            )
        for each in checkups:
            record.part(each)
    return record.result


def _record(record: Recorder, package: str, differences: Sequence[Difference], names: tuple[Any, Any]) -> None:
    question, quantities = ASKED.get(package, (PACKAGES[package].question, ()))
    known = {difference.quantity: difference for difference in differences}
    found = next((known[name] for name in quantities if name in known), None)
    if found is None:
        return
    change = found.difference
    first, second = (name_of(name) for name in names)
    # Agrees where the interval holds 0: no difference could be seen.
    verdict: Verdict = "agrees" if change.value == 0 else "inconclusive"
    if change.low is not None and change.high is not None:
        verdict = "agrees" if change.low <= 0 <= change.high else "disagrees"
    record.value(f"{package}_difference", change.value)
    record.finding(
        package,
        question,
        verdict,
        f"{first}: {format_number(found.first)}, {second}: {format_number(found.second)}; difference "
        f"{change.number}{' ' + change.interval if change.interval else ''}.",
        predicted=Estimate.exact(0.0, unit=change.unit, method="no difference"),
        measured=change,
    )


def _rows(package: str, differences: Sequence[Difference]) -> Iterator[tuple[Cell, ...]]:
    """What has an interval: measured sides of findings, and means over items."""
    for found in differences:
        change, (name, _, kind) = found.difference, found.quantity.partition(", ")
        items = change.clusters if kind == "mean of pairs" else None
        if change.low is None or change.is_exact or not (kind == "measured" or (items or 0) >= FEWEST):
            continue
        shown = f"{change.number} {change.interval}"
        before, after = format_number(found.first), format_number(found.second)
        yield package, name.replace("_", " "), before, after, shown, items
