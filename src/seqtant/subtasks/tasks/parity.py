"""Bit-subset parity with its published steps: the tree of exclusive ors over a hidden half of the bits.

Source: Wies, Levine and Shashua, ICLR 2023, and its official code (MIT license), whose order of bits, pairs and steps
this follows: the subset is the first half of a random permutation *in the permutation's order*, and a queue of subset
bits followed by earlier steps is cut into consecutive pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from seqtant.errors import InputError
from seqtant.subtasks.tasks.gates import XOR
from seqtant.subtasks.tasks.task import Step, Task

Order = Literal["tree", "chain"]


def draw_subset(bits: int, seed: int) -> tuple[int, ...]:
    """The hidden half of the bits that the published code draws from a seed, in its order.

    Example:
        >>> draw_subset(8, 27) == tuple(dict.fromkeys(draw_subset(8, 27)))
        True
    """
    legacy = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    return tuple(int(index) for index in legacy.permutation(bits)[: bits // 2])


def parity(bits: int, *, subset: Sequence[int] | None = None, seed: int = 0, order: Order = "tree") -> Task:
    """Parity of a hidden subset of the bits, step by step.

    Args:
        bits: Number of bits d.
        subset: Positions of the subset in the order in which they are paired; by default d/2 drawn from the seed.
        seed: Seed of the subset.
        order: The published tree (log2 many levels), or a chain of running parities.

    Raises:
        InputError: The published tree does not exist for that many bits, or the subset does not fit.

    Example:
        >>> [step.reads for step in parity(8, subset=(5, 1, 7, 2)).steps]
        [(5, 1), (7, 2), (8, 9)]
    """
    if bits < 4 or (subset is None and bits % 4):
        raise InputError(f"bits is {bits}: the published steps pair up d/2 bits, so give a multiple of 4, at least 4")
    chosen = draw_subset(bits, seed) if subset is None else tuple(subset)
    if len(set(chosen)) < len(chosen) or not all(0 <= index < bits for index in chosen):
        raise InputError(f"subset {list(chosen)} must hold different positions from 0 to {bits - 1}")
    if len(chosen) < 2 or (order == "tree" and len(chosen) % 2):
        raise InputError(f"subset has {len(chosen)} positions: a tree pairs them up, give an even number")
    reads = _tree(bits, chosen) if order == "tree" else _chain(bits, chosen)
    return Task(
        name=f"parity of {len(chosen)} of {bits} bits",
        inputs=bits,
        alphabet=2,
        steps=tuple(Step(pair, XOR) for pair in reads),
        facts={"subset": list(chosen), "order": order},
    )


def _tree(bits: int, subset: tuple[int, ...]) -> list[tuple[int, int]]:
    queue = [*subset, *range(bits, bits + len(subset) - 2)]
    return [(queue[2 * step], queue[2 * step + 1]) for step in range(len(subset) - 1)]


def _chain(bits: int, subset: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(subset[0], subset[1]), *((bits + step, bit) for step, bit in enumerate(subset[2:]))]
