"""The task a model has in mind, read off its answers: which mixture of the tasks' own answers explains them best."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def task_weights(
    said: Float[np.ndarray, "probes labels"],
    tasks: Float[np.ndarray, "tasks probes labels"],
    *,
    start: Float[np.ndarray, " tasks"] | None = None,
    steps: int = 500,
) -> Float[np.ndarray, " tasks"]:
    """Weights of the mixture of tasks that is nearest to what the model said, by expectation maximization.

    Maximizes sum over probes and labels of p(label) log sum_t w_t P_t(label); the fit is convex, so that its maximum is
    found from any positive start.

    Args:
        said: Log-probabilities of the labels.
        tasks: The same under every task alone.
        start: First weights; equal by default.
        steps: Most steps.

    Example:
        >>> tasks = np.log([[[0.9, 0.1]], [[0.1, 0.9]]])
        >>> task_weights(np.log([[0.7, 0.3]]), tasks).round(3).tolist()
        [0.75, 0.25]
    """
    share = np.exp(said - np.logaddexp.reduce(said, axis=1, keepdims=True))
    alone = np.exp(tasks - np.logaddexp.reduce(tasks, axis=2, keepdims=True))
    weights = np.full(len(tasks), 1 / len(tasks)) if start is None else start
    for _ in range(steps):
        joint = weights[:, None, None] * alone
        after = (share * joint / joint.sum(axis=0)).sum(axis=(1, 2)) / share.sum()
        if np.abs(after - weights).max() < 1e-9:
            return after
        weights = after
    return weights
