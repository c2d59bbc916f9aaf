"""Kim and Suzuki's one-layer model: a single gradient step finds the two children of every step of a parity.

Each step looks at the earlier tokens through a softmax over positions and passes their mean through a quadratic link.
From zero weights one step of squared loss with the true steps given puts the softmax on the two children.

Source: Kim and Suzuki, "Transformers Provably Solve Parity Efficiently with Chain of Thought", arXiv 2410.08633. The
step is scaled by the square of the number of earlier tokens, row by row, which is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from seqtant.subtasks.tasks.parity import parity
from seqtant.subtasks.tasks.task import Task
from seqtant.subtasks.theory import first_gradient, link


@dataclass(frozen=True)
class OneStep:
    """What the one step learned."""

    task: Task
    weights: tuple[Float[np.ndarray, " earlier"], ...]
    """Softmax weights of each step over the tokens before it."""
    children_found: Int[np.ndarray, " steps"]
    """1 where the two most negative gradients are exactly the two tokens that the step reads."""


def learn(bits: int, subset_size: int, samples: int, *, scale: float, generator: np.random.Generator) -> OneStep:
    """Takes the one gradient step.

    Args:
        bits: Number of bits.
        subset_size: Bits whose parity is wanted.
        samples: Training inputs.
        scale: Size of the step in units of the squared number of earlier tokens.
        generator: Source of the subset and the inputs.
    """
    subset = generator.permutation(bits)[:subset_size].tolist()
    task = parity(bits, subset=subset)
    tokens = _signs(task, generator.integers(2, size=(samples, bits), dtype=np.int64))
    weights, found = [], []
    for number, step in enumerate(task.steps):
        here = bits + number
        gradient = first_gradient(tokens[:, :here], tokens[:, here])
        found.append(set(np.argsort(gradient)[:2].tolist()) == set(step.reads))
        weights.append(softmax(-scale * here**2 * gradient))
    return OneStep(task, tuple(weights), np.array(found, dtype=np.int64))


def answers(learned: OneStep, rows: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Solves fresh inputs on the model's own steps.

    Returns:
        Whether each answer has the right sign, and the largest error of the last step's value.
    """
    task = learned.task
    inputs = generator.integers(2, size=(rows, task.inputs), dtype=np.int64)
    truth = _signs(task, inputs)
    own = truth.copy()
    for number, weights in enumerate(learned.weights):
        here = task.inputs + number
        own[:, here] = link(own[:, :here] @ weights)
    error = np.abs(own[:, -1] - truth[:, -1])
    return np.sign(own[:, -1]) == truth[:, -1], error


def _signs(task: Task, inputs: Int[np.ndarray, "n d"]) -> Float[np.ndarray, "n tokens"]:
    """Inputs and true steps as +-1, where 1 is an even parity."""
    return 1.0 - 2.0 * np.concatenate([inputs, task.labels(inputs)], axis=1)
