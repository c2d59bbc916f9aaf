"""Train, validation and test splits by a hash of the input, so that no two splits can ever share one.

Inputs are sampled as a stream: only the rows asked for are held in memory, whatever the number of bits.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
from jaxtyping import Int

from seqtant.errors import InputError
from seqtant.subtasks.tasks.task import Task

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

ENUMERABLE = 2**16
"""Largest number of inputs that are enumerated to sample different ones."""


def split_of(text: bytes) -> Split:
    """Assigns one input to a split by its hash: 80 % train, 10 % validation, 10 % test.

    Example:
        >>> split_of(b"add 3 and 4") == split_of(b"add 3 and 4")
        True
    """
    digest = hashlib.blake2b(text, digest_size=8).digest()
    tenth = int.from_bytes(digest, "big") % 10
    return "validation" if tenth == 8 else "test" if tenth == 9 else "train"


def split_rows(inputs: Int[np.ndarray, "rows d"]) -> list[Split]:
    """Assigns each row of tokens to a split."""
    # The dtype is part of the hash: another width would move inputs between splits.
    rows = np.ascontiguousarray(inputs, dtype=np.int16)
    return [split_of(row.tobytes()) for row in rows]


def draw_inputs(task: Task, split: Split, count: int, generator: np.random.Generator) -> Int[np.ndarray, "count d"]:
    """Samples inputs of one split uniformly, with replacement."""
    # Rejection sampling: draw 20 % more than the expected need, keep the rows of the split.
    share = 0.8 if split == "train" else 0.1
    found: list[np.ndarray] = []
    have = tries = 0
    while have < count:
        rows = generator.integers(task.alphabet, size=(int((count - have) / share * 1.2) + 8, task.inputs))
        kept = rows[[each == split for each in split_rows(rows)]]
        found.append(kept)
        have += len(kept)
        tries += 1
        if tries == 1000 and not have:
            raise InputError(
                f"task '{task.name}' has no input in the split '{split}': it has too few inputs, take more bits"
            )
    return np.concatenate(found)[:count]


def draw_distinct(task: Task, split: Split, count: int, generator: np.random.Generator) -> Int[np.ndarray, "count d"]:
    """Samples inputs of one split without replacement, in random order."""
    # Few inputs: list all of the split. Many: rejecting the rare repetitions is cheap.
    if task.alphabet**task.inputs <= ENUMERABLE:
        every = np.indices((task.alphabet,) * task.inputs).reshape(task.inputs, -1).T
        mine = every[[each == split for each in split_rows(every)]]
        if len(mine) < count:
            raise InputError(
                f"task '{task.name}' has {len(mine)} inputs in the split '{split}', not {count}: ask for fewer rows"
            )
        return mine[generator.permutation(len(mine))[:count]]
    seen: dict[bytes, np.ndarray] = {}
    while len(seen) < count:
        # Insertion order is the order of sampling; a repeated input does not move.
        for row in draw_inputs(task, split, count - len(seen), generator):
            seen[row.tobytes()] = row
    return np.stack(list(seen.values()))
