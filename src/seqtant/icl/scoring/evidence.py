"""Evidence about the task, example by example: what separates it from its rivals, and what a prompt has gathered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from seqtant.icl import theory
from seqtant.icl.scoring.components import Components


@dataclass(frozen=True)
class Separation:
    """How single examples of one task tell it from each rival, in nats per example."""

    rivals: tuple[int, ...]
    """Numbers of the rivals."""
    ratios: Float[np.ndarray, "examples rivals"]
    """Log-ratio of the task to the rival, whole example."""
    input_ratios: Float[np.ndarray, "examples rivals"]
    """The same of the input alone."""
    losses: Float[np.ndarray, "examples rivals"]
    """1 where the task's label is right and the rival's wrong, -1 the other way round."""
    log_odds: Float[np.ndarray, " rivals"]
    """Prior log-odds of the rival against the task."""
    log_prior: float
    """Log prior of the task."""

    @property
    def divergences(self) -> Float[np.ndarray, " rivals"]:
        """KL divergence per example from each rival."""
        return self.ratios.mean(axis=0)

    def accuracy_shots(self, epsilon: float, chosen: Int[np.ndarray, " drawn"] | None = None) -> float:
        """Predicted shots until accuracy is within eps of knowing the task.

        Args:
            epsilon: Accuracy that may be missing.
            chosen: Numbers of the examples to use, for resampling; None uses all.
        """
        ratios = self.ratios if chosen is None else self.ratios[chosen]
        losses = self.losses if chosen is None else self.losses[chosen]
        return theory.accuracy_shots(
            ratios.mean(axis=0), ratios.var(axis=0, ddof=1), self.log_odds, losses.mean(axis=0).clip(0), epsilon
        )

    def identification_shots(self, epsilon: float, delta: float) -> float:
        """Predicted shots until the posterior odds of the rivals are below eps in a share 1 - delta of prompts."""
        prior = float(np.exp(self.log_prior))
        pairs = zip(self.ratios.mean(axis=0), self.ratios.var(axis=0, ddof=1), strict=True)
        return max(theory.identification_shots(float(m), float(v), prior, epsilon, delta) for m, v in pairs)

    def loss_curve(self, shots: Sequence[int]) -> Float[np.ndarray, " shots"]:
        """Predicted loss of accuracy after some numbers of shots."""
        return theory.expected_loss(
            shots, self.divergences, self.ratios.var(axis=0, ddof=1), self.log_odds, self.losses.mean(axis=0).clip(0)
        )


def separation(
    scores: Components, task: int, labels: Int[np.ndarray, " examples"], log_prior: Float[np.ndarray, " tasks"]
) -> Separation:
    """What single examples of a task say against each of its rivals.

    Args:
        scores: The examples under every task.
        task: Number of the true task.
        labels: Number of each example's label.
        log_prior: Log prior of every task.
    """
    rivals = tuple(number for number in range(len(log_prior)) if number != task)
    right = scores.labels.argmax(axis=2) == labels
    others = list(rivals)
    return Separation(
        rivals,
        (scores.whole[task] - scores.whole[others]).T,
        (scores.inputs[task] - scores.inputs[others]).T,
        (right[task].astype(float) - right[others]).T,
        log_prior[others] - log_prior[task],
        float(log_prior[task]),
    )


@dataclass(frozen=True)
class Gathered:
    """What prompts have gathered after every number of shots, if examples are independent given the task."""

    log_posterior: Float[np.ndarray, "tasks prompts queries"]
    """Log posterior of every task before each query."""

    def predicted(self, scores: Components) -> Float[np.ndarray, "prompts queries labels"]:
        """The mixture's distribution of each query's label, the query's own input counted."""
        shape = self.log_posterior.shape
        joint = self.log_posterior + scores.inputs.reshape(shape)
        joint = joint - np.logaddexp.reduce(joint, axis=0)
        labels = scores.labels.reshape(*shape, -1)
        return np.exp(np.logaddexp.reduce(joint[..., None] + labels, axis=0))


def gather(scores: Components, log_prior: Float[np.ndarray, " tasks"], prompts: int) -> Gathered:
    """Adds up the evidence of every prompt's examples, which are scored one prompt after the other."""
    whole = scores.whole.reshape(len(log_prior), prompts, -1)
    before = np.concatenate([np.zeros((*whole.shape[:2], 1)), whole[..., :-1].cumsum(axis=2)], axis=2)
    joint = before + log_prior[:, None, None]
    return Gathered(joint - np.logaddexp.reduce(joint, axis=0))


def bayes_gap(
    predicted: Float[np.ndarray, "prompts queries labels"], said: Float[np.ndarray, "prompts queries labels"]
) -> Float[np.ndarray, "prompts queries"]:
    """KL(mixture || model) of the label, both among the labels alone, in nats.

    Args:
        predicted: The mixture's probabilities.
        said: The model's log-probabilities.
    """
    ours = np.log(predicted) - np.log(predicted.sum(axis=2, keepdims=True))
    theirs = said - np.logaddexp.reduce(said, axis=2, keepdims=True)
    return (np.exp(ours) * (ours - theirs)).sum(axis=2)
