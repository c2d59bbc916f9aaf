"""Which split an input belongs to: a property of the input itself, so that no split can ever share one.

Inputs are drawn as a stream: nothing but the rows asked for is ever held, whatever the number of bits.
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

_TENTHS: dict[int, Split] = {8: "validation", 9: "test"}
_ENUMERABLE = 2**16
"""Up to so many inputs, rows that must differ are chosen from the list of all."""


def split_of(text: bytes) -> Split:
    """The split of one input: eight tenths train, one validates, one tests.

    Example:
        >>> split_of(b"add 3 and 4") == split_of(b"add 3 and 4")
        True
    """
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return _TENTHS.get(int.from_bytes(digest, "big") % 10, "train")


def split_rows(inputs: Int[np.ndarray, "rows d"]) -> list[Split]:
    """The split of each row of tokens."""
    rows = np.ascontiguousarray(inputs, dtype=np.int16)
    return [split_of(row.tobytes()) for row in rows]


def draw_inputs(task: Task, split: Split, count: int, generator: np.random.Generator) -> Int[np.ndarray, "count d"]:
    """Uniform inputs of one split; two of them may be equal.

    Args:
        task: Whose inputs.
        split: Which split.
        count: How many.
        generator: Source of chance.

    Raises:
        InputError: The task has no input in the split.
    """
    share = 0.8 if split == "train" else 0.1
    found: list[np.ndarray] = []
    have, tries = 0, 0
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
    """Different inputs of one split, in random order.

    Raises:
        InputError: The split holds fewer.
    """
    if task.alphabet**task.inputs <= _ENUMERABLE:
        every = np.indices((task.alphabet,) * task.inputs).reshape(task.inputs, -1).T
        mine = every[[each == split for each in split_rows(every)]]
        if len(mine) < count:
            raise InputError(
                f"task '{task.name}' has {len(mine)} inputs in the split '{split}', not {count}: ask for fewer rows"
            )
        return mine[generator.permutation(len(mine))[:count]]
    seen: dict[bytes, np.ndarray] = {}
    while len(seen) < count:
        for row in draw_inputs(task, split, count - len(seen), generator):
            seen[row.tobytes()] = row
    return np.stack(list(seen.values()))
