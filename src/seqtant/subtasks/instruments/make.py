"""Makes rows of a task with all their steps, split by input, and a manifest that says exactly what they are."""

from __future__ import annotations

import json
from typing import Any

from seqtant.findings import Estimate, Result
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.subtasks.config import MakeConfig
from seqtant.subtasks.rows.problem_rows import make_rows, write_rows
from seqtant.subtasks.tasks.builtin import BUILT_IN_ROWS, choose_task, is_arithmetic
from seqtant.subtasks.tasks.task import to_circuit


@verb(MakeConfig)
def make(config: MakeConfig, context: Context) -> Result:
    """Makes rows of a task with all their steps, each input in one split only.

    In memory the same rows are ``make_rows(task, rows, test_rows, seed=seed)``.

    Returns:
        Numbers of rows, the shape of the task, repeated inputs (none, if all is well), and the first rows as a table;
        with ``out`` a file of JSON lines per split and ``manifest.json``.

    Raises:
        InputError: There is no such task, or it has too few inputs.

    Example:
        >>> make("sum", rows=40, modulus=7).values["train_rows"]
        40
    """
    task = None if is_arithmetic(config.task) else choose_task(config, context.seed)
    name = task.name if task else "arithmetic in words"
    with Recorder("subtasks.make", f"Rows of the {name}", config, context, papers=(5,)) as record:
        splits = make_rows(task or BUILT_IN_ROWS, config.rows, config.test_rows, seed=context.seed)
        shape: dict[str, int] = {}
        manifest: dict[str, Any] = {"task": task.name if task else BUILT_IN_ROWS, "seed": context.seed}
        if task is not None:
            shape = {"inputs": task.inputs, "steps": task.length, "arity": task.arity, "depth": task.depth}
            manifest |= {**task.facts, **shape, "levels": list(task.levels), "fingerprint": task.fingerprint}
            manifest["circuit"] = to_circuit(task)
        manifest["rows"] = {split: len(rows) for split, rows in splits.items()}
        manifest["split"] = "by a hash of the input: eight tenths train, one validates, one tests"
        for split, rows in splits.items():
            record.value(f"{split}_rows", len(rows))
        for key, value in shape.items():
            record.value(key, value)
        inputs = [row.input for rows in splits.values() for row in rows]
        repeated = len(inputs) - len(set(inputs))
        record.value("repeated_inputs", repeated)
        record.finding(
            "splits",
            "Is every input in one split only, and there once?",
            "agrees" if repeated == 0 else "disagrees",
            f"{len(inputs)} rows, {repeated} inputs more than once.",
            predicted=Estimate.exact(0),
            measured=Estimate.exact(repeated),
        )
        shown = []
        for row in splits["train"][:3]:
            texts = (row.input_text, " ".join(step.written for step in row.steps))
            shown.append((*(text if len(text) <= 60 else text[:57] + "..." for text in texts), row.answer_text))
        record.table("rows", "First rows", ("input", "steps", "answer"), shown)
        if context.folder is not None:
            for split, rows in splits.items():
                write_rows(context.folder / f"{split}.jsonl", rows)
                record.artifact(context.folder / f"{split}.jsonl", "rows")
            write_text(context.folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
            record.artifact(context.folder / "manifest.json", "manifest")
    return record.result
