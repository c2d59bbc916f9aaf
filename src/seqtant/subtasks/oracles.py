"""Two oracles for parities: Gaussian elimination, which needs no gradient, and one gradient step that finds all steps.

Elimination finds the hidden subset modulo two from about as many samples as bits.

The one-layer model of Kim and Suzuki looks at the earlier tokens through a softmax over positions and passes their mean
through a quadratic link. From zero weights one gradient step of squared loss, given the true steps, puts the softmax of
every step on its two children. Source: "Transformers Provably Solve Parity Efficiently with Chain of Thought", arXiv
2410.08633; here the step is scaled by the square of the number of earlier tokens, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from seqtant.errors import InputError
from seqtant.subtasks.tasks.builtin import parity
from seqtant.subtasks.tasks.task import Task
from seqtant.subtasks.theory import first_gradient, link


@dataclass(frozen=True)
class Elimination:
    """The outcome of Gaussian elimination."""

    subset: tuple[int, ...] | None
    """The bits whose parity is every answer; None if there are none such, or more than one subset fits."""
    rank: int
    """Number of independent rows."""
    consistent: bool
    """Whether any subset fits all rows."""


def eliminate(inputs: Int[np.ndarray, "n d"], answers: Sequence[int] | Int[np.ndarray, " n"]) -> Elimination:
    """Finds the subset of bits whose parity is the answer of every row, by Gaussian elimination modulo two.

    Args:
        inputs: Bits.
        answers: One bit per row.

    Raises:
        InputError: There are not as many answers as rows, or something is no bit.

    Example:
        >>> eliminate(np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1]]), [0, 1, 1]).subset
        (0, 2)
    """
    bits = np.asarray(inputs)
    wanted = np.asarray(answers)
    if bits.ndim != 2 or wanted.shape != bits.shape[:1] or not len(bits):
        raise InputError(f"{wanted.size} answers for inputs of shape {bits.shape}: give one bit for each row of bits")
    if not (np.isin(bits, (0, 1)).all() and np.isin(wanted, (0, 1)).all()):
        raise InputError("inputs and answers must be bits, 0 or 1")
    width = bits.shape[1]
    # A row is one Python integer, so that one exclusive or adds two rows: binary digit 0 is the answer, digit j + 1
    # the input bit j.
    packed = np.packbits(np.concatenate([wanted[:, None], bits], axis=1).astype(np.uint8), axis=1, bitorder="little")
    pivots: dict[int, int] = {}  # leading bit -> the row that has it; it holds that bit and lower ones only
    for row in packed:
        left = int.from_bytes(row.tobytes(), "little")
        while left >> 1:
            # The highest binary digit is bit_length - 1, and digit j + 1 is input bit j.
            leading = left.bit_length() - 2
            if leading not in pivots:
                pivots[leading] = left
                break
            left ^= pivots[leading]
        if left == 1:
            # No bits are left, but the answer is 1: the equation 0 = 1.
            return Elimination(None, len(pivots), consistent=False)
    if len(pivots) < width:
        return Elimination(None, len(pivots), consistent=True)
    # Forward substitution, lowest bit first: bit p is the answer minus the parity of the known lower bits of its row.
    known = 0
    for leading in range(width):
        row = pivots[leading]
        lower = row >> 1 & ((1 << leading) - 1)
        if (row & 1) ^ ((lower & known).bit_count() & 1):
            known |= 1 << leading
    return Elimination(tuple(bit for bit in range(width) if known >> bit & 1), width, consistent=True)


@dataclass(frozen=True)
class OneStep:
    """The model after its one gradient step."""

    task: Task
    weights: tuple[Float[np.ndarray, " earlier"], ...]
    """Softmax weights of each step over the tokens before it."""
    children_found: Int[np.ndarray, " steps"]
    """1 where the two most negative gradients are exactly the two tokens that the step reads."""


def learn_in_one_step(
    bits: int, subset_size: int, samples: int, scale: float, generator: np.random.Generator
) -> OneStep:
    """Takes the one gradient step from zero weights; ``scale`` is in units of the squared number of earlier tokens."""
    subset = generator.permutation(bits)[:subset_size].tolist()
    task = parity(bits, subset=subset)
    tokens = _signs(task, generator.integers(2, size=(samples, bits), dtype=np.int64))
    weights, found = [], []
    for number, step in enumerate(task.steps):
        earlier = bits + number
        gradient = first_gradient(tokens[:, :earlier], tokens[:, earlier])
        # A child has a gradient of about -8 / m^2, any other token one of lower order.
        found.append(set(np.argsort(gradient)[:2].tolist()) == set(step.reads))
        weights.append(softmax(-scale * earlier**2 * gradient))
    return OneStep(task, tuple(weights), np.array(found, dtype=np.int64))


def solve_in_one_step(learned: OneStep, rows: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Solves fresh inputs on own steps: whether each sign is right, and the error of the last step's value, [rows]."""
    task = learned.task
    inputs = generator.integers(2, size=(rows, task.inputs), dtype=np.int64)
    truth = _signs(task, inputs)
    own = truth.copy()
    for number, weights in enumerate(learned.weights):
        # Every true step is overwritten before a later one reads it.
        earlier = task.inputs + number
        own[:, earlier] = link(own[:, :earlier] @ weights)
    error = np.abs(own[:, -1] - truth[:, -1])
    return np.sign(own[:, -1]) == truth[:, -1], error


def _signs(task: Task, inputs: Int[np.ndarray, "n d"]) -> Float[np.ndarray, "n tokens"]:
    """Inputs and true steps as +-1, where 1 is an even parity."""
    return 1.0 - 2.0 * np.concatenate([inputs, task.labels(inputs)], axis=1)
