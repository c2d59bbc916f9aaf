"""Makes rows of a task with all their steps, split by input, and a manifest that says exactly what they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from seqtant.findings import Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Recorder
from seqtant.subtasks.config import MakeConfig
from seqtant.subtasks.rows.problem_rows import Row, arithmetic_rows, split_by_input, task_rows, write_rows
from seqtant.subtasks.tasks.builtin import BUILT_IN_ROWS, choose_task
from seqtant.subtasks.tasks.splits import SPLITS, Split
from seqtant.subtasks.tasks.task import to_circuit

SHOWN = 3
"""Rows in the table of the report."""


def run(config: MakeConfig, context: Context) -> Result:
    """Makes the rows; with a folder they are written as JSON lines, with ``manifest.json``.

    Raises:
        InputError: There is no such task, or it has too few inputs.
    """
    task = None if config.task == BUILT_IN_ROWS else choose_task(config, context.seed)
    name = task.name if task else "arithmetic in words"
    with Recorder("subtasks.make", f"Rows of the {name}", config, context, papers=(5,)) as record:
        tests = config.test_rows or max(1, config.rows // 4)
        counts: dict[Split, int] = {"train": config.rows, "validation": tests, "test": tests}
        splits: dict[Split, list[Row]]
        if task is None:
            # Each test split gets a tenth of the inputs: at least 12 times its size is made, then cut.
            made = arithmetic_rows(3 * max(config.rows, 4 * tests) + 60, np.random.default_rng([context.seed, 7]))
            splits = {split: rows[: counts[split]] for split, rows in split_by_input(made).items()}
        else:
            splits = {
                split: task_rows(task, split, counts[split], np.random.default_rng([context.seed, 9, number]))
                for number, split in enumerate(SPLITS)
            }
        shape: dict[str, int] = {}
        manifest: dict[str, Any] = {"task": task.name if task else BUILT_IN_ROWS, "seed": context.seed}
        if task is not None:
            shape = {"inputs": task.inputs, "steps": task.length, "arity": task.arity, "depth": task.depth}
            manifest |= {**task.facts, **shape, "levels": list(task.levels), "fingerprint": task.fingerprint}
            manifest["circuit"] = to_circuit(task)
        manifest["rows"] = {split: len(rows) for split, rows in splits.items()}
        manifest["split"] = "by a hash of the input: eight tenths train, one validates, one tests"
        _record(record, splits, shape)
        if context.folder is not None:
            for split, rows in splits.items():
                write_rows(context.folder / f"{split}.jsonl", rows)
                record.artifact(context.folder / f"{split}.jsonl", "rows")
            write_text(context.folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
            record.artifact(context.folder / "manifest.json", "manifest")
    return record.result


def _record(record: Recorder, splits: dict[Split, list[Row]], shape: dict[str, int]) -> None:
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
    for row in splits["train"][:SHOWN]:
        texts = (row.input_text, " ".join(step.written for step in row.steps))
        shown.append((*(text if len(text) <= 60 else text[:57] + "..." for text in texts), row.answer_text))
    record.table("rows", "First rows", ("input", "steps", "answer"), shown)
