"""How many examples a prompt must hold, in closed form: the published bounds, sharper ones, and what data can predict.

Letters are those of Wies, Levine and Shashua (arXiv 2303.07895), "The Learnability of In-Context Learning":

- ``k`` examples in the prompt, each of ``T`` tokens (input, label, delimiter); ``phi*`` the true task, ``phi`` a rival
- ``KL`` divergence of a whole example, KL(P_phi*(x y) || P_phi(x y)), inputs included, in nats
- ``c1`` in (0, 1]: examples are independent across the delimiter up to a factor between c1 and 1/c1 (Assumption 2)
- ``c2`` in (0, 1): every token has at least this probability, after any prefix, in every task (Assumption 3)
- ``c3`` in (0, 1/2]: every task has at least this prior probability (Assumption 4)
- ``Delta`` margin: probability of a label minus that of another; ``eps``, ``delta`` accuracy and confidence

The paper's equations were read in a detailed reading of it, not in print; the proofs were done again, and the sharper
forms come out of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ShotBound:
    """A sufficient number of shots; infinite, and vacuous, where the bound says nothing."""

    threshold: float
    """Divergence per example (nats) that must be exceeded for the bound to say anything."""
    concentration: float
    """Shots until the sum of log-ratios is near its mean with probability 1 - delta."""
    separation: float
    """Shots until the mean drives the ratio below eps; infinite below the threshold."""

    @property
    def shots(self) -> float:
        """The larger of the two, m_D~(eps, delta); not rounded."""
        return max(self.concentration, self.separation)

    @property
    def vacuous(self) -> bool:
        """Whether no finite number of shots is promised."""
        return not math.isfinite(self.shots)


def _check(
    c1: float, c2: float, length: int, divergence: float, epsilon: float, delta: float, c3: float | None = None
) -> None:
    rules = (
        ("c1", c1, 0 < c1 <= 1, "above 0, at most 1"),
        ("c2", c2, 0 < c2 < 1, "between 0 and 1"),
        ("c3", c3, c3 is None or 0 < c3 <= 0.5, "above 0, at most 1/2 (two tasks cannot both be likelier than that)"),
        ("length", length, length >= 1, "at least 1 token"),
        ("kl", divergence, divergence >= 0 and math.isfinite(divergence), "a finite number, 0 or more"),
        ("eps", epsilon, 0 < epsilon < 1, "between 0 and 1"),
        ("delta", delta, 0 < delta < 1, "between 0 and 1"),
    )
    for name, value, fits, rule in rules:
        if not fits:
            raise ValueError(f"{name} is {value}: it must be {rule}")


def lemma1(c1: float, c2: float, length: int, divergence: float, epsilon: float, delta: float) -> ShotBound:
    """Lemma 1 as published: shots after which P_phi(prompt) / P_phi*(prompt) < eps, whatever the prompt's labels.

    m_D~ = max{16 T^2 log^2(1/c2) log(1/delta) / KL^2, 2 log(1/eps) / (KL - 8 log(1/(c1 c2)))}, one rival at a time.

    Raises:
        ValueError: A number lies outside its range.

    Example:
        >>> bound = lemma1(1.0, 0.1, 20, 35.156, 0.05, 0.05)  # 20 independent bits, 0.9 against 0.1
        >>> round(bound.threshold, 2), round(bound.shots, 1), bound.vacuous
        (18.42, 82.2, False)
    """
    _check(c1, c2, length, divergence, epsilon, delta)
    threshold = 8 * math.log(1 / (c1 * c2))
    return _bound(16.0, threshold, c2, length, divergence, math.log(1 / epsilon), math.log(1 / delta))


def refined_threshold(c1: float, c2: float, *, flipped: bool = False, shared_delimiter: bool = False) -> float:
    """Divergence per example that is lost to dependence, delimiters and flipped labels, each counted once.

    Twice the drift per shot: 2 log(1/c1) for dependence, log(1/c2) for a delimiter that tasks may expect differently,
    2 log(1/c2) for a label that may be any. The published 8 log(1/(c1 c2)) rounds all of them up.

    Example:
        >>> refined_threshold(1.0, 0.1, shared_delimiter=True)
        0.0
    """
    # In units of log(1/c2); the factor 2 turns the drift per shot into a threshold on KL / 2.
    tokens = (0 if shared_delimiter else 2) + (4 if flipped else 0)
    return 4 * math.log(1 / c1) + tokens * math.log(1 / c2)


def lemma1_refined(
    c1: float,
    c2: float,
    c3: float,
    length: int,
    divergence: float,
    epsilon: float,
    delta: float,
    *,
    flipped: bool = False,
    shared_delimiter: bool = False,
) -> ShotBound:
    """Lemma 1 with 8 T^2 (Hoeffding needs no more), drift by use case, all rivals at once, and the prior.

    After so many shots the posterior odds of all rivals together against the true task are below eps.

    Args:
        c1: Dependence across the delimiter.
        c2: Smallest token probability.
        c3: Smallest prior of a task; at most 1/c3 - 1 rivals share delta and eps.
        length: Tokens per example T.
        divergence: Smallest divergence KL of a whole example from a rival, in nats.
        epsilon: Posterior odds that are allowed to the rivals.
        delta: Probability that the prompt is unlucky.
        flipped: Whether the prompt's labels may be wrong.
        shared_delimiter: Whether all tasks give the delimiter the same probability.

    Raises:
        ValueError: A number lies outside its range.

    Example:
        >>> bound = lemma1_refined(1.0, 0.1, 0.5, 20, 35.156, 0.05, 0.05)
        >>> round(bound.threshold, 2), round(bound.shots, 1)
        (4.61, 41.1)
    """
    _check(c1, c2, length, divergence, epsilon, delta, c3)
    # At most (1 - c3) / c3 rivals of the largest prior odds: a union bound multiplies delta and eps by that number.
    odds = (1 - c3) / c3
    threshold = refined_threshold(c1, c2, flipped=flipped, shared_delimiter=shared_delimiter)
    return _bound(8.0, threshold, c2, length, divergence, math.log(odds / epsilon), math.log(odds / delta))


def _bound(
    factor: float, threshold: float, c2: float, length: int, divergence: float, ratio: float, confidence: float
) -> ShotBound:
    # A log-ratio of an example of T tokens lies within T log(1/c2): the range in Hoeffding's inequality.
    spread = factor * length**2 * math.log(1 / c2) ** 2
    concentration = spread * confidence / divergence**2 if divergence > 0 else math.inf
    separation = 2 * ratio / (divergence - threshold) if divergence > threshold else math.inf
    return ShotBound(threshold, concentration, separation)


def lemma1_tight(
    c1: float,
    c2: float,
    c3: float,
    length: int,
    divergence: float,
    epsilon: float,
    delta: float,
    *,
    flipped: bool = False,
    shared_delimiter: bool = False,
) -> float:
    """The same proof without splitting the divergence in two halves: the smallest k that Hoeffding's inequality gives.

    k (KL - drift) - T log(1/c2) sqrt(2 k log(odds/delta)) >= log(odds/eps), with half the refined threshold as drift.

    Infinite where the divergence does not exceed the drift.

    Example:
        >>> round(lemma1_tight(1.0, 0.1, 0.5, 20, 35.156, 0.05, 0.05), 1)
        12.0
    """
    odds = (1 - c3) / c3
    drift = refined_threshold(c1, c2, flipped=flipped, shared_delimiter=shared_delimiter) / 2
    spread = length * math.log(1 / c2) * math.sqrt(2 * math.log(odds / delta))
    return _quadratic_shots(divergence - drift, spread, math.log(odds / epsilon))


def _quadratic_shots(mean: float, spread: float, goal: float) -> float:
    """Smallest k with k mean - sqrt(k) spread >= goal."""
    if mean <= 0:
        return math.inf
    if goal <= 0 and spread == 0:
        return 0.0
    # In sqrt(k) this is a quadratic; its larger root is the last crossing, since a goal met at once can be lost again.
    inside = spread**2 + 4 * mean * goal
    return ((spread + math.sqrt(inside)) / (2 * mean)) ** 2 if inside >= 0 else 0.0


def prompt_margin_published(margin: float, c1: float) -> float:
    """Theorem 1 as published: what is left in context of a margin Delta, Delta/2 + c1^2 - 1.

    Example:
        >>> round(prompt_margin_published(0.8, 1.0), 12)
        0.4
    """
    return margin / 2 + c1**2 - 1


def component_margin(probability: float, rival: float, c1: float) -> float:
    """The exact lower bound on the margin that the true task's component keeps: c1^2 P(y|x) - c1^-2 P(y~|x).

    The published chain puts Delta - (1 - c1^2) in its place, which is larger for some probabilities and then no bound.

    Example:
        >>> component_margin(0.6, 0.4, 0.9) < 0 < (0.6 - 0.4) - (1 - 0.9**2)
        True
    """
    return c1**2 * probability - rival / c1**2


def efficiently_learnable(margin: float, divergence: float, c1: float, c2: float) -> bool:
    """Theorem 2: every margin is at least 4 (1 - c1^2) and every divergence exceeds 8 log(1/(c1 c2)).

    Example:
        >>> efficiently_learnable(0.8, 35.2, 1.0, 0.1), efficiently_learnable(0.8, 5.3, 1.0, 0.1)
        (True, False)
    """
    return margin >= 4 * (1 - c1**2) and divergence > 8 * math.log(1 / (c1 * c2))


def flip_rate(input_log_ratios: ArrayLike, label_log_ratios: ArrayLike, shown: ArrayLike) -> Array:
    """Log-odds gained per shot, input by input, when the prompt's labels follow another law than the task's.

    log(P*(x)/P_phi(x)) + E_{y ~ shown} log(P*(y|x)/P_phi(y|x)); its mean over inputs is KL_x + KL_{y|x} with the
    task's own labels. With others the second part may be negative: identification survives as long as the mean stays
    above the drift. ``shown`` is the law of the labels in the prompt, (inputs, labels) or (labels,).

    Example:
        >>> bit, rival = np.log([0.9, 0.1]), np.log([0.1, 0.9])  # inputs say nothing: only labels tell the tasks apart
        >>> laws = [0.9, 0.1], [0.5, 0.5], [0.1, 0.9]  # right labels, random ones, always flipped ones
        >>> [round(float(flip_rate([0.0], [bit - rival], law)[0]), 3) for law in laws]
        [1.758, 0.0, -1.758]
    """
    by_label = np.asarray(shown, dtype=np.float64) * np.asarray(label_log_ratios, dtype=np.float64)
    return np.asarray(input_log_ratios, dtype=np.float64) + by_label.sum(axis=1)


def identification_shots(mean: float, variance: float, prior: float, epsilon: float, delta: float) -> float:
    """Shots after which the true task has posterior odds 1/eps in a share 1 - delta of prompts, from two numbers.

    Log-odds against the nearest rival, in nats, are after k shots normal with mean k mu and variance k s^2; k solves
    k mu - z_{1-delta} sqrt(k) s = log((1 - pi*)/pi*) + log(1/eps). Not rounded; infinite where mu is not positive.

    Example:
        >>> round(identification_shots(1.07, 1.0, 0.2, 0.05, 0.05), 2)
        8.6
    """
    # Posterior log-odds are prior log-odds plus evidence; they must reach log(1/eps).
    goal = math.log((1 - prior) / prior) + math.log(1 / epsilon)
    return _quadratic_shots(mean, float(ndtri(1 - delta)) * math.sqrt(variance), goal)


def expected_loss(
    shots: ArrayLike, means: ArrayLike, variances: ArrayLike, log_odds: ArrayLike, losses: ArrayLike
) -> Array:
    """Expected loss of accuracy after k shots against knowing the task, summed over rivals.

    sum over phi of g_phi Phi(-(k mu_phi - l_phi) / (sqrt(k) s_phi)): a rival costs g_phi where its posterior is ahead.
    A union bound on normal tails, which may exceed 1; with no shots a rival with the larger prior is ahead for certain.
    Means mu and variances s^2 of the log-odds per shot, prior log-odds l and losses g are (rivals,) each, in nats.

    Example:
        >>> expected_loss([0, 1, 4], [1.0], [1.0], [0.5], [0.8]).round(3).tolist()
        [0.8, 0.247, 0.032]
    """
    k = np.asarray(shots, dtype=np.float64)[:, None]
    mean, spread = np.asarray(means, dtype=np.float64), np.sqrt(np.asarray(variances, dtype=np.float64))
    # A rival is ahead where l_phi - k mu_phi + sqrt(k) s_phi z > 0; without noise (0 / 0) a tie counts one half.
    ahead = np.asarray(log_odds, dtype=np.float64) - k * mean
    with np.errstate(divide="ignore", invalid="ignore"):
        tails = np.where(ahead == 0, 0.5, ndtr(ahead / (np.sqrt(k) * spread)))
    return tails @ np.asarray(losses, dtype=np.float64)


def accuracy_shots(
    means: ArrayLike, variances: ArrayLike, log_odds: ArrayLike, losses: ArrayLike, epsilon: float
) -> float:
    """Fewest shots, at least 1, from which on the expected loss of accuracy stays within eps of knowing the task.

    Infinite where a rival that costs more than eps is never left behind.

    Example:
        >>> accuracy_shots([1.0], [1.0], [0.5], [0.8], 0.05)
        4.0
        >>> accuracy_shots([0.0], [1.0], [0.0], [0.8], 0.05)
        inf
    """
    mean, loss = np.asarray(means, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    # A rival whose log-odds do not fall (mu <= 0) stays ahead in at least half of the prompts for ever.
    if float(np.clip(loss[mean <= 0], 0, None).sum()) / 2 > epsilon:
        return math.inf
    # The loss may rise before it falls: search until the second half of the grid lies within eps throughout.
    top = 16
    while top <= 100_000:
        grid = np.arange(1, top + 1)
        over = np.flatnonzero(expected_loss(grid, means, variances, log_odds, losses) > epsilon)
        # Place i of the grid is i + 1 shots, so the first number past the last excess is over[-1] + 2.
        if not len(over) or over[-1] < top // 2:
            return float(over[-1] + 2) if len(over) else 1.0
        top *= 2
    return math.inf
