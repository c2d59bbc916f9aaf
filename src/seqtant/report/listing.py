"""Lists as tables: stored runs, claims, recipes and their outcomes, the papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqtant.findings import Cell, Claim, Table, format_number
from seqtant.report.summary import headline
from seqtant.runs.compare import cell, flat
from seqtant.runs.ledger import Entry
from seqtant.runs.recipes import Outcome, Recipe
from seqtant.runs.store import Row


def runs_table(rows: Sequence[Row]) -> Table:
    """Stored runs."""
    columns = ("run", "created (UTC)", "instrument", "verdict", "seconds", "title")
    cells = tuple(
        (
            row.id,
            row.created[:16].replace("T", " "),
            row.instrument,
            _verdict(row),
            round(row.wall_seconds, 1),
            row.title,
        )
        for row in rows
    )
    note = "" if rows else "nothing is stored yet: every command that runs an instrument stores what it found"
    return Table(name="runs", title="Stored runs", columns=columns, rows=cells, note=note)


def _verdict(row: Row) -> str:
    return "failed" if row.status == "failed" else row.verdict or "done"


def claims_list(claims: Sequence[Claim]) -> Table:
    """What the papers published, with where it is printed and how it was read."""
    columns = ("claim", "published", "source", "scale", "statement")
    return Table(name="claims", title="Published numbers", columns=columns, rows=tuple(_claim(each) for each in claims))


def _claim(claim: Claim) -> tuple[Cell, ...]:
    unit = f" {claim.unit}" if claim.unit else ""
    published = f"{format_number(claim.published)} ± {format_number(claim.tolerance)}{unit}"
    scale = claim.scale if claim.instrument else "not observed"
    return claim.id, published, claim.source, scale, f"{claim.statement} ({claim.locator})"


def entries_note(entries: Sequence[Entry]) -> str:
    """How many claims stand how, and why some could not be observed."""
    verdicts = [entry.check.verdict for entry in entries]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
    reasons = [f"{entry.check.claim.id}: {entry.reason}" for entry in entries if entry.reason]
    return "\n".join([", ".join(counts), *reasons])


def recipes_table(recipes: Sequence[Recipe]) -> Table:
    """Recipes and their scales."""
    rows = tuple(
        (r.name, r.paper, r.instrument, ", ".join(_scale(r, scale) for scale in r.scales), r.question) for r in recipes
    )
    columns = ("recipe", "paper", "instrument", "scales", "question")
    note = "" if rows else "no recipes found: they are in the folder 'recipes' of the source tree"
    return Table(name="recipes", title="Recipes", columns=columns, rows=rows, note=note)


def _scale(recipe: Recipe, scale: str) -> str:
    takes = recipe.scales[scale].takes
    return f"{scale} ({takes})" if takes else scale


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
    """What an installation has; see :func:`seqtant.runs.machine.describe`."""
    rows = [(key, value) for key, value in facts["environment"].items() if value]
    rows += [("device", facts["device"]), ("store", facts["store_problem"] or facts["store"])]
    rows += [("browser", facts["browser"] or "none found (only the tests of pages need one)")]
    extras = [(name, ", ".join(missing) or "complete") for name, missing in sorted(facts["extras"].items())]
    return [
        Table(name="environment", title="Environment", columns=("what", "value"), rows=tuple(rows)),
        Table(name="extras", title="Optional libraries", columns=("extra", "missing"), rows=tuple(extras)),
    ]
