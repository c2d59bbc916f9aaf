"""Closed forms of the alignment-helpfulness trade-off: what a steering strength gains, what it costs, where to stop.

Source: Y. Wolf, N. Wies, D. Shteyman, B. Rothberg, Y. Levine, A. Shashua, "Tradeoffs Between Alignment and Helpfulness
in Language Models with Steering Methods" (arXiv 2401.16332). Theorem 1 bounds alignment, Theorem 2 helpfulness. Their
wording is recalled, not read; the functional forms are those the authors fit in their code, and every constant below is
derived here and tested on random instances.

Letters:
    r        steering strength: every steered block adds r times its unit vector to its output
    B        alignment in [-1, 1]: mass of good replies minus mass of bad ones, over their sum; B_0 at r = 0
    P        probability of the correct answer; P_0 at r = 0, W = (1 - P_0) / P_0
    Delta    margin: least (change of a good logit - change of a bad logit) per unit of strength, lambda absorbed
    sigma    standard deviation over questions of (change of a wrong logit - change of the correct one), per unit r
    L, Q     log(P / P_0) = L r + Q r^2 near 0; both count losses as negative
    eps      budget: the share of P_0 that may be lost
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LINEAR = "A1: the change of the logits grows linearly with the strength"
MARGIN = "A2: every good reply gains on every bad one (a margin above 0)"
NOISE = "A3: on unrelated questions wrong answers gain or lose like Gaussian noise around 0"
"""What the two theorems assume, as results state it."""
UNCHECKED = "`seqtant steering diagnose` checks it"
"""How an assumption that was not checked can be."""


def _array(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def alignment_guarantee(strength: ArrayLike, margin: ArrayLike, alignment: ArrayLike) -> Array:
    """Lower bound on alignment for r >= 0 (an upper bound for r < 0): tanh(Delta r / 2 + arctanh B_0).

    Theorem 1. With P_bad / P_good = (1 - B) / (1 + B) = exp(-2 arctanh B) and a margin that holds for every pair of a
    good and a bad token, the ratio shrinks at least like exp(-Delta r): hence the half, which a fit of tanh(a r + b)
    hides in a. Equality holds exactly if all pairs have the same gap.

    Args:
        strength: r, any shape.
        margin: Delta, least pairwise gap per unit strength, in nats.
        alignment: B_0 in [-1, 1].

    Returns:
        The bound, in [-1, 1].

    Example:
        >>> alignment_guarantee([0.0, 2.0], margin=1.0, alignment=0.0).round(4).tolist()
        [0.0, 0.7616]
    """
    with np.errstate(divide="ignore"):
        start = np.arctanh(np.clip(_array(alignment), -1.0, 1.0))
    return np.tanh(_array(margin) * _array(strength) / 2 + start)


def bell(strength: ArrayLike, a: float, b: float, floor: float = 0.0) -> Array:
    """Upper bound on helpfulness over a large vocabulary: f + (1 - f) / (1 + a + a b^2 r^2 / 2), with f = 0.

    Theorem 2 as the authors fit it: a = alpha W and b = lambda sigma beta, where alpha in (0, 1] is the share of the
    wrong mass that the noisy tokens hold and beta grows as that mass concentrates. Only a and b can be identified. With
    f = 1/N it is the curve to fit to scores restricted to N answers, which run from certainty down to chance.
    """
    return floor + (1 - floor) / (1 + a + a * b**2 * _array(strength) ** 2 / 2)


def efficient_limit(gain: float, loss: float, exchange: float = 1.0) -> float:
    """Strength below which steering gains more than it costs: A / (kappa Q), for a gain A r and a loss Q r^2.

    The exchange kappa is how much alignment one unit of helpfulness is worth.
    """
    return float("inf") if loss <= 0 else max(gain, 0.0) / (exchange * loss)


def budget_strength(linear: ArrayLike, quadratic: ArrayLike, budget: float, side: int = 1) -> Array:
    """Strength at which a budget is spent: the smallest positive root of side L r + Q r^2 = log(1 - eps).

    Args:
        linear: L, any shape.
        quadratic: Q, same shape.
        budget: eps in (0, 1).
        side: +1 or -1; the root is the distance on that side.

    Returns:
        The strength; infinity where the curve never falls that low.

    Example:
        >>> budget_strength([0.0, 0.1], [-0.01, 0.01], 0.05).round(3).tolist()
        [2.265, inf]
    """
    slope, curve = side * _array(linear), _array(quadratic)
    target = -np.log1p(-budget)
    inside = slope**2 - 4 * curve * target
    with np.errstate(divide="ignore", invalid="ignore"):
        # Q r^2 + L r + t = 0 in the form that neither cancels nor divides by a small Q; it gives the smaller root.
        root = 2 * target / (-slope + np.sqrt(inside))
    return np.where((inside >= 0) & (root > 0), root, np.inf)


def loss_order(half: float, full: float) -> float:
    """log2 of the ratio of symmetric losses at r / 2 and r: 2 for a quadratic law, 1 for a linear one.

    Example:
        >>> loss_order(0.01, 0.04)
        2.0
    """
    return float(np.log2(full / half)) if half > 0 and full > 0 else float("nan")
