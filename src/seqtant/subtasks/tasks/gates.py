"""Named steps: Boolean gates of any arity, and sums modulo the size of the alphabet, as tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from seqtant.errors import InputError, suggest

XOR = (0, 1, 1, 0)
"""Exclusive or of two bits."""

_BOOLEAN: dict[str, Callable[[tuple[int, ...]], int]] = {
    "and": lambda bits: int(all(bits)),
    "or": lambda bits: int(any(bits)),
    "xor": lambda bits: sum(bits) % 2,
    "nand": lambda bits: int(not all(bits)),
    "nor": lambda bits: int(not any(bits)),
    "xnor": lambda bits: 1 - sum(bits) % 2,
    "not": lambda bits: 1 - bits[0],
    "majority": lambda bits: int(2 * sum(bits) > len(bits)),
}


def gate_table(gate: str, arity: int, alphabet: int = 2) -> tuple[int, ...]:
    """The table of a named gate.

    Args:
        gate: and, or, xor, nand, nor, xnor, not, majority (bits only), copy, or sum (modulo the alphabet).
        arity: Number of tokens read.
        alphabet: Number of different tokens.

    Raises:
        InputError: The name is unknown, or the gate is for bits and the alphabet is not.

    Example:
        >>> gate_table("and", 2), gate_table("sum", 1, 3)
        ((0, 0, 0, 1), (0, 1, 2))
    """
    if gate in ("copy", "not") and arity != 1:
        raise InputError(f"gate '{gate}' reads one token, not {arity}")
    rows = itertools.product(range(alphabet), repeat=arity)
    if gate in ("copy", "sum"):
        return tuple(sum(row) % alphabet for row in rows)
    if gate not in _BOOLEAN:
        known = [*_BOOLEAN, "copy", "sum"]
        raise InputError(f"unknown gate '{gate}'{suggest(gate, known)}: known are {', '.join(known)}")
    if alphabet != 2:
        raise InputError(f"gate '{gate}' is for bits, and this alphabet has {alphabet} tokens: give a table")
    return tuple(_BOOLEAN[gate](row) for row in rows)
