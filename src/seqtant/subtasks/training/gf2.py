"""The hidden subset by Gaussian elimination modulo two: as many samples as bits and no gradient at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from seqtant.errors import InputError


@dataclass(frozen=True)
class Solution:
    """What elimination found."""

    subset: tuple[int, ...] | None
    """The bits whose parity is every answer; None if there are none such, or more than one subset fits."""
    rank: int
    """Independent rows."""
    consistent: bool
    """Whether any subset fits all rows."""


def solve_gf2(inputs: Int[np.ndarray, "n d"], answers: Sequence[int] | Int[np.ndarray, " n"]) -> Solution:
    """Finds the subset of bits whose parity is the answer of every row.

    Rows are Python integers with one bit per column, so that one exclusive or adds two rows.

    Args:
        inputs: Bits.
        answers: One bit per row.

    Raises:
        InputError: There are not as many answers as rows, or something is no bit.

    Example:
        >>> solve_gf2(np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1]]), [0, 1, 1]).subset
        (0, 2)
    """
    bits = np.asarray(inputs)
    wanted = np.asarray(answers)
    if bits.ndim != 2 or wanted.shape != bits.shape[:1] or not len(bits):
        raise InputError(f"{wanted.size} answers for inputs of shape {bits.shape}: give one bit for each row of bits")
    if not (np.isin(bits, (0, 1)).all() and np.isin(wanted, (0, 1)).all()):
        raise InputError("inputs and answers must be bits, 0 or 1")
    width = bits.shape[1]
    pivots: dict[int, int] = {}
    for row in _as_integers(np.concatenate([wanted[:, None], bits], axis=1)):
        left = row
        while left >> 1:
            place = left.bit_length() - 2
            if place not in pivots:
                pivots[place] = left
                break
            left ^= pivots[place]
        if left == 1:
            return Solution(None, len(pivots), consistent=False)
    if len(pivots) < width:
        return Solution(None, len(pivots), consistent=True)
    return Solution(_substituted(pivots), width, consistent=True)


def _as_integers(rows: np.ndarray) -> list[int]:
    """Column j of a row becomes binary digit j: digit 0 is the answer."""
    packed = np.packbits(rows.astype(np.uint8), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def _substituted(pivots: dict[int, int]) -> tuple[int, ...]:
    """Solves the triangular system, lowest column first: the row of a pivot holds that column and lower ones."""
    known = 0
    for place in sorted(pivots):
        row = pivots[place]
        below = row >> 1 & ((1 << place) - 1)
        if (row & 1) ^ ((below & known).bit_count() & 1):
            known |= 1 << place
    return tuple(place for place in range(len(pivots)) if known >> place & 1)
