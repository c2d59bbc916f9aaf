"""The held-out rows that a trained network or a language model is tested on, laid out as its arm writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seqtant.errors import InputError
from seqtant.subtasks.config import ArmName, ArmSettings
from seqtant.subtasks.rows.augmentation import arm_layouts
from seqtant.subtasks.rows.layout import Layout
from seqtant.subtasks.rows.problem_rows import Row
from seqtant.subtasks.tasks.splits import Split


def held_out(
    splits: Mapping[Split, Sequence[Row]], arm: ArmName, settings: ArmSettings, count: int, seed: int
) -> tuple[list[Row], list[Layout]]:
    """Some rows of the test split, and how they should be written; noise is for training only.

    Raises:
        InputError: The test split is empty.
    """
    rows = list(splits["test"])[:count]
    if not rows:
        raise InputError("there are no rows in the split 'test': give more rows, a thousand or so")
    way: ArmName = "steps" if arm == "noisy" else arm
    return rows, arm_layouts(rows, way, settings, np.random.default_rng([seed, 11]))
