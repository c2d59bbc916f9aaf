"""Turns rows with steps into training data, with control arms that cost the same."""

from __future__ import annotations

import json

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import mean
from seqtant.subtasks.config import ArmName, AugmentConfig, describe_input
from seqtant.subtasks.rows.layout import arm_layouts, load_tokenizer, training_rows
from seqtant.subtasks.rows.problem_rows import load_rows


@verb(AugmentConfig)
def augment(config: AugmentConfig, context: Context) -> Result:
    """Turns rows into training data, with control arms that cost as much compute as the steps.

    In memory the same lines are ``training_rows(arm_layouts(rows, arm, generator), form, tokenizer)``.

    Returns:
        Mean length of the rows of each arm, in tokens or characters, and the ratio of pauses to steps (1 is equal
        compute); with ``out`` a folder per arm with a file of JSON lines per split.

    Raises:
        InputError: The rows or the tokenizer cannot be read.

    Example:
        >>> augment([("2+3+4", ["2+3=5", "5+4=9"], 9)], arms=("steps", "pause")).values["pause_over_steps"]
        1.0
    """
    name = describe_input(config.rows)
    splits = load_rows(config.rows, context.seed)
    if not any(splits.values()):
        raise InputError(f"'{name}' holds no rows: give at least one")
    tokenizer = load_tokenizer(config.tokenizer) if config.tokenizer else None
    with Recorder("subtasks.augment", f"Training data from {name}", config, context, papers=(5,)) as record:
        lengths: dict[ArmName, list[int]] = {arm: [] for arm in config.arms}
        for arm in config.arms:
            for number, (split, rows) in enumerate(splits.items()):
                # Every arm begins from the same seed: arms differ in how they write, not in their random numbers.
                generator = np.random.default_rng([context.seed, 10, number])
                layouts = arm_layouts(
                    rows, arm, generator, noise=config.settings.noise, pause=config.pause, tokenizer=tokenizer
                )
                made = list(training_rows(layouts, config.form, tokenizer))
                for row in made:
                    texts = (len(value) for value in row.values() if isinstance(value, str))
                    lengths[arm].append(len(row["input_ids"]) if "input_ids" in row else sum(texts))
                if context.folder is not None and made:
                    path = context.folder / arm / f"{split}.jsonl"
                    write_text(path, "".join(json.dumps(row) + "\n" for row in made))
                    record.artifact(path, "rows")
        record.value("rows", sum(map(len, splits.values())))
        unit = "tokens" if tokenizer else "characters"
        found = {arm: mean(values, unit=unit) for arm, values in lengths.items()}
        for arm, each in found.items():
            record.value(f"length_{arm}", each.value)
        shown = [(arm, each.value, each.low, each.high) for arm, each in found.items()]
        record.table("lengths", "Length of the rows of each arm", ("arm", f"mean {unit}", "low", "high"), shown)
        if "steps" in found and "pause" in found:
            ratio = mean(np.array(lengths["pause"]) / np.array(lengths["steps"]))
            equal = 0.95 <= ratio.value <= 1.05
            record.value("pause_over_steps", ratio.value)
            record.finding(
                "equal_compute",
                "Does the control without steps cost as much as the steps?",
                "agrees" if equal else "disagrees",
                f"Rows with pauses are {ratio.value:.3f} times as long as rows with steps.",
                predicted=Estimate.exact(1.0),
                measured=ratio,
                advice="" if equal else "Choose another pause, one that is a single token.",
            )
    return record.result
