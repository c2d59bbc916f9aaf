"""Closed forms on learning with and without intermediate steps.

Letters, as in the papers:
    d       number of input bits                     k       size of the hidden subset, d/2 in the paper
    H       family of possible targets               |H|     its size, C(d, k) for parities
    F       root mean square of the model's gradient over inputs
    p_t     accuracy of step t given the true earlier steps
    n       number of samples

Sources: Wies, Levine, Shashua, "Sub-Task Decomposition Enables Learning in Sequence to Sequence Tasks", ICLR 2023; Kim
and Suzuki, "Transformers Provably Solve Parity Efficiently with Chain of Thought", arXiv 2410.08633; Shalev-Shwartz,
Shamir, Shammah, "Failures of Gradient-Based Deep Learning", ICML 2017, Theorem 1; Matsui, "Linear cryptanalysis of
DES", 1993, for the piling-up lemma.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


def gradient_variance_bound(gradient_square: float, targets: float) -> float:
    """Bounds the variance of the gradient from target to target: 4 F^2 / |H|.

    For F_h = E[(h - f)^2] over pairwise orthogonal targets h of values +-1; with a factor 1/2 in front of the loss the
    bound is a quarter of this.

    Source: Shalev-Shwartz, Shamir, Shammah 2017, Theorem 1 (restated as Proposition 3 by Kim and Suzuki); the 4
    is derived from grad F_h = 2 E[(f - h) grad f].

    Example:
        >>> gradient_variance_bound(1.0, 100)
        0.04
    """
    return 4 * gradient_square / targets


def chain_accuracy(step_accuracies: ArrayLike) -> float:
    """Computes the probability that all steps are right if they err independently: prod p_t.

    Example:
        >>> chain_accuracy([0.9, 0.9])
        0.81
    """
    return float(np.prod(np.asarray(step_accuracies, dtype=np.float64)))


def parity_answer_accuracy(step_accuracies: ArrayLike) -> float:
    """Computes the probability that the root of a tree of exclusive ors is right: (1 + prod (2 p_t - 1)) / 2.

    Two wrong steps cancel, so this is above :func:`chain_accuracy`.

    Source: piling-up lemma (Matsui 1993).

    Example:
        >>> round(parity_answer_accuracy([0.97] * 15), 4)
        0.6976
    """
    # A step's factor (-1)^error has mean 2 p_t - 1; independent errors multiply these means.
    biases = 2 * np.asarray(step_accuracies, dtype=np.float64) - 1
    return float((1 + np.prod(biases)) / 2)


def full_rank_probability(bits: int, samples: int) -> float:
    """Computes the probability that random rows over GF(2) determine every bit: prod_{i<d} (1 - 2^(i-n)).

    Source: elementary; row i of the echelon form avoids a space of 2^i among 2^n columns.

    Example:
        >>> round(full_rank_probability(512, 522), 6)
        0.999024
    """
    if samples < bits:
        return 0.0
    # Summed as log1p: most factors round to 1.
    exponents = np.arange(samples - bits + 1, samples + 1, dtype=np.float64)
    return float(np.exp(np.log1p(-np.exp2(-exponents)).sum()))


def link(t: ArrayLike) -> Float[np.ndarray, " *shape"]:
    """Evaluates the piecewise quadratic link phi with phi(0) = -1 and phi(+-1) = 1.

    For signs a, b it multiplies: phi((a + b) / 2) = a b.

    Source: Kim and Suzuki, arXiv 2410.08633 (read as a peer's restatement).

    Example:
        >>> link([0.0, 1.0, -1.0, 0.5]).tolist()
        [-1.0, 1.0, 1.0, 0.0]
    """
    # Two parabolas that meet at |t| = 1/2 with value 0 and slope 4.
    place = np.abs(np.asarray(t, dtype=np.float64))
    return np.where(place < 0.5, 4 * place**2 - 1, -4 * place**2 + 8 * place - 3)


def link_slope(t: ArrayLike) -> Float[np.ndarray, " *shape"]:
    """Evaluates the derivative of :func:`link`.

    Example:
        >>> link_slope([0.25, -0.75]).tolist()
        [2.0, -2.0]
    """
    place = np.asarray(t, dtype=np.float64)
    size = np.abs(place)
    return np.sign(place) * np.where(size < 0.5, 8 * size, 8 - 8 * size)


def first_gradient(
    earlier: Float[np.ndarray, "n tokens"], target: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " tokens"]:
    """Computes the gradient at w = 0 of E[(phi(z) - y)^2] / 2 with z = sum_j softmax(w)_j x_j.

    It is E[(phi(z) - y) phi'(z) (x_j - z)] / m, with z the plain mean of the m earlier tokens. On the two tokens whose
    product y is, it is close to -8 / m^2; elsewhere it is of lower order.

    Example:
        >>> bits = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
        >>> first_gradient(bits, bits.prod(axis=1)).tolist()
        [0.0, 0.0]
    """
    tokens = np.asarray(earlier, dtype=np.float64)
    # At w = 0 the softmax is uniform, and d softmax_j / d w_j gives (x_j - z) / m.
    mean = tokens.mean(axis=1)
    pull = (link(mean) - target) * link_slope(mean)
    return (tokens * pull[:, None]).mean(axis=0) / tokens.shape[1] - (pull * mean).mean() / tokens.shape[1]


def expected_first_gradient(tokens: int) -> tuple[float, float]:
    """Computes the exact mean of :func:`first_gradient` over uniform tokens: on the two children, and elsewhere.

    Sums over the number of ones among the m - 2 other tokens instead of over 2^m inputs; m is at least 3.

    Example:
        >>> child, other = expected_first_gradient(64)
        >>> round(child * 64**2, 2), round(other * 64**2, 2)
        (-7.75, 0.25)
    """
    others = tokens - 2
    # Binomial weights through lgamma: 2^m overflows from 1024 tokens on.
    ones = np.arange(others + 1)
    log_choose = np.array([math.lgamma(others + 1) - math.lgamma(i + 1) - math.lgamma(others - i + 1) for i in ones])
    weight = np.exp(log_choose - others * math.log(2))
    rest = 2.0 * ones - others
    child = other = 0.0
    # The two children take all four sign pairs, a quarter of the mass each.
    for first in (-1, 1):
        for second in (-1, 1):
            mean = (rest + first + second) / tokens
            pull = (link(mean) - first * second) * link_slope(mean)
            child += float((weight * pull * (first - mean)).sum()) / 4
            other += float((weight * pull * (rest / others - mean)).sum()) / 4
    return child / tokens, other / tokens
