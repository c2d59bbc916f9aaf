"""Closed forms of the in-context bias: what one pass over two texts can express and one gradient step cannot.

The bound is derived here, in the spirit of Levine et al. 2022 ("The Inductive Bias of In-Context Learning",
arXiv:2110.04541); it is not the paper's theorem, whose constants we could not read at the source.

Symbols:
    L           layers of the network
    S1, S2      the earlier and the later text
    G(S1)       gradient of the loss on S1; r is the dimension of the span of all G(S1)
    eta         learning rate
    R0          radius around the weights in which the network is analytic and bounded by B (complex weights)
    q           eta |G| / R0, the size of the step in units of that radius
    eps         precision at which two outputs count as different
    K           degree in G(S1) that one step leaves standing at precision eps
    D_L         degree of the network's output in its weights, no softmax and no activations

Derivation: F(S1, S2) = f_{W - eta G(S1)}(S2) = sum_k (-eta)^k / k! D^k f_W(S2)[G(S1)^(k)]. Its k-th term is linear in
the k-th symmetric power of G(S1), hence of separation rank at most C(r+k-1, k); the terms up to K have at most
C(r+K, K) together. By Cauchy's estimate the k-th term is at most B q^k, the tail beyond K at most B q^(K+1) / (1-q).
Nothing in it needs a polynomial network: for softmax, layer norms and GELU put D_L = infinity.
"""

# SciPy ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

from seqtant.errors import InputError


def weight_degree(depth: int, *, embeddings: bool = False) -> int:
    """Degree D_L of a softmax-free attention network's output in its weights: d_{l+1} = 3 d_l + 4, d_0 = 0.

    It is 2 (3^L - 1), or 3^(L+1) - 2 if the input embeddings count as weights too.
    """
    return 3 ** (depth + 1) - 2 if embeddings else 2 * (3**depth - 1)


def surviving_degree(step: float, precision: float, *, most: float = math.inf) -> int:
    """Largest degree K in the gradient that one step leaves standing.

    Args:
        step: q = eta |G| / R0, in (0, 1).
        precision: eps / B, in (0, 1).
        most: D_L, where the network is a polynomial in its weights.

    Returns:
        K = min(D_L, ceil(ln(B / (eps (1-q))) / ln(1/q)) - 1); 0 where the earlier text has no effect at this precision.

    Raises:
        InputError: The step or the precision does not lie between 0 and 1.

    Example:
        >>> [surviving_degree(step, 1e-6) for step in (1e-1, 1e-2, 1e-4)]
        [6, 3, 1]
    """
    for name, value in (("step", step), ("precision", precision)):
        if not 0 < value < 1:
            raise InputError(f"{name} is {value}: the bound holds for numbers between 0 and 1")
    # The least K with tail q^(K+1) / (1-q) <= eps / B.
    terms = math.log(1 / (precision * (1 - step))) / math.log(1 / step)
    return max(0, int(min(most, math.ceil(terms) - 1)))


def sequential_log_rank(span: float, degree: int) -> float:
    """Natural logarithm of the bound C(r+K, K) on the eps-separation rank across one gradient step; ``span`` is r."""
    return float(gammaln(span + degree + 1) - gammaln(span + 1) - gammaln(degree + 1))


def sequential_depth(degree: int) -> float:
    """Depth of the network whose own degree is what one step leaves: log_3(K/2 + 1)."""
    return math.log(degree / 2 + 1) / math.log(3)


def depth_deficit(depth: int, degree: int) -> float:
    """Layers that are lost for dependencies between texts in different examples: L minus :func:`sequential_depth`.

    Example:
        >>> round(depth_deficit(12, 3), 2)
        11.17
    """
    return depth - min(float(depth), sequential_depth(degree))


def effective_rank_bounds(matrix: Float[np.ndarray, "earlier later"], precision: float) -> tuple[int, int]:
    """Two-sided bound on the eps-separation rank of a function tabulated on finite sets of texts.

    With the matrix divided by its largest entry, every g with sup |f - g| <= eps has at least as many singular values
    as f has above eps sqrt(m1 m2), and the truncated singular value decomposition is one such g as soon as its largest
    error is at most eps. Compute in float64: in float32 rounding alone looks like rank at a precision of about 1e-6.

    Args:
        matrix: f(S1, S2), one row per earlier and one column per later text.
        precision: eps, relative to the largest entry.

    Returns:
        Lower and upper bound.

    Raises:
        InputError: The matrix is zero or holds a number that is not finite.

    Example:
        >>> effective_rank_bounds(np.diag([1.0, 0.5, 1e-9]), 1e-3)
        (2, 2)
    """
    largest = float(np.abs(matrix).max())
    if not math.isfinite(largest) or largest == 0:
        raise InputError("a matrix of zeros or of numbers that are not finite has no effective rank")
    scaled = np.asarray(matrix / largest, dtype=np.float64)
    left, values, right = np.linalg.svd(scaled, full_matrices=False)
    # |F - G| <= eps entrywise gives |F - G|_2 <= eps sqrt(m1 m2), and Weyl bounds every singular value of G.
    lower = int((values > precision * math.sqrt(scaled.size)).sum())
    # ``rest`` is F minus its best approximation of rank ``rank``: the first that is small everywhere is a witness.
    rest = scaled.copy()
    for rank in range(len(values) + 1):
        if float(np.abs(rest).max()) <= precision:
            return lower, rank
        if rank < len(values):
            rest -= values[rank] * np.outer(left[:, rank], right[rank])
    return lower, len(values)
