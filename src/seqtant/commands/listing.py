"""Lists as tables: stored runs, claims, recipes and their outcomes, the papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqtant.experiments.claims import Entry
from seqtant.experiments.recipes import Outcome, Recipe
from seqtant.findings import Cell, Claim, Table, format_number
from seqtant.report.summary import headline
from seqtant.runs.compare import cell, flat
from seqtant.runs.store import Row


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list for a terminal: each entry a line of short cells, and under it a sentence."""

    title: str
    entries: tuple[tuple[tuple[str, ...], str], ...]
    """Cells and sentence of each entry."""
    note: str = ""


def runs_listing(rows: Sequence[Row], instrument: str = "") -> Listing:
    """Stored runs, of one instrument or package where it is named."""
    entries = tuple(
        ((row.id, row.created[:16].replace("T", " "), _verdict(row), row.instrument), row.title) for row in rows
    )
    which = f" of '{instrument}'" if instrument else ""
    note = "" if rows else f"nothing is stored yet{which}: every command that runs an instrument stores what it found"
    return Listing(title="Stored runs, the newest first (times are UTC)", entries=entries, note=note)


def _verdict(row: Row) -> str:
    return "failed" if row.status == "failed" else row.verdict or "done"


def claims_listing(claims: Sequence[Claim]) -> Listing:
    """What the papers published, with where it is printed and how it was read."""
    entries = tuple((_claim(claim), f"{claim.statement} ({claim.locator})") for claim in claims)
    return Listing(title="Published numbers", entries=entries)


def _claim(claim: Claim) -> tuple[str, ...]:
    unit = f" {claim.unit}" if claim.unit else ""
    published = f"{format_number(claim.published)} ± {format_number(claim.tolerance)}{unit}"
    return claim.id, published, claim.source, claim.scale if claim.instrument else "not observed"


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
    entries = tuple(((each.name, f"paper {each.paper}", each.instrument), _recipe(each)) for each in recipes)
    note = "" if recipes else "no recipes found: they are in the folder 'recipes' of the source tree"
    return Listing(title="Recipes", entries=entries, note=note)


def _recipe(recipe: Recipe) -> str:
    scales = [f"{name}, {each.takes}" if each.takes else name for name, each in recipe.scales.items()]
    return f"{recipe.question}\n{'; '.join(scales)}"


def outcomes_table(recipe: Recipe, outcomes: Sequence[Outcome]) -> Table:
    """What a recipe gave: a row per run, with the settings that differ between the runs."""
    settings = [flat(outcome.result.config) | {"seed": outcome.result.seed} for outcome in outcomes]
    names = [key for key in dict.fromkeys(key for each in settings for key in each) if _varies(key, settings)]
    rows: list[tuple[Cell, ...]] = []
    for outcome, setting in zip(outcomes, settings, strict=True):
        line = headline(outcome.result)
        number = " ".join(word for word in (line.number, line.interval) if word)
        given = [cell(setting.get(name)) for name in names]
        rows.append((*given, line.verdict or "done", number, outcome.result.id, "stored" if outcome.found else "new"))
    columns = (*names, "verdict", "headline", "run", "made")
    return Table(name=recipe.name, title=recipe.question, columns=columns, rows=tuple(rows), note=recipe.expected)


def _varies(key: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    return any(each.get(key) != settings[0].get(key) for each in settings)


def machine_tables(facts: Mapping[str, Any]) -> list[Table]:
    """What an installation has; see :func:`seqtant.runs.environment.describe`."""
    rows = [(key, value) for key, value in facts["environment"].items() if value]
    rows += [("device", facts["device"]), ("store", facts["store_problem"] or facts["store"])]
    rows += [("browser", facts["browser"] or "none found (only the tests of pages need one)")]
    extras = [(name, ", ".join(missing) or "complete") for name, missing in sorted(facts["extras"].items())]
    return [
        Table(name="environment", title="Environment", columns=("what", "value"), rows=tuple(rows)),
        Table(name="extras", title="Optional libraries", columns=("extra", "missing"), rows=tuple(extras)),
    ]
