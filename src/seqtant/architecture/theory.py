"""Closed forms of the depth law: which depth suits a size, and how far the rank of the input shifts it.

Papers: 8 = Levine et al. 2020, "The Depth-to-Width Interplay in Self-Attention" (arXiv 2006.12467);
7 = Wies et al. 2021, "Which Transformer architecture fits my data? A vocabulary bottleneck in self-attention"
(arXiv 2105.03928). Source marks: [peer] confirmed by a third party, [derived] derived here, [memory] recalled and not
verified at the source. Their separation ranks are in :mod:`seqtant.architecture.separation.closed_forms`.

Legend:
    L    depth, attention layers
    d    width of the residual stream (the papers' d_x), numbers
    N    parameters without embeddings and output head
    a, b intercept and slope of the fitted line ln d = a + b L (natural logarithm; b per layer)
    r    rank of the input embedding
"""

# SciPy ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scipy.special import lambertw

from seqtant.errors import InputError

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


def _root(increasing: Callable[[float], float], low: float, high: float) -> float:
    """Zero of an increasing function by halving; importing SciPy's root finders would take longer than a plan does."""
    # Halves until no float64 lies between the ends: exact to the last digit.
    while True:
        middle = (low + high) / 2.0
        if not low < middle < high:
            return middle
        low, high = (low, middle) if increasing(middle) > 0.0 else (middle, high)


def check_size(size: float) -> None:
    """Refuses a size that is no finite number above 0."""
    if not 0 < size < math.inf:
        raise InputError(f"size is {size:g}: give a finite number above 0")


def optimal_depth(size: float, law: DepthLaw = FITTED) -> DepthRange:
    """Computes the depth that suits a size: L* = W(2bN / (12 e^(2a))) / (2b), d* = sqrt(N / 12L*).

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
    check_size(size)
    # With u = 2bL, N = 12 L e^(2a + 2bL) reads u e^u = 2bN / (12 e^(2a)), so that u is Lambert's W of it.
    argument = 2.0 * law.b * size / (12.0 * math.exp(2.0 * law.a))
    depth = float(lambertw(argument).real) / (2.0 * law.b)
    # N = 12 L d^2, so that dN/N = 2 sigma(ln d): sqrt(4 var_a + 4 L^2 var_b + 8 L cov_ab) [memory; derived again].
    error = 2.0 * law.log_width_error(depth) / (1.0 / depth + 2.0 * law.b)
    return DepthRange(depth, error, math.sqrt(size / (12.0 * depth)))


def optimal_depth_of_family(
    size: float,
    layer_parameters: Callable[[float], float],
    law: DepthLaw = FITTED,
    outside: Callable[[float], float] = lambda width: 0.0,
) -> DepthRange:
    """Solves c(d) L + E(d) = N at d = e^(a + bL): the depth that suits a size of which E(d) is no layer's [derived].

    The line is about widths, so grouped queries, experts and embeddings move only the count. With T = c(d) L + E(d) and
    T' = dT / d ln d at fixed L, the error is dL = T' sigma(ln d) / (c + b T'), :func:`optimal_depth`'s for 12 d^2.

    Raises:
        InputError: The size is no finite number above 0, or E takes all of it at the line's narrowest width e^a.

    Example:
        >>> round(optimal_depth_of_family(1e9, lambda d: 12 * d**2).depth, 6) == round(optimal_depth(1e9).depth, 6)
        True
    """
    check_size(size)
    if outside(law.transition_width(0.0)) >= size:
        told = f"params is {size:g} in total: the embeddings alone take that much at the law's narrowest width"
        raise InputError(f"{told}; give more, a smaller vocab, or --set count=non-embedding")

    def total(depth: float, width: float) -> float:
        return layer_parameters(width) * depth + outside(width)

    def surplus(depth: float) -> float:
        return math.log(total(depth, law.transition_width(depth)) / size)

    # Cost and width both grow with depth, so the surplus has one root: bracket it, then halve.
    low, high = 1e-9, 8.0
    while surplus(low) > 0.0:
        low /= 1e3
    while surplus(high) < 0.0:
        high *= 2.0
    depth = _root(surplus, low, high)
    width = law.transition_width(depth)
    step = 1e-4  # of ln d, for the slope by central difference
    slope = (total(depth, width * math.exp(step)) - total(depth, width * math.exp(-step))) / (2.0 * step)
    # A shift of ln d by sigma moves T by T' sigma, and dL of depth moves it by (c + b T') dL.
    error = slope * law.log_width_error(depth) / (layer_parameters(width) + law.b * slope)
    return DepthRange(depth, error, width)


def width_of_family(size_per_layer: float, layer_parameters: Callable[[float], float]) -> float:
    """Solves c(d) = size per layer: the real width whose layer has a given number of parameters.

    Example:
        >>> round(width_of_family(12 * 768.0**2, lambda d: 12 * d**2), 6)
        768.0
    """
    # Halving in ln d, between e^-60 and e^60, is as exact for narrow layers as for wide ones.
    return math.exp(_root(lambda log_width: math.log(layer_parameters(math.exp(log_width)) / size_per_layer), -60, 60))


def depth_of_aspect_ratio(size: float, ratio: float, layer_parameters: Callable[[float], float]) -> float:
    """Solves c(ratio L) L = N: the depth of the shape of a given size whose width is ``ratio`` times its depth.

    Example:
        >>> round(depth_of_aspect_ratio(12 * 20 * 1280.0**2, 64, lambda d: 12 * d**2), 9)
        20.0
    """
    check_size(size)

    def surplus(log_depth: float) -> float:
        depth = math.exp(log_depth)
        return math.log(layer_parameters(ratio * depth) * depth / size)

    return math.exp(_root(surplus, -60.0, 60.0))


RankCap = Literal["width not limited", "width held at the rank", "three times the law"]


def rank_limited_depth(
    size: float, effective_rank: float, best: DepthRange, layer_parameters: Callable[[float], float]
) -> tuple[float, RankCap]:
    """Bounds the depths to consider when the input's rank r is below the width the law asks for.

    Width above r adds parameters but no separation rank (paper 7, [memory]; small cases measured exactly), so they go
    into depth until the width is r: N / c(r), which is N / (12 r^2) for standard layers. For a tiny r that is absurd
    (6504 layers for r = 33 at 8.5e7), so it is cut at 3 L*(N) [derived; the factor 3 is a convention of this package].
    The second part of the answer says what decided it.

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
