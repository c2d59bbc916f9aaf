"""Turns rows with steps into training data, with control arms that cost the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean
from seqtant.subtasks.config import ArmName, AugmentConfig
from seqtant.subtasks.rows.augmentation import arm_layouts, training_rows
from seqtant.subtasks.rows.problem_rows import load_rows
from seqtant.subtasks.training.tokenization import load_tokenizer


def run(config: AugmentConfig, context: Context) -> Result:
    """Writes one folder per arm, with one file per split.

    Raises:
        InputError: The rows or the tokenizer cannot be read.
    """
    splits = load_rows(config.rows, context.seed)
    if not any(splits.values()):
        raise InputError(f"'{config.rows}' holds no rows: give at least one")
    tokenizer = load_tokenizer(config.tokenizer) if config.tokenizer else None
    with Recorder("subtasks.augment", f"Training data from {config.rows}", config, context, papers=(5,)) as record:
        lengths: dict[ArmName, list[int]] = {}
        for arm in config.arms:
            lengths[arm] = []
            for number, (split, rows) in enumerate(splits.items()):
                generator = np.random.default_rng([context.seed, 10, number])
                layouts = arm_layouts(rows, arm, config.settings, generator, pause=config.pause, tokenizer=tokenizer)
                made = list(training_rows(layouts, config.form, tokenizer))
                lengths[arm] += [_length(row) for row in made]
                if context.folder is not None and made:
                    _write(record, context.folder / arm / f"{split}.jsonl", made)
        record.value("rows", sum(map(len, splits.values())))
        _record_lengths(record, lengths, "tokens" if tokenizer else "characters")
    return record.result


def _length(row: dict[str, Any]) -> int:
    if "input_ids" in row:
        return len(row["input_ids"])
    return sum(len(value) for value in row.values() if isinstance(value, str))


def _write(record: Recorder, path: Path, rows: list[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    record.artifact(path, "rows")


def _record_lengths(record: Recorder, lengths: dict[ArmName, list[int]], unit: str) -> None:
    found = {arm: mean(values, unit=unit) for arm, values in lengths.items()}
    for arm, each in found.items():
        record.value(f"length_{arm}", each.value)
    record.table(
        "lengths",
        "Length of the rows of each arm",
        ("arm", f"mean {unit}", "low", "high"),
        [(arm, each.value, each.low, each.high) for arm, each in found.items()],
    )
    if "steps" not in found or "pause" not in found:
        return
    ratios = np.array(lengths["pause"]) / np.array(lengths["steps"])
    ratio = mean(ratios)
    record.value("pause_over_steps", ratio.value)
    record.finding(
        "equal_compute",
        "Does the control without steps cost as much as the steps?",
        "agrees" if 0.95 <= ratio.value <= 1.05 else "disagrees",
        f"Rows with pauses are {ratio.value:.3f} times as long as rows with steps.",
        predicted=Estimate.exact(1.0),
        measured=ratio,
        advice="" if 0.95 <= ratio.value <= 1.05 else "Choose another pause, one that is a single token.",
    )
