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
    u, w     first and second derivative of the logits in r at r = 0
    L, Q     log(P / P_0) = L r + Q r^2 near 0; both count losses as negative
    eps      budget: the share of P_0 that may be lost
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


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


def multiclass_guarantee(
    strength: float,
    scores: Float[np.ndarray, " classes"],
    masses: Float[np.ndarray, " classes"],
    gaps: Float[np.ndarray, " steps"],
) -> float:
    """Lower bound on the expected score of r >= 0 with any number of behavior classes.

    With Delta_k the least gap between a token of class k and one of class k + 1 and C_k = Delta_1 + ... + Delta_{k-1},
    the steered masses dominate the tilted masses P_k exp(-r C_k) in likelihood ratio, so

        B(r) >= sum_k s_k P_k e^{-r C_k} / sum_k P_k e^{-r C_k}.

    Two classes with scores +1 and -1 give :func:`alignment_guarantee`. Derived here; a class of neutral tokens is
    covered only if it, too, has a margin.

    Args:
        strength: r >= 0.
        scores: s_k, falling strictly, [K].
        masses: P_k at r = 0, [K], not all zero.
        gaps: Delta_k between neighboring classes, [K - 1], per unit strength, each at least 0.

    Raises:
        ValueError: The scores do not fall, a gap or the strength is negative, or the sizes differ.

    Example:
        >>> round(multiclass_guarantee(2.0, np.array([1.0, -1.0]), np.array([0.5, 0.5]), np.array([1.0])), 4)
        0.7616
    """
    if len(scores) != len(masses) or len(gaps) != len(scores) - 1:
        raise ValueError(f"{len(scores)} scores need as many masses and one gap fewer")
    if strength < 0 or (np.diff(scores) >= 0).any() or (gaps < 0).any():
        raise ValueError("the bound needs r >= 0, falling scores and gaps of at least 0")
    with np.errstate(divide="ignore"):
        tilted = np.log(masses) - strength * np.concatenate([np.zeros(1), np.cumsum(gaps)])
    shares = np.exp(tilted - tilted.max())
    return float(scores @ shares / shares.sum())


def alignment_slope(mean_gap: ArrayLike, alignment: ArrayLike) -> Array:
    """B'(0) from the probability-weighted mean gap: (gap / 2)(1 - B_0^2).

    The mean gap gives the slope exactly; the worst gap (the margin) only guarantees it. Derived here from Theorem 1's
    ratio.

    Example:
        >>> float(alignment_slope(0.676, 0.0))
        0.338
    """
    return _array(mean_gap) / 2 * (1 - _array(alignment) ** 2)


def covariance_slope(
    probabilities: Float[np.ndarray, "*batch tokens"],
    scores: Float[np.ndarray, " tokens"],
    logit_slopes: Float[np.ndarray, "*batch tokens"],
) -> Float[np.ndarray, "*batch"]:
    """Exact d/dr of sum_i B(i) p_i at r = 0: Cov_p(B(i), u_i), with no assumption.

    Args:
        probabilities: p_i, each row summing to 1.
        scores: B(i) of each token.
        logit_slopes: u_i, from one Jacobian-vector product.

    Example:
        >>> float(covariance_slope(np.array([0.5, 0.5]), np.array([1.0, -1.0]), np.array([1.0, 0.0])))
        0.5
    """
    mean = (probabilities * logit_slopes).sum(-1, keepdims=True)
    return (probabilities * (logit_slopes - mean) * scores).sum(-1)


def bell(strength: ArrayLike, a: float, b: float) -> Array:
    """Upper bound on helpfulness over a large vocabulary: 1 / (1 + a + a b^2 r^2 / 2).

    Theorem 2 as the authors fit it: a = alpha W and b = lambda sigma beta, where alpha in (0, 1] is the share of the
    wrong mass that the noisy tokens hold and beta grows as that mass concentrates. Only a and b can be identified.

    Example:
        >>> bell([0.0, 2.0], a=1.0, b=1.0).tolist()
        [0.5, 0.25]
    """
    return 1 / (1 + a + a * b**2 * _array(strength) ** 2 / 2)


def published_answer_bell(strength: ArrayLike, a: float, b: float, options: int = 4) -> Array:
    """The bound among answer letters that the authors fit: (1 - 2/N) bell + 1/N; for four letters 0.25 + 0.5 bell.

    A bound in expectation, since the theorem may fail with probability 2/N: at r = 0 it cannot exceed 1 - 1/N.

    Example:
        >>> published_answer_bell(0.0, a=0.0, b=1.0).item()
        0.75
    """
    return (1 - 2 / options) * bell(strength, a, b) + 1 / options


def answer_bell(strength: ArrayLike, a: float, b: float, options: int = 4) -> Array:
    """The curve to fit to restricted scores: 1/N + (1 - 1/N) bell, which runs from certainty down to chance.

    Example:
        >>> answer_bell([0.0, 1e9], a=0.0001, b=1.0).round(3).tolist()
        [1.0, 0.25]
    """
    return 1 / options + (1 - 1 / options) * bell(strength, a, b)


def bell_parameters(probability: float, noise: float, alpha: float = 1.0, beta: float = 1.0) -> tuple[float, float]:
    """The parameters of Theorem 2: a = alpha (1 - P_0) / P_0 and b = sigma beta.

    Example:
        >>> bell_parameters(0.5, 0.3)
        (1.0, 0.3)
    """
    return alpha * (1 - probability) / probability, noise * beta


def expected_helpfulness(
    strength: ArrayLike,
    noise: float,
    probability: float,
    wrong: Float[np.ndarray, " wrong"],
) -> Array:
    """E[P(r)] to second order under Gaussian noise on the wrong logits, exact up to O(r^4).

        E[P] = P_0 - r^2 sigma^2 P_0 [ (1 - P_0)/2 - sum_wrong p_i^2 ]

    Helpfulness falls only if the wrong mass is spread out or P_0 is above a half: with two options and P_0 < 1/2 it
    rises on average, so Theorem 2's bell is no bound in expectation there. Derived here; the bell with alpha = beta = 1
    is the limit of many small wrong tokens.

    Args:
        strength: r.
        noise: sigma.
        probability: P_0.
        wrong: Probabilities p_i of the wrong tokens, summing to 1 - P_0.

    Example:
        >>> expected_helpfulness(0.3, 1.0, 0.6, np.array([0.4])).round(4).item()
        0.5978
    """
    spread = (1 - probability) / 2 - float((wrong**2).sum())
    return probability - (_array(strength) * noise) ** 2 * probability * spread


def local_law(
    probabilities: Float[np.ndarray, " tokens"],
    correct: int,
    slopes: Float[np.ndarray, " tokens"],
    curvatures: Float[np.ndarray, " tokens"],
) -> tuple[float, float]:
    """L and Q of log P_c(r) = log P_0 + L r + Q r^2 for one query, exactly.

    L = u_c - E_p u, and Q = (w_c - E_p w - Var_p u) / 2. The curvature w of the network itself often outweighs the
    variance, so Q must never be estimated from u alone. Derived here.

    Args:
        probabilities: p at r = 0.
        correct: Index c.
        slopes: u.
        curvatures: w.

    Example:
        >>> local_law(np.array([0.5, 0.5]), 0, np.array([2.0, 0.0]), np.zeros(2))
        (1.0, -0.5)
    """
    mean = float(probabilities @ slopes)
    variance = float(probabilities @ (slopes - mean) ** 2)
    return float(slopes[correct]) - mean, (
        float(curvatures[correct]) - float(probabilities @ curvatures) - variance
    ) / 2


def reply_coefficient(probabilities: ArrayLike, noises: ArrayLike, alphas: ArrayLike = 1.0) -> float:
    """Coefficient q of 1 - P/P_0 = q r^2 for a teacher-forced answer of several tokens.

    q = (1/2) sum_t alpha_t (1 - P_{0,t}) b_t^2: it grows about linearly with the length N, so the usable strength
    shrinks like N^(-1/2); tokens that are sure cost almost nothing. Derived here to second order.

    Args:
        probabilities: P_{0,t} of each token, [N].
        noises: b_t of each token, [N], or one for all.
        alphas: alpha_t, or one for all.

    Example:
        >>> reply_coefficient([0.5, 0.5], 1.0) / reply_coefficient([0.5], 1.0)
        2.0
    """
    return float((_array(alphas) * (1 - _array(probabilities)) * _array(noises) ** 2).sum() / 2)


def efficient_limit(gain: float, loss: float, exchange: float = 1.0) -> float:
    """Strength below which steering gains more than it costs: A / (kappa Q), for a gain A r and a loss Q r^2.

    Args:
        gain: A, alignment gained per unit strength.
        loss: Q > 0, helpfulness lost per squared strength.
        exchange: kappa, how much alignment one unit of helpfulness is worth.

    Example:
        >>> efficient_limit(0.3, 0.01)
        30.0
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


def optimal_direction(
    gradient: Float[np.ndarray, " width"],
    hessian: Float[np.ndarray, "width width"],
    budget: float,
    ridge: float = 0.0,
) -> Float[np.ndarray, " width"]:
    """The edit of greatest first-order gain g . v among those with loss v^T H v / 2 = eps.

    v* = sqrt(2 eps / (g^T H^-1 g)) H^-1 g. Not in the paper: the method that its bounds suggest.

    Args:
        gradient: g, of alignment in the edit.
        hessian: H, symmetric, of the loss of helpfulness; positive definite once the ridge is added.
        budget: eps > 0.
        ridge: Added to the diagonal of H.

    Raises:
        numpy.linalg.LinAlgError: H with its ridge is not positive definite.

    Example:
        >>> optimal_direction(np.array([1.0, 1.0]), np.diag([1.0, 4.0]), 0.5).round(3).tolist()
        [0.894, 0.224]
    """
    ridged = hessian + ridge * np.eye(len(gradient))
    lower = np.linalg.cholesky(ridged)
    solved = np.linalg.solve(lower.T, np.linalg.solve(lower, gradient))
    return np.sqrt(2 * budget / float(gradient @ solved)) * solved
