"""Evidence for tasks and numbers of shots: what single examples predict, what prompts show, when accuracy arrives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

from seqtant.findings import Estimate
from seqtant.icl import theory
from seqtant.icl.scoring.scores import Components


@dataclass(frozen=True)
class Separation:
    """What single examples of one task say against each rival, in nats per example."""

    rivals: tuple[int, ...]
    ratios: Float[np.ndarray, "examples rivals"]
    """Log-ratio of the task to the rival, whole example."""
    input_ratios: Float[np.ndarray, "examples rivals"]
    """The same of the input alone."""
    losses: Float[np.ndarray, "examples rivals"]
    """1 where the task's label is right and the rival's wrong, -1 the other way round."""
    log_odds: Float[np.ndarray, " rivals"]
    """Prior log-odds of the rival against the task."""
    log_prior: float

    @property
    def divergences(self) -> Float[np.ndarray, " rivals"]:
        """KL divergence per example from each rival."""
        return self.ratios.mean(axis=0)

    @property
    def nearest(self) -> int:
        """Column of the nearest rival."""
        return int(self.divergences.argmin())

    def moments(
        self, chosen: np.ndarray | None = None
    ) -> tuple[theory.Array, theory.Array, theory.Array, theory.Array]:
        """Mean and variance of the log-ratio, prior log-odds and accuracy lost, from all or some chosen examples."""
        ratios, losses = (part if chosen is None else part[chosen] for part in (self.ratios, self.losses))
        return ratios.mean(axis=0), ratios.var(axis=0, ddof=1), self.log_odds, losses.mean(axis=0).clip(0)

    def accuracy_shots(self, epsilon: float, chosen: Int[np.ndarray, " drawn"] | None = None) -> float:
        """Predicts the shots until accuracy is within eps of knowing the task."""
        return theory.accuracy_shots(*self.moments(chosen), epsilon)

    def identification_shots(self, epsilon: float, delta: float) -> float:
        """Predicts the shots until the posterior odds of the rivals are below eps in a share 1 - delta of prompts."""
        # Each rival is asked alone, all of them sharing the prior that is not the task's: the slowest one counts.
        prior = float(np.exp(self.log_prior))
        pairs = zip(self.ratios.mean(axis=0), self.ratios.var(axis=0, ddof=1), strict=True)
        return max(theory.identification_shots(float(m), float(v), prior, epsilon, delta) for m, v in pairs)


def separate(
    scores: Components, task: int, labels: Int[np.ndarray, " examples"], log_prior: Float[np.ndarray, " tasks"]
) -> Separation:
    """Measures what single examples of a task, given with the numbers of their labels, say against each rival."""
    # Accuracy is lost where the rival's favorite label differs: right under the task, wrong under the rival.
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


def accumulate(
    scores: Components, log_prior: Float[np.ndarray, " tasks"], prompts: int
) -> Float[np.ndarray, "tasks prompts queries"]:
    """Adds up the evidence of every prompt's examples to the log posterior of every task before each query.

    log w_t(k) = log pi_t + sum over i <= k of log P_t(example i), normalized: exact if examples are independent given
    the task. ``scores`` holds the examples one prompt after the other, all prompts of equal length.
    """
    whole = scores.whole.reshape(len(log_prior), prompts, -1)
    # Before query k only the examples 0 to k - 1 count: cumulative sums, shifted by one.
    before = np.concatenate([np.zeros((*whole.shape[:2], 1)), whole[..., :-1].cumsum(axis=2)], axis=2)
    # Bayes up to a constant per query; the logsumexp over tasks is that constant.
    joint = before + log_prior[:, None, None]
    return joint - np.logaddexp.reduce(joint, axis=0)


def bayes_gap(
    predicted: Float[np.ndarray, "prompts queries labels"], log_probs: Float[np.ndarray, "prompts queries labels"]
) -> Float[np.ndarray, "prompts queries"]:
    """Computes KL(mixture || model) of the label, both normalized over the labels alone, in nats."""
    ours = np.log(predicted) - np.log(predicted.sum(axis=2, keepdims=True))
    theirs = log_probs - np.logaddexp.reduce(log_probs, axis=2, keepdims=True)
    return (np.exp(ours) * (ours - theirs)).sum(axis=2)


def task_weights(
    log_probs: Float[np.ndarray, "probes labels"],
    tasks: Float[np.ndarray, "tasks probes labels"],
    *,
    steps: int = 500,
) -> Float[np.ndarray, " tasks"]:
    """Fits the mixture of tasks that is nearest to the model's answers, by expectation maximization.

    Maximizes sum over probes and labels of p(label) log sum_t w_t P_t(label), which is concave in the weights, so that
    equal weights to start from lead to the maximum.

    Example:
        >>> tasks = np.log([[[0.9, 0.1]], [[0.1, 0.9]]])
        >>> task_weights(np.log([[0.7, 0.3]]), tasks).round(3).tolist()
        [0.75, 0.25]
    """
    # Both normalized over the labels alone: other tokens that the model may give are no evidence here.
    share = np.exp(log_probs - np.logaddexp.reduce(log_probs, axis=1, keepdims=True))
    alone = np.exp(tasks - np.logaddexp.reduce(tasks, axis=2, keepdims=True))
    weights = np.full(len(tasks), 1 / len(tasks))
    for _ in range(steps):
        # Share of each task in explaining each label, weighted by how likely the model gives that label.
        joint = weights[:, None, None] * alone  # [tasks, probes, labels]
        # E step: posterior of the task given the label; M step: its mean over the model's labels.
        after = (share * joint / joint.sum(axis=0)).sum(axis=(1, 2)) / share.sum()
        if np.abs(after - weights).max() < 1e-9:
            return after
        weights = after
    return weights


@dataclass(frozen=True)
class ShotCurve:
    """Accuracy missing to the many-shot plateau, query by query, after 0, 1, 2, ... shots."""

    losses: Float[np.ndarray, "prompts queries"]
    """1 where only the plateau is right, -1 where only the prompt is, else 0."""

    @property
    def mean(self) -> Float[np.ndarray, " queries"]:
        """Mean loss after each number of shots."""
        return self.losses.mean(axis=0)

    @property
    def error(self) -> Float[np.ndarray, " queries"]:
        """Its standard error; prompts are independent, the queries of one are not."""
        return self.losses.std(axis=0, ddof=1) / math.sqrt(len(self.losses))

    def shots(self, epsilon: float, chosen: np.ndarray | None = None) -> float:
        """Finds the fewest shots, at least 1, with a loss within eps that no larger number surely exceeds again.

        Args:
            epsilon: Accuracy that may be missing.
            chosen: Numbers of the prompts to use, for resampling; None uses all.

        Returns:
            A whole number; infinite where the prompts do not hold enough shots.

        Example:
            >>> ShotCurve(np.repeat([[1.0, 0.4, 0.03, 0.01]], 9, axis=0)).shots(0.05)
            2.0
        """
        # A later loss counts as a relapse only where its 95 % interval lies above eps; noise alone must not.
        curve = self if chosen is None else ShotCurve(self.losses[chosen])
        # Lower end of the interval: above eps only where the loss surely is.
        mean, surely = curve.mean, curve.mean - float(ndtri(0.975)) * curve.error
        for shots in range(1, len(mean)):
            if mean[shots] <= epsilon and (surely[shots + 1 :] <= epsilon).all():
                return float(shots)
        return math.inf


def resample_shots(
    statistic: Callable[[np.ndarray | None], float], size: int, resamples: int, generator: np.random.Generator
) -> Estimate:
    """Resamples a number of shots for its bootstrap interval, whose ends may lie beyond what was measured: infinite.

    ``statistic`` gives the number from some of ``size`` prompts or examples, drawn with replacement, or None for all.
    """
    value = statistic(None)
    draws = np.array([statistic(generator.integers(size, size=size)) for _ in range(resamples)])
    # Order statistics, not interpolated quantiles: a mean with infinity would be no number.
    low, high = np.sort(draws)[[int(0.025 * resamples), min(resamples - 1, math.ceil(0.975 * resamples))]]
    return Estimate(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        method="cluster bootstrap",
        n=size,
        clusters=size,
        unit="shots",
    )


def identified_share(posterior: Float[np.ndarray, "prompts queries"], epsilon: float) -> Float[np.ndarray, " queries"]:
    """Counts the share of prompts whose rivals have together posterior odds of at most eps, per number of shots."""
    # Odds against the task are (1 - w) / w: w >= 1 / (1 + eps), which is more than w >= 1 - eps.
    return ((1 - posterior) <= epsilon * posterior).mean(axis=0)


def first_shots(shares: Float[np.ndarray, " queries"], least: float) -> float:
    """Finds the fewest shots from which on a share stays at least so large; infinite if it never does.

    Example:
        >>> first_shots(np.array([0.2, 0.96, 0.9, 0.97, 0.99]), 0.95)
        3.0
    """
    # The answer is one past the last number of shots that falls short, if that is not the last one measured.
    below = np.flatnonzero(shares < least)
    if not len(below):
        return 0.0
    return float(below[-1] + 1) if below[-1] + 1 < len(shares) else math.inf
