"""A compound task as its steps: each writes one token that is a function of a few earlier ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Int

from seqtant.errors import InputError
from seqtant.subtasks.tasks.gates import XOR

MAX_TABLE = 1_000_000
"""Most entries of one step's table: an arity beyond it is no small step."""


@dataclass(frozen=True)
class Step:
    """One step: the token it writes is looked up from the tokens it reads."""

    reads: tuple[int, ...]
    """Positions it reads; inputs come first, then steps in order."""
    table: tuple[int, ...]
    """Its value for every combination of what it reads, the first position read counting most."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A function of d input tokens, computed by T steps.

    Raises:
        InputError: A step reads what is not there yet, or a table does not fit.

    Example:
        >>> task = Task(name="xor", inputs=2, alphabet=2, steps=(Step((0, 1), (0, 1, 1, 0)),))
        >>> task.labels(np.array([[0, 1], [1, 1]])).tolist()
        [[1], [0]]
    """

    name: str
    """What reports call it."""
    inputs: int
    """Number of input tokens d."""
    alphabet: int
    """Number of different tokens V."""
    steps: tuple[Step, ...]
    """The steps in the order in which they are written."""
    answer: tuple[int, ...] = (-1,)
    """Which steps make the answer, in the order in which it is written without steps; the last is the last of them."""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    """What else belongs in a manifest: the subset of a parity, a modulus."""

    def __post_init__(self) -> None:
        if self.inputs < 1 or self.alphabet < 2 or not self.steps:
            raise InputError(f"task '{self.name}' needs at least one input, two tokens and one step")
        for number, step in enumerate(self.steps):
            self._check(number, step)
        object.__setattr__(self, "answer", tuple(each % len(self.steps) for each in self.answer))

    def _check(self, number: int, step: Step) -> None:
        what = f"step {number} of task '{self.name}'"
        here = self.inputs + number
        if not step.reads or len(set(step.reads)) < len(step.reads):
            raise InputError(f"{what} reads {list(step.reads)}: give at least one position and none twice")
        if min(step.reads) < 0 or max(step.reads) >= here:
            raise InputError(f"{what} reads position {max(step.reads)}, but only 0 to {here - 1} stand before it")
        size = self.alphabet ** len(step.reads)
        if size > MAX_TABLE:
            raise InputError(f"{what} reads {len(step.reads)} tokens: a table of {size} entries is no small step")
        if len(step.table) != size:
            raise InputError(f"{what} has {len(step.table)} table entries: {len(step.reads)} reads need {size}")
        if min(step.table) < 0 or max(step.table) >= self.alphabet:
            raise InputError(f"{what} writes a token outside 0 to {self.alphabet - 1}")

    @property
    def length(self) -> int:
        """Number of steps T."""
        return len(self.steps)

    @property
    def arity(self) -> int:
        """Most tokens that one step reads, N."""
        return max(len(step.reads) for step in self.steps)

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Level of each step: 1 if it reads inputs only, else one more than the highest it reads."""
        found: list[int] = []
        for step in self.steps:
            found.append(1 + max(0 if read < self.inputs else found[read - self.inputs] for read in step.reads))
        return tuple(found)

    @property
    def depth(self) -> int:
        """Steps that must follow one another: the highest level."""
        return max(self.levels)

    @property
    def is_parity_tree(self) -> bool:
        """Whether all steps are exclusive ors and nothing is read twice: then any wrong step flips the answer."""
        reads = [read for step in self.steps for read in step.reads]
        return all(step.table == XOR for step in self.steps) and len(set(reads)) == len(reads)

    @cached_property
    def fingerprint(self) -> str:
        """Tells two tasks apart, 16 hexadecimal digits."""
        text = json.dumps([self.inputs, self.alphabet, [[s.reads, s.table] for s in self.steps], self.answer])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def labels(self, inputs: Int[np.ndarray, "rows d"]) -> Int[np.ndarray, "rows T"]:
        """What every step writes.

        Args:
            inputs: Input tokens.

        Raises:
            InputError: The shape does not fit, or a token is not in the alphabet.
        """
        tokens = np.asarray(inputs, dtype=np.int64)
        if tokens.ndim != 2 or tokens.shape[1] != self.inputs:
            raise InputError(f"task '{self.name}' reads rows of {self.inputs} tokens, got shape {tokens.shape}")
        if tokens.size and (tokens.min() < 0 or tokens.max() >= self.alphabet):
            raise InputError(f"task '{self.name}' knows tokens 0 to {self.alphabet - 1}: another was given")
        columns = list(tokens.T)
        for step in self.steps:
            place = np.zeros(len(tokens), dtype=np.int64)
            for read in step.reads:
                place = place * self.alphabet + columns[read]
            columns.append(np.asarray(step.table, dtype=np.int64)[place])
        return np.stack(columns[self.inputs :], axis=1)
