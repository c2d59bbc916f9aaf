"""Closed forms of the depth law and of separation ranks: what paper 8 and paper 7 predict before anything is trained.

Papers: 8 = Levine et al. 2020, "The Depth-to-Width Interplay in Self-Attention" (arXiv 2006.12467);
7 = Wies et al. 2021, "Which Transformer architecture fits my data? A vocabulary bottleneck in self-attention"
(arXiv 2105.03928). Source marks: [peer] confirmed by a third party, [derived] derived here, [memory] recalled and not
verified at the source. Bounds are logarithms to base 3 and reach any depth whose 3^L is a finite float64.

Legend:
    L    depth, attention layers
    d    width of the residual stream (the papers' d_x), numbers
    H    attention heads
    N    parameters without embeddings and output head
    a, b intercept and slope of the fitted line ln d = a + b L (natural logarithm; b per layer)
    r    rank of the input embedding
    q    effective width min(r, d)
    C    (3^L - 1) / 2, degree of the network in the second moments S = X X^T of its inputs
    n    number of variables of a polynomial; ((n, k)) = binom(n + k - 1, k) counts its monomials of degree k
"""

# SciPy ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scipy.special import betaln, lambertw

from seqtant.architecture.diagrams import dimension, doubled, partitions, with_a_box
from seqtant.errors import InputError

LN3 = math.log(3.0)
Z95 = 1.96
"""Standard errors on each side of a 95 % interval."""


@dataclass(frozen=True)
class DepthLaw:
    """The line ln d = a + b L of transition widths, with the covariance of its two coefficients.

    The defaults are the fit of paper 8: a and b [peer: bigscience-workshop/bigscience, math/README.md], their errors
    and covariance [memory]. Fitted on depths 6 to 48 [text] and about 3e6 to 6e8 parameters [memory].

    Example:
        >>> law = DepthLaw()
        >>> round(law.transition_width(24)), f"{law.transition_size(24):.3g}"
        (585, '9.84e+07')
    """

    a: float = 5.039
    """Natural logarithm of the transition width at depth 0."""
    b: float = 0.0555
    """Growth of that logarithm per layer."""
    var_a: float = 9.4e-4
    """Variance of a."""
    cov_ab: float = -3.74e-5
    """Covariance of a and b."""
    var_b: float = 1.7e-6
    """Variance of b."""

    def transition_width(self, depth: float) -> float:
        """Width at which depth ``depth`` becomes worth its parameters: e^(a + b L) (paper 8, the fit)."""
        return math.exp(self.a + self.b * depth)

    def transition_size(self, depth: float) -> float:
        """Non-embedding parameters at that width, 12 L e^(2a) e^(2bL), for layers of 12 d^2 parameters [peer]."""
        return 12.0 * depth * self.transition_width(depth) ** 2

    def log_width_error(self, depth: float) -> float:
        """Standard error of ln d at a depth, from the fit's covariance."""
        return math.sqrt(self.var_a + depth**2 * self.var_b + 2.0 * depth * self.cov_ab)

    def relative_size_error(self, depth: float) -> float:
        """dN/N = 2 sigma(ln d): sqrt(4 var_a + 4 L^2 var_b + 8 L cov_ab) [memory; derived again]."""
        return 2.0 * self.log_width_error(depth)


FITTED = DepthLaw()
"""The law as published."""
FITTED_DEPTHS = (6.0, 48.0)
"""Depths of the trained networks behind it [text]."""
FITTED_SIZES = (3e6, 6e8)
"""Non-embedding parameters of those networks, about [memory]."""


@dataclass(frozen=True)
class DepthRange:
    """An optimal depth with the standard error that the fit's covariance gives it."""

    depth: float
    """Optimal depth, layers."""
    error: float
    """One standard error, layers."""
    width: float
    """Optimal width."""

    @property
    def margin(self) -> float:
        """Half of its 95 % interval, layers."""
        return Z95 * self.error

    @property
    def low(self) -> float:
        """Lower end of that interval."""
        return self.depth - self.margin

    @property
    def high(self) -> float:
        """Upper end of that interval."""
        return self.depth + self.margin


def _finite_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} is {value}: give a finite number above 0")


def _root(increasing: Callable[[float], float], low: float, high: float) -> float:
    """Zero of an increasing function by halving; importing SciPy's root finders would take longer than a plan does."""
    while True:
        middle = (low + high) / 2.0
        if not low < middle < high:
            return middle
        low, high = (low, middle) if increasing(middle) > 0.0 else (middle, high)


def optimal_depth(size: float, law: DepthLaw = FITTED) -> DepthRange:
    """Depth that suits a size, for layers of 12 d^2 parameters: L* = W(2bN / (12 e^(2a))) / (2b), d* = sqrt(N / 12L*).

    [derived] from the fit of paper 8 by solving N = 12 L e^(2a + 2bL); W is the principal branch of Lambert's
    function. The error is dL = (dN/N) / (1/L + 2b). Assumes decoder layers of attention (4 d^2) and a feed-forward
    part of ratio 4 (8 d^2), trained on text whose vocabulary does not limit the width.

    Args:
        size: Non-embedding parameters N.
        law: The fitted line.

    Raises:
        InputError: The size is not a finite positive number.

    Example:
        >>> best = optimal_depth(1.74e11)
        >>> round(best.depth, 1), round(best.error, 1)
        (80.5, 1.2)
    """
    _finite_positive("size", size)
    argument = 2.0 * law.b * size / (12.0 * math.exp(2.0 * law.a))
    depth = float(lambertw(argument).real) / (2.0 * law.b)
    error = law.relative_size_error(depth) / (1.0 / depth + 2.0 * law.b)
    return DepthRange(depth, error, math.sqrt(size / (12.0 * depth)))


def optimal_depth_of_family(
    size: float, layer_parameters: Callable[[float], float], law: DepthLaw = FITTED
) -> DepthRange:
    """Depth that suits a size when one layer of width d has c(d) parameters: solves c(e^(a + bL)) L = N [derived].

    The line is about widths, so grouped-query attention or gated feed-forward parts move only the count. The error is
    dL = e sigma(ln d) / (1/L + e b) with the elasticity e = d ln c / d ln d; e = 2 gives :func:`optimal_depth` back.

    Args:
        size: Non-embedding parameters N.
        layer_parameters: c(d), increasing, for real widths d > 0.
        law: The fitted line.

    Raises:
        InputError: The size is not a finite positive number.

    Example:
        >>> round(optimal_depth_of_family(1e9, lambda d: 12 * d**2).depth, 6) == round(optimal_depth(1e9).depth, 6)
        True
    """
    _finite_positive("size", size)

    def surplus(depth: float) -> float:
        return math.log(layer_parameters(law.transition_width(depth)) * depth / size)

    low, high = 1e-9, 8.0
    while surplus(low) > 0.0:
        low /= 1e3
    while surplus(high) < 0.0:
        high *= 2.0
    depth = _root(surplus, low, high)
    width = law.transition_width(depth)
    step = 1e-4
    ends = [math.log(layer_parameters(width * math.exp(sign * step))) for sign in (1.0, -1.0)]
    elasticity = (ends[0] - ends[1]) / (2.0 * step)
    error = elasticity * law.log_width_error(depth) / (1.0 / depth + elasticity * law.b)
    return DepthRange(depth, error, width)


def width_of_family(size_per_layer: float, layer_parameters: Callable[[float], float]) -> float:
    """The real width d whose layer has a given number of parameters, c(d) = size per layer.

    Example:
        >>> round(width_of_family(12 * 768.0**2, lambda d: 12 * d**2), 6)
        768.0
    """
    _finite_positive("size_per_layer", size_per_layer)

    def surplus(log_width: float) -> float:
        return math.log(layer_parameters(math.exp(log_width)) / size_per_layer)

    return math.exp(_root(surplus, -60.0, 60.0))


def depth_of_aspect_ratio(size: float, ratio: float, layer_parameters: Callable[[float], float]) -> float:
    """Depth of the shape of a given size whose width is ``ratio`` times its depth: solves c(ratio L) L = N.

    Example:
        >>> round(depth_of_aspect_ratio(12 * 20 * 1280.0**2, 64, lambda d: 12 * d**2), 9)
        20.0
    """
    _finite_positive("size", size)

    def surplus(log_depth: float) -> float:
        depth = math.exp(log_depth)
        return math.log(layer_parameters(ratio * depth) * depth / size)

    return math.exp(_root(surplus, -60.0, 60.0))


RankCap = Literal["width not limited", "width held at the rank", "three times the law"]


def rank_limited_depth(
    size: float, effective_rank: float, best: DepthRange, layer_parameters: Callable[[float], float]
) -> tuple[float, RankCap]:
    """Upper end of the depths to consider when the input's rank r is below the width the law asks for.

    Width above r adds parameters but no separation rank (paper 7, [memory]; small cases measured exactly), so they go
    into depth until the width is r: N / c(r), which is N / (12 r^2) for standard layers. For a tiny r that is absurd
    (6504 layers for r = 33 at 8.5e7), so it is cut at 3 L*(N) [derived; the factor 3 is a convention of this package].

    Returns:
        The depth, and what decided it.

    Example:
        >>> best = optimal_depth(8.5e7)
        >>> [round(rank_limited_depth(8.5e7, r, best, lambda d: 12 * d**2)[0]) for r in (1024, 257, 33)]
        [23, 69, 69]
        >>> round(rank_limited_depth(8.5e7, 400, best, lambda d: 12 * d**2)[0])
        44
    """
    if effective_rank >= best.width:
        return best.depth, "width not limited"
    deepest = size / layer_parameters(effective_rank)
    if deepest > 3.0 * best.depth:
        return 3.0 * best.depth, "three times the law"
    return deepest, "width held at the rank"


def degree(depth: int) -> int:
    """C = (3^L - 1) / 2: degree of a depth-L network in the second moments of its inputs [derived].

    Example:
        >>> [degree(depth) for depth in (1, 2, 3)]
        [1, 4, 13]
    """
    return (3**depth - 1) // 2


def transition_depth(width: float) -> float:
    """log_3 d: below it depth is efficient (Theorem 1 of paper 8), above it depth and width count alike (Theorem 2)."""
    return math.log(width) / LN3


def log3_multichoose(variables: float, count: float) -> float:
    """log_3 of ((n, k)) = binom(n + k - 1, k) for real n, k >= 0, accurate when one is far larger than the other.

    A difference of log-gamma values loses all digits once k passes 1e15; the logarithm of the beta function does not.

    Example:
        >>> round(3 ** log3_multichoose(10, 3))
        220
    """
    if variables <= 0.0:
        return -math.inf
    return -(math.log(variables + count) + float(betaln(variables, count + 1.0))) / LN3


def theorem1_lower(depth: int, width: int, heads: int) -> float:
    """3^(L-2) (log_3(d - H) + a), a = -L + 2 - log_3 2: Theorem 1 of paper 8, lower side, L < log_3 d [memory].

    Negative values and d <= H say nothing.
    """
    if width <= heads:
        return -math.inf
    return 3.0 ** (depth - 2) * (math.log(width - heads) / LN3 - depth + 2 - math.log(2.0) / LN3)


def theorem1_upper(depth: int, width: int, heads: int) -> float:
    """C log_3(d + H): Theorem 1 of paper 8, upper side [memory]; proved for every L [derived].

    Proof: unrolled, the output is a sum over H^C head choices of a chain of C + 1 matrices of width d/H. With
    S = S_A + S_B each neighboring pair of the chain costs a factor d/H where the side changes and 1 where it does
    not, so a head choice has separation rank at most (1 + d/H)^C, and all together (H + d)^C.
    """
    return float(degree(depth)) * math.log(width + heads) / LN3


def theorem2_lower(depth: int, width: int, heads: int) -> float:
    """Half d L + b1 + b2: Theorem 2 of paper 8, lower side, L > log_3 d [memory].

    b1 = -L (H/2 + 1), b2 = -d (1 + log_3((d - H) / 2) / 2). Negative values and d <= H say nothing.
    """
    if width <= heads:
        return -math.inf
    b1 = -depth * (heads / 2.0 + 1.0)
    b2 = -width * (1.0 + 0.5 * math.log((width - heads) / 2.0) / LN3)
    return 0.5 * width * depth + b1 + b2


def theorem2_upper(depth: int, width: int) -> float:
    """2 d L + c1 + c2: Theorem 2 of paper 8, upper side, L > log_3 d [memory].

    c1 = L, c2 = -2 d log_3(d / (2 sqrt(2) e)) + log_3 d. Holds for one vector per half (checked against the exact
    value); with many vectors per half :func:`many_token_rank` can exceed it, so it is shown and not relied on.
    """
    c2 = -2.0 * width * math.log(width / (2.0 * math.sqrt(2.0) * math.e)) / LN3 + math.log(width) / LN3
    return 2.0 * width * depth + depth + c2


def multiset_lower(depth: int, width: int, heads: int) -> float:
    """log_3 ((n, k)) with n = (d - H) / 2, k = 3^(L-2): the one bound behind both lower sides [derived], L >= 2.

    ((n, k)) >= (n/k)^k gives Theorem 1's lower side and ((n, k)) >= (k/n)^(n-1) gives Theorem 2's.

    Example:
        >>> round(multiset_lower(4, 768, 12), 2), round(multiset_lower(8, 768, 12), 1)
        (37.05, 642.6)
    """
    if depth < 2:
        return -math.inf
    return log3_multichoose((width - heads) / 2.0, 3.0 ** (depth - 2))


def two_token_rank(depth: int, effective_width: int) -> int:
    """binom(q + C, C): separation rank of generic weights with one vector per half.

    The right side is a proved upper bound; equality is measured in every small case tried [derived + measured].

    Example:
        >>> [two_token_rank(2, 4), two_token_rank(4, 2)]
        [70, 861]
    """
    return math.comb(effective_width + degree(depth), effective_width)


def log3_two_token_rank(depth: int, effective_width: int) -> float:
    """log_3 of :func:`two_token_rank`, for any depth.

    Example:
        >>> [round(log3_two_token_rank(depth, 33)) for depth in (4, 24)]
        [44, 694]
    """
    return log3_multichoose(effective_width + 1.0, float(degree(depth)))


def _balance(depth: int, width: int) -> int:
    """Largest k with ((n, k)) <= q ((n, C-k)): up to it the B half decides, beyond it the A half; -1 if none."""
    total, moments, log_width = degree(depth), width * (width + 1) / 2.0, math.log(width) / LN3
    low, high = -1, total
    while low < high:
        middle = (low + high + 1) // 2
        side_b = log3_multichoose(moments, float(middle))
        side_a = log_width + log3_multichoose(moments, float(total - middle))
        low, high = (middle, high) if side_b <= side_a else (low, middle - 1)
    return low


def many_token_rank(depth: int, effective_width: int) -> int:
    """sum_{k=0..C} min(((n, k)), q ((n, C-k))), n = q(q+1)/2: at least q vectors per half, one head, generic weights.

    The right side is a proved upper bound for any number of heads; equality is measured for one head in every small
    case tried [derived + measured]. Sums of multiset coefficients telescope, so two binomials remain.

    Example:
        >>> [many_token_rank(2, width) for width in (2, 3, 4, 6)], many_token_rank(3, 2)
        ([18, 49, 110, 385], 232)
    """
    q, total = effective_width, degree(depth)
    n, k = q * (q + 1) // 2, _balance(depth, q)
    low = math.comb(n + k, n) if k >= 0 else 0
    high = q * math.comb(n + total - k - 1, n) if k < total else 0
    return low + high


def log3_many_token_rank(depth: int, effective_width: int) -> float:
    """log_3 of :func:`many_token_rank`, for any depth and width.

    Example:
        >>> round(3 ** log3_many_token_rank(2, 4))
        110
    """
    q, total = effective_width, degree(depth)
    n, k = q * (q + 1) / 2.0, _balance(depth, q)
    low = log3_multichoose(n + 1.0, float(k)) if k >= 0 else -math.inf
    high = math.log(q) / LN3 + log3_multichoose(n + 1.0, float(total - k - 1)) if k < total else -math.inf
    top = max(low, high)
    return top + math.log(sum(3.0 ** (term - top) for term in (low, high))) / LN3


def closed_form_rank(depth: int, effective_width: int, tokens: int) -> int:
    """Separation rank of generic weights for any even number of tokens: both forms above and what lies between them.

    With m = tokens / 2 vectors in the B half, a polynomial of degree k in the entries of S_B = sum b b^T sees only the
    representations S_{2 lambda} of GL_q with lambda a partition of k into at most m parts; the A half, degree C-k in
    S_A times one of its own vectors, sees the S_mu with mu = 2 lambda plus one box and at most m rows. The rank is at
    most the sum over k of the smaller of the two dimensions [derived]; equality is measured in every case tried with
    one head. m >= q gives :func:`many_token_rank`, m = 1 gives :func:`two_token_rank`. Beyond depth 3 and between
    those two, :func:`many_token_rank` is returned, which is a bound but not tight.

    Example:
        >>> closed_form_rank(2, 3, 2), closed_form_rank(2, 3, 4), closed_form_rank(3, 3, 4), closed_form_rank(3, 3, 6)
        (35, 49, 2640, 3102)
    """
    q, m, total = effective_width, tokens // 2, degree(depth)
    if m == 1:
        return two_token_rank(depth, q)
    if m >= q or depth > 3:
        return many_token_rank(depth, q)
    side_b = [sum(dimension(doubled(shape, q)) for shape in partitions(k, m)) for k in range(total + 1)]
    side_a = [
        sum(dimension(grown) for shape in partitions(k, m) for grown in with_a_box(doubled(shape, q), m))
        for k in range(total + 1)
    ]
    return sum(min(b, a) for b, a in zip(side_b, reversed(side_a), strict=True))
