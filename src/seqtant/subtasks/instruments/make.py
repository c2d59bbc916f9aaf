"""Makes rows of a task with all their steps, split by input, and a manifest that says exactly what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from seqtant.findings import Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Recorder
from seqtant.subtasks.config import MakeConfig
from seqtant.subtasks.rows.gsm_synthetic import arithmetic_rows
from seqtant.subtasks.rows.problem_rows import BUILT_IN, Row, split_own, task_rows, write_rows
from seqtant.subtasks.tasks.choice import choose_task
from seqtant.subtasks.tasks.circuits import plain_circuit
from seqtant.subtasks.tasks.splits import SPLITS, Split
from seqtant.subtasks.tasks.task import Task

SHOWN = 3


def run(config: MakeConfig, context: Context) -> Result:
    """Makes the rows; with a folder they are written as JSON lines, with ``manifest.json``.

    Raises:
        InputError: There is no such task, or it has too few inputs.
    """
    task = None if config.task == BUILT_IN else choose_task(config, context.seed)
    name = task.name if task else "arithmetic in words"
    with Recorder("subtasks.make", f"Rows of the {name}", config, context, papers=(5,)) as record:
        splits = _rows(config, task, context.seed)
        for split, rows in splits.items():
            record.value(f"{split}_rows", len(rows))
        if task is not None:
            for key, value in _shape(task).items():
                record.value(key, value)
        _check_overlap(record, splits)
        _show(record, splits["train"])
        if context.folder is not None:
            _write(record, context.folder, splits, task, context.seed)
    return record.result


def _rows(config: MakeConfig, task: Task | None, seed: int) -> dict[Split, list[Row]]:
    tests = config.test_rows or max(1, config.rows // 4)
    wanted: dict[Split, int] = {"train": config.rows, "validation": tests, "test": tests}
    if task is None:
        every = arithmetic_rows(3 * max(config.rows, 4 * tests) + 60, np.random.default_rng([seed, 7]))
        return {split: rows[: wanted[split]] for split, rows in split_own(every).items()}
    return {
        split: task_rows(task, split, wanted[split], np.random.default_rng([seed, 9, number]))
        for number, split in enumerate(SPLITS)
    }


def _shape(task: Task) -> dict[str, int]:
    return {"inputs": task.inputs, "steps": task.length, "arity": task.arity, "depth": task.depth}


def _check_overlap(record: Recorder, splits: dict[Split, list[Row]]) -> None:
    inputs = [row.input for rows in splits.values() for row in rows]
    twice = len(inputs) - len(set(inputs))
    record.value("repeated_inputs", twice)
    record.finding(
        "splits",
        "Is every input in one split only, and there once?",
        "agrees" if twice == 0 else "disagrees",
        f"{len(inputs)} rows, {twice} inputs more than once.",
        predicted=Estimate.exact(0),
        measured=Estimate.exact(twice),
    )


def _show(record: Recorder, rows: list[Row]) -> None:
    def short(text: str) -> str:
        return text if len(text) <= 60 else text[:57] + "..."

    shown = [(short(r.input_text), short(" ".join(s.written for s in r.steps)), r.answer_text) for r in rows[:SHOWN]]
    record.table("rows", "First rows", ("input", "steps", "answer"), shown)


def _write(record: Recorder, folder: Path, splits: dict[Split, list[Row]], task: Task | None, seed: int) -> None:
    manifest: dict[str, Any] = {"task": task.name if task else BUILT_IN, "seed": seed}
    if task is not None:
        manifest |= {**task.facts, **_shape(task), "levels": list(task.levels), "fingerprint": task.fingerprint}
        manifest["circuit"] = plain_circuit(task)
    manifest["rows"] = {split: len(rows) for split, rows in splits.items()}
    manifest["split"] = "by a hash of the input: eight tenths train, one validates, one tests"
    for split, rows in splits.items():
        write_rows(folder / f"{split}.jsonl", rows)
        record.artifact(folder / f"{split}.jsonl", "rows")
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    record.artifact(folder / "manifest.json", "manifest")
