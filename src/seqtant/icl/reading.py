"""The task a model has in mind, read off its answers: which mixture of the tasks' own answers explains them best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from seqtant.icl.components import score_lines
from seqtant.icl.encoding import EncodedExample, Ids
from seqtant.lm.interface import CausalLM


def answers_to(
    model: CausalLM, prefixes: Sequence[Ids], probes: Sequence[EncodedExample], *, tokens_per_batch: int | None = None
) -> Float[np.ndarray, "prefixes probes labels"]:
    """Log-probability of every label of some probes behind each prefix, which is read once.

    Args:
        model: The model.
        prefixes: Prompts that end with a whole example.
        probes: Inputs that are asked.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
    """
    heads = [probe.ids[: probe.label[0]] for probe in probes]
    lines = [head + ids for head, probe in zip(heads, probes, strict=True) for ids in probe.answers]
    scores = score_lines(model, prefixes, [*lines, *heads], tokens_per_batch=tokens_per_batch)
    joint = scores[:, : len(lines)].reshape(len(prefixes), len(probes), -1)
    return joint - scores[:, len(lines) :, None]


def task_weights(
    said: Float[np.ndarray, "probes labels"],
    tasks: Float[np.ndarray, "tasks probes labels"],
    *,
    start: Float[np.ndarray, " tasks"] | None = None,
    steps: int = 500,
) -> Float[np.ndarray, " tasks"]:
    """Weights of the mixture of tasks that is nearest to what the model said, by expectation maximisation.

    Maximises sum over probes and labels of p(label) log sum_t w_t P_t(label); the fit is convex, so that its maximum is
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
