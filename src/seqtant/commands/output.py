"""How commands that are no instruments print: lists and tables for people, or one JSON value and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from rich.padding import Padding
from rich.text import Text

from seqtant.experiments.claims import Entry
from seqtant.experiments.recipes import Outcome, Recipe
from seqtant.findings import Cell, Claim, Table, format_number
from seqtant.report.summary import headline
from seqtant.report.terminal import Terminal, print_table
from seqtant.runs.compare import cell, flat
from seqtant.runs.store import Row


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list for a terminal: each entry a line of short cells, and under it a sentence."""

    title: str
    entries: tuple[tuple[tuple[str, ...], str], ...]
    """Cells and sentence of each entry."""
    note: str = ""


def show(value: Any, *shown: Table | Listing, json: bool) -> None:
    """Prints a value as JSON, or the lists and tables that tell it to people."""
    if json:
        print_json(value)
        return
    console = Terminal()
    for number, each in enumerate(shown):
        if number:
            console.print()
        if isinstance(each, Table):
            print_table(console, each)
            continue
        console.print(Text(each.title, style="bold"))
        widths = [max(map(len, column)) for column in zip(*(cells for cells, _ in each.entries), strict=True)]
        for cells, sentence in each.entries:
            line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            console.print(Text(line.rstrip()))
            console.print(Padding(Text(sentence, style="dim"), (0, 0, 0, 4), expand=False))
        if each.note:
            console.print(Text(each.note, style="dim"))


def print_json(value: Any) -> None:
    """Prints one JSON value: plain data, dataclasses, paths; infinity as text."""
    print(to_json(value, inf_nan_mode="strings").decode())


def runs_listing(rows: Sequence[Row], instrument: str = "") -> Listing:
    """Stored runs, of one instrument or package where it is named."""
    entries: list[tuple[tuple[str, ...], str]] = []
    for row in rows:
        verdict = "failed" if row.status == "failed" else row.verdict or "done"
        entries.append(((row.id, row.created[:16].replace("T", " "), verdict, row.instrument), row.title))
    which = f" of '{instrument}'" if instrument else ""
    note = "" if rows else f"nothing is stored yet{which}: every command that runs an instrument stores what it found"
    return Listing(title="Stored runs, the newest first (times are UTC)", entries=tuple(entries), note=note)


def claims_listing(claims: Sequence[Claim]) -> Listing:
    """What the papers published, with where it is printed and how it was read."""
    entries: list[tuple[tuple[str, ...], str]] = []
    for claim in claims:
        published = f"{format_number(claim.published)} ± {format_number(claim.tolerance)} {claim.unit}".rstrip()
        cells = (claim.id, published, claim.source, claim.scale if claim.instrument else "not observed")
        entries.append((cells, f"{claim.statement} ({claim.locator})"))
    return Listing(title="Published numbers", entries=tuple(entries))


def made(entry: Entry) -> str:
    """When its run was made: a date for a stored one, ``now`` for a new one, empty without one."""
    if entry.check.observed is None:
        return ""
    return f"stored {entry.stored[:10]}" if entry.stored else "now"


def entries_note(entries: Sequence[Entry]) -> str:
    """Why some could not be observed, what was taken from stored runs, and, last, how many claims stand how."""
    lines = [f"{entry.check.claim.id}: {entry.reason}" for entry in entries if entry.reason]
    stored = {entry.run: entry.stored for entry in entries if entry.stored}
    if stored:
        lines.append(
            f"{len(stored)} runs were stored before, the oldest on {min(stored.values())[:10]}: --force runs anew"
        )
    verdicts = [entry.check.verdict for entry in entries]
    lines.append(", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)))
    return "\n".join(lines)


def recipes_listing(recipes: Sequence[Recipe]) -> Listing:
    """Recipes and their scales."""
    entries: list[tuple[tuple[str, ...], str]] = []
    for recipe in recipes:
        scales = [f"{name}, {each.takes}" if each.takes else name for name, each in recipe.scales.items()]
        cells = (recipe.name, f"paper {recipe.paper}", recipe.instrument)
        entries.append((cells, f"{recipe.question}\n{'; '.join(scales)}"))
    note = "" if recipes else "no recipes found: they are in the folder 'recipes' of the source tree"
    return Listing(title="Recipes", entries=tuple(entries), note=note)


def outcomes_table(recipe: Recipe, outcomes: Sequence[Outcome]) -> Table:
    """What a recipe gave: a row per run, with the settings that differ between the runs."""
    settings = [flat(outcome.result.config) | {"seed": outcome.result.seed} for outcome in outcomes]
    keys = dict.fromkeys(key for each in settings for key in each)
    names = [key for key in keys if any(each.get(key) != settings[0].get(key) for each in settings)]
    rows: list[tuple[Cell, ...]] = []
    for outcome, setting in zip(outcomes, settings, strict=True):
        line = headline(outcome.result)
        number = " ".join(word for word in (line.number, line.interval) if word)
        given = [cell(setting.get(name)) for name in names]
        rows.append((*given, line.verdict or "done", number, outcome.result.id, "stored" if outcome.found else "new"))
    columns = (*names, "verdict", "headline", "run", "made")
    return Table(name=recipe.name, title=recipe.question, columns=columns, rows=tuple(rows), note=recipe.expected)


def machine_tables(facts: Mapping[str, Any]) -> list[Table]:
    """What an installation has; see :func:`seqtant.runs.recorder.describe`."""
    rows = [(key, value) for key, value in facts["environment"].items() if value]
    rows += [("device", facts["device"]), ("store", facts["store_problem"] or facts["store"])]
    rows += [("browser", facts["browser"] or "none found (only the tests of pages need one)")]
    extras = [(name, ", ".join(missing) or "complete") for name, missing in sorted(facts["extras"].items())]
    return [
        Table(name="environment", title="Environment", columns=("what", "value"), rows=tuple(rows)),
        Table(name="extras", title="Optional libraries", columns=("extra", "missing"), rows=tuple(extras)),
    ]
