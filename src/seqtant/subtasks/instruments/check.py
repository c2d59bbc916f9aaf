"""Checks steps before anybody trains on them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_path
from seqtant.subtasks.config import CheckConfig, describe_input
from seqtant.subtasks.rows.layout import load_tokenizer
from seqtant.subtasks.rows.problem_rows import Row, load_rows
from seqtant.subtasks.rows.validation import KINDS, Violation, check_rows
from seqtant.subtasks.tasks.task import Task, from_circuit


@verb(CheckConfig)
def check(config: CheckConfig, context: Context) -> Result:
    """Checks that every step of some rows can be found from a few things written before it.

    Steps are recomputed from the task in the manifest beside the rows; without one, equations in their text are worked
    out in exact fractions, and steps that say what they read are compared with one another.

    Returns:
        Number of violations, in all and of each kind, with examples; its status is ``failed`` if there are any, so that
        the command ends with exit code 1.

    Raises:
        InputError: The rows, the manifest beside them or the tokenizer cannot be read.

    Example:
        >>> result = check([{"input": "2+3+4", "steps": ["2+3=5", "5+4=8"], "answer": "5+4=8"}])
        >>> result.values["not_recomputable"], result.status
        (1, 'failed')
    """
    name = describe_input(config.rows)
    splits = load_rows(config.rows, context.seed)
    # The task stands in the manifest that `make` wrote beside the rows.
    task = None
    if is_path(config.rows):
        place = Path(config.rows)
        manifest = (place if place.is_dir() else place.parent) / "manifest.json"
        if manifest.is_file() and place.exists():
            try:
                data = json.loads(manifest.read_text(encoding="utf-8"))
            except (UnicodeDecodeError, json.JSONDecodeError) as error:
                raise InputError(f"'{manifest}' is not JSON: mend it or move it away") from error
            circuit = data.get("circuit") if isinstance(data, dict) else None
            task = from_circuit(circuit, name=str(manifest)) if circuit else None
    tokenizer = load_tokenizer(config.tokenizer) if config.tokenizer else None
    with Recorder("subtasks.check", f"Steps of {name}", config, context, papers=(5,)) as record:
        found = check_rows(splits, max_arity=config.max_arity, task=task, tokenizer=tokenizer)
        rows = [row for split in splits.values() for row in split]
        if not rows:
            raise InputError(f"'{name}' holds no rows: give at least one")
        _record(record, rows, found, task, config.examples)
        if tokenizer is None:
            record.warn("No tokenizer was given: whether tokens span two steps was not checked.")
    return replace(record.result, status="failed") if found else record.result


def _record(record: Recorder, rows: list[Row], found: list[Violation], task: Task | None, examples: int) -> None:
    counts = Counter(violation.kind for violation in found)
    record.value("rows", len(rows))
    record.value("violations", len(found))
    for kind in KINDS:
        record.value(kind, counts[kind])
    record.value("longest_chain", max(len(row.steps) for row in rows))
    record.value("largest_arity", max((len(set(s.reads)) for row in rows for s in row.steps if s.reads), default=None))
    # Without the task in a manifest, a step is recomputed from an equation in its text, or compared with the same step
    # of other rows where all its reads are known.
    steps = sum(len(row.steps) for row in rows)
    equations = sum("=" in step.written for row in rows for step in row.steps)
    lists = sum(not isinstance(row.input, str) and all(s.reads is not None for s in row.steps) for row in rows)
    recomputed = task is not None or equations == steps or lists == len(rows)
    how = f"{equations} of {steps} steps hold an equation; {lists} of {len(rows)} rows say what every step reads"
    if task is not None:
        how = f"from the manifest beside the rows: {task.name}"
    status = "holds" if recomputed else "not checked"
    listed = ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
    record.finding(
        "sound",
        "Can every step be found from a few things written before it, and from them alone?",
        "agrees" if not found else "disagrees",
        f"{len(rows)} rows, {len(found)} violations" + (f": {listed}." if found else "."),
        predicted=Estimate.exact(0),
        measured=Estimate.exact(len(found)),
        assumptions=(Assumption(statement="Every step's value is recomputed.", status=status, how=how),),
        advice="Mend or drop these rows: a step that cannot be recomputed cannot be learned." if found else "",
    )
    kinds = [(kind, meaning, counts[kind]) for kind, meaning in KINDS.items()]
    record.table("kinds", "What was checked", ("kind", "meaning", "violations"), kinds)
    shown: Counter[str] = Counter()
    lines: list[tuple[str, str, str]] = []
    for violation in found:
        shown[violation.kind] += 1
        if shown[violation.kind] <= examples:
            lines.append((violation.kind, violation.place, violation.detail))
    if lines:
        record.table("examples", "Examples", ("kind", "place", "what"), lines)
