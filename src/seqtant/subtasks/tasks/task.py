"""A compound task as a sequence of steps: each step writes one token, a function of a few earlier tokens.

A step is a look-up table. Its table is given, or built from a named gate; circuits of steps are read from JSON.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from seqtant.errors import InputError, suggest

MAX_TABLE = 1_000_000
"""Most entries of one step's table: an arity beyond it is no small step."""
XOR = (0, 1, 1, 0)
"""Table of the exclusive or of two bits."""

BOOLEAN_GATES: dict[str, Callable[[tuple[int, ...]], int]] = {
    "and": lambda bits: int(all(bits)),
    "or": lambda bits: int(any(bits)),
    "xor": lambda bits: sum(bits) % 2,
    "nand": lambda bits: int(not all(bits)),
    "nor": lambda bits: int(not any(bits)),
    "xnor": lambda bits: 1 - sum(bits) % 2,
    "not": lambda bits: 1 - bits[0],
    "majority": lambda bits: int(2 * sum(bits) > len(bits)),
}
CIRCUIT_KEYS = {"name", "inputs", "alphabet", "steps", "answer"}


@dataclass(frozen=True)
class Step:
    """One step: the token it writes is looked up from the tokens it reads."""

    reads: tuple[int, ...]
    """Positions it reads: inputs come first, then steps in order."""
    table: tuple[int, ...]
    """Its value for every combination of the tokens read; the first position read is the most significant digit."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A function of d input tokens, computed by T steps.

    Raises:
        InputError: A step reads a position that is not before it, or a table does not fit.

    Example:
        >>> task = Task(name="xor", inputs=2, alphabet=2, steps=(Step((0, 1), (0, 1, 1, 0)),))
        >>> task.labels(np.array([[0, 1], [1, 1]])).tolist()
        [[1], [0]]
    """

    name: str
    """Name in reports."""
    inputs: int
    """Number of input tokens d."""
    alphabet: int
    """Number of different tokens V."""
    steps: tuple[Step, ...]
    """The steps, in the order in which they are written."""
    answer: tuple[int, ...] = (-1,)
    """Indices of the steps that form the answer, in the order in which it is written when no steps are; the last of
    them is the last step."""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further entries of the manifest: the subset of a parity, a modulus."""

    def __post_init__(self) -> None:
        if self.inputs < 1 or self.alphabet < 2 or not self.steps:
            raise InputError(f"task '{self.name}' needs at least one input, two tokens and one step")
        for number, step in enumerate(self.steps):
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
        # Negative indices count from the end, as in Python: the default is the last step.
        object.__setattr__(self, "answer", tuple(each % len(self.steps) for each in self.answer))

    @property
    def length(self) -> int:
        """Number of steps T."""
        return len(self.steps)

    @property
    def arity(self) -> int:
        """Largest number of tokens that one step reads, N."""
        return max(len(step.reads) for step in self.steps)

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Level of each step: 1 if it reads inputs only, else one more than the highest level it reads."""
        # Steps are in topological order, so every level it reads is known by then.
        found: list[int] = []
        for step in self.steps:
            found.append(1 + max(0 if read < self.inputs else found[read - self.inputs] for read in step.reads))
        return tuple(found)

    @property
    def depth(self) -> int:
        """Number of steps that must follow one another: the highest level."""
        return max(self.levels)

    @property
    def is_parity_tree(self) -> bool:
        """Whether all steps are exclusive ors and nothing is read twice: then any wrong step flips the answer."""
        # Read once each, exclusive ors form a tree; a value that is read twice could cancel itself.
        reads = [read for step in self.steps for read in step.reads]
        return all(step.table == XOR for step in self.steps) and len(set(reads)) == len(reads)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of inputs, steps and answer, 16 hexadecimal digits."""
        text = json.dumps([self.inputs, self.alphabet, [[s.reads, s.table] for s in self.steps], self.answer])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def labels(self, inputs: Int[np.ndarray, "rows d"]) -> Int[np.ndarray, "rows T"]:
        """Computes the true token of every step.

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
            # Horner's rule: the tokens read are the digits, base V, of the index into the table.
            index = np.zeros(len(tokens), dtype=np.int64)
            for read in step.reads:
                index = index * self.alphabet + columns[read]
            columns.append(np.asarray(step.table, dtype=np.int64)[index])
        return np.stack(columns[self.inputs :], axis=1)


def gate_table(gate: str, arity: int, alphabet: int = 2) -> tuple[int, ...]:
    """Builds the table of a named gate: copy, sum (modulo the alphabet), or one of ``BOOLEAN_GATES`` (bits only).

    Example:
        >>> gate_table("and", 2), gate_table("sum", 1, 3)
        ((0, 0, 0, 1), (0, 1, 2))
    """
    if gate in ("copy", "not") and arity != 1:
        raise InputError(f"gate '{gate}' reads one token, not {arity}")
    # The order of product is that of Step.table: the first position varies slowest.
    rows = itertools.product(range(alphabet), repeat=arity)
    if gate in ("copy", "sum"):
        return tuple(sum(row) % alphabet for row in rows)
    if gate not in BOOLEAN_GATES:
        known = [*BOOLEAN_GATES, "copy", "sum"]
        raise InputError(f"unknown gate '{gate}'{suggest(gate, known)}: known are {', '.join(known)}")
    if alphabet != 2:
        raise InputError(f"gate '{gate}' is for bits, and this alphabet has {alphabet} tokens: give a table")
    return tuple(BOOLEAN_GATES[gate](row) for row in rows)


def read_circuit(path: str | Path) -> Task:
    """Reads a circuit from a JSON file.

    ``{"inputs": 3, "steps": [{"reads": [0, 1], "gate": "and"}, {"reads": [3, 2], "table": [0, 1, 1, 0]}]}``; optional
    are ``name``, ``alphabet`` (2 by default) and ``answer`` (indices of the steps that form the answer, by default the
    last).
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"no file '{path}': give a JSON file with 'inputs' and 'steps'")
    try:
        data: Any = json.loads(file.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"'{path}' is not JSON: {str(error).splitlines()[0]}") from error
    return from_circuit(data, name=file.stem)


def from_circuit(data: Any, *, name: str = "circuit") -> Task:
    """Builds a task from JSON data in the format of :func:`read_circuit`.

    Raises:
        InputError: A key is missing, unknown or does not fit.

    Example:
        >>> from_circuit({"inputs": 2, "steps": [{"reads": [0, 1], "gate": "or"}]}).steps[0].table
        (0, 1, 1, 1)
    """
    steps = data.get("steps") if isinstance(data, Mapping) else None
    if not isinstance(steps, list) or not steps or type(data.get("inputs")) is not int:
        raise InputError(f"circuit '{name}' needs 'inputs' (a number) and 'steps' (a list with at least one step)")
    unknown = set(data) - CIRCUIT_KEYS
    if unknown:
        raise InputError(
            f"circuit '{name}' has unknown key '{sorted(unknown)[0]}': known are {', '.join(sorted(CIRCUIT_KEYS))}"
        )
    alphabet = data.get("alphabet", 2)
    if type(alphabet) is not int or alphabet < 2:
        raise InputError(f"circuit '{name}' has alphabet {alphabet!r}: give a whole number of at least 2")
    built: list[Step] = []
    for number, step in enumerate(steps):
        what = f"step {number} of '{name}'"
        if not isinstance(step, Mapping) or not _all_int(step.get("reads")):
            raise InputError(f"{what} needs 'reads', a list of positions")
        reads = tuple(step["reads"])
        # Checked before a gate's table is built: the power is capped, since a table of 2^10000 entries has no size.
        if alphabet ** min(len(reads), 64) > MAX_TABLE:
            raise InputError(f"{what} reads {len(reads)} tokens: that is no small step, split it")
        if _all_int(step.get("table")):
            built.append(Step(reads, tuple(step["table"])))
        elif isinstance(step.get("gate"), str):
            built.append(Step(reads, gate_table(step["gate"], len(reads), alphabet)))
        else:
            raise InputError(f"{what} needs 'gate' (a name) or 'table' (a list of tokens)")
    answer = tuple(data.get("answer", (-1,)))
    if not answer or not all(type(each) is int and -len(built) <= each < len(built) for each in answer):
        raise InputError(f"circuit '{name}' has answer {list(answer)}: name some of its {len(built)} steps")
    return Task(
        name=str(data.get("name", name)), inputs=data["inputs"], alphabet=alphabet, steps=tuple(built), answer=answer
    )


def to_circuit(task: Task) -> dict[str, object]:
    """Converts a task to JSON data, the inverse of :func:`from_circuit`."""
    return {
        "name": task.name,
        "inputs": task.inputs,
        "alphabet": task.alphabet,
        "steps": [{"reads": list(step.reads), "table": list(step.table)} for step in task.steps],
        "answer": list(task.answer),
    }


def _all_int(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(type(each) is int for each in value)
