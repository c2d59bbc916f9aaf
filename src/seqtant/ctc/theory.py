"""Closed forms of CTC alignments: what the loss must do to every logit, and when a model must emit.

Legend (letters of the literature, used in this file only):
    T      number of model frames of an utterance
    V      number of labels, blank included
    U      number of target tokens, R of which repeat their left neighbor
    p      posteriors, frames x labels, each row sums to 1
    a      a path: one label per frame;  a-bar: the better path made from it
    N      sampled paths per utterance;  alpha: weight of the purpose loss
    gamma  penalty per frame of a delay-penalized CTC

Source of the method: Align With Purpose, arXiv 2307.01715; of the rest: derived here, each held against enumeration
in the tests. All in float64.
"""

from __future__ import annotations

from math import comb, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqtant.errors import InputError

Floats = NDArray[np.float64]


def pair_gradient(a: ArrayLike, a_bar: ArrayLike, V: int, *, length: int) -> Floats:
    """Gradient of one active pair's score difference with respect to the logits.

    The log-normalizer cancels in ``log p(a) - log p(a-bar)``, so the gradient is ``(onehot(a) - onehot(a-bar)) / T``:
    bounded, never vanishing, and the same however sure the model is.

    Args:
        a: Sampled path, labels, shape (T,).
        a_bar: Better path, labels, shape (T,).
        V: Number of labels.
        length: Frames that count; later ones have no gradient.

    Returns:
        Gradient with respect to the logits, shape (T, V).

    Example:
        >>> pair_gradient([1, 1], [1, 0], 2, length=2)
        array([[ 0. ,  0. ],
               [-0.5,  0.5]])
    """
    eye = np.eye(V)
    gradient = (eye[np.asarray(a)] - eye[np.asarray(a_bar)]) / max(length, 1)
    gradient[length:] = 0.0
    return gradient


def path_count(T: int, U: int, R: int = 0) -> int:
    """Number of paths of T frames that collapse to a given target.

    Args:
        T: Frames.
        U: Target tokens.
        R: Tokens that equal their left neighbor (a blank must stand between).

    Returns:
        ``C(T + U - R, 2 U)``; 0 when ``T < U + R``.

    Example:
        >>> path_count(4, 2), path_count(3, 2, 1)
        (15, 1)
    """
    return comb(T + U - R, 2 * U) if T >= U + R else 0


def first_emission(p: ArrayLike, *, blank: int) -> tuple[float, float]:
    """Expected frame of the first non-blank label of a sampled path, and the chance that there is none.

    ``sum_t t p_t(not blank) prod_{s<t} p_s(blank)``, divided by the chance that anything is emitted.

    Args:
        p: Posteriors, shape (T, V).
        blank: Index of the blank.

    Returns:
        Expected frame index given that something is emitted, and the probability of an empty path.

    Raises:
        InputError: No path with a token has any probability.

    Example:
        >>> first_emission([[0.5, 0.5], [0.5, 0.5]], blank=0)
        (0.3333333333333333, 0.25)
    """
    stay = np.asarray(p, dtype=np.float64)[:, blank]
    silent_before = np.concatenate([[1.0], np.cumprod(stay)])
    chances = silent_before[:-1] * (1 - stay)
    total = float(chances.sum())
    if total <= 0:
        raise InputError("every sampled path is blank: the model emits nothing, so it has no emission time")
    return float(np.arange(len(stay)) @ chances) / total, float(silent_before[-1])


def last_emission(p: ArrayLike, *, blank: int) -> tuple[float, float]:
    """Expected frame of the last non-blank label of a sampled path, and the chance that there is none.

    Args:
        p: Posteriors, shape (T, V).
        blank: Index of the blank.

    Returns:
        Expected frame index given that something is emitted, and the probability of an empty path.

    Raises:
        InputError: No path with a token has any probability.

    Example:
        >>> last_emission([[0.5, 0.5], [0.5, 0.5]], blank=0)
        (0.6666666666666667, 0.25)
    """
    reversed_frames = np.asarray(p, dtype=np.float64)[::-1]
    frame, empty = first_emission(reversed_frames, blank=blank)
    return len(reversed_frames) - 1 - frame, empty


def expected_removable(p: ArrayLike, *, blank: int) -> float:
    """Expected number of frames of a sampled path that can be deleted without changing what it says.

    A frame can go when it repeats its left neighbor, and the first frame when it is blank:
    ``p_0(blank) + sum_{t>0} sum_v p_t(v) p_{t-1}(v)``.

    Args:
        p: Posteriors, shape (T, V).
        blank: Index of the blank.

    Example:
        >>> expected_removable([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], blank=0)
        2.0
    """
    frames = np.asarray(p, dtype=np.float64)
    return float(frames[0, blank] + (frames[1:] * frames[:-1]).sum()) if len(frames) else 0.0


def expected_token_shift(a: ArrayLike, *, blank: int) -> float:
    """Mean number of frames that one low-latency edit moves a token of a path earlier.

    The edit deletes a frame drawn uniformly from the removable ones at or before the last token, and every token that
    starts later moves one frame earlier.

    Args:
        a: A path, shape (T,).
        blank: Index of the blank.

    Returns:
        Expected shift per token in frames; 0 for a path with no token or nothing to remove.

    Example:
        >>> expected_token_shift([0, 0, 1], blank=0), expected_token_shift([1, 1, 0], blank=0)
        (1.0, 0.0)
    """
    path = np.asarray(a)
    previous = np.concatenate([[blank], path[:-1]])
    spoken = np.flatnonzero(path != blank)
    if not len(spoken):
        return 0.0
    removable = np.flatnonzero((path == previous) & (np.arange(len(path)) <= spoken[-1]))
    starts = np.flatnonzero((path != blank) & (path != previous))
    return float((starts[None, :] > removable[:, None]).mean()) if len(removable) else 0.0


def delay_penalty(starts: ArrayLike, T: int, gamma: float) -> float:
    """What delay-penalized CTC adds to the log-probability of a path.

    Every token's first frame ``t`` adds ``-gamma (t - floor(T / 2))``.

    Args:
        starts: First frame of each token.
        T: Frames.
        gamma: Penalty per frame, nats.

    Example:
        >>> delay_penalty([1, 2], 4, 0.5)
        0.5
    """
    return float(-gamma * (np.asarray(starts, dtype=np.float64) - T // 2).sum())


def words_to_resolve(
    relative: float, error_rate: float, *, discordant: float = 1.0, level: float = 0.95, power: float = 0.8
) -> int:
    """Number of test words a paired comparison of two systems needs to see a relative change of the word error rate.

    A word on which the two systems differ moves the difference by one; with a share ``discordant * error_rate`` of
    such words the difference of the two error rates has variance of about that share per word.

    Args:
        relative: Relative change to be seen, e.g. 0.04.
        error_rate: Word error rate of the first system, in (0, 1).
        discordant: Words on which exactly one system errs, as a share of the first system's errors.
        level: Two-sided level of the test.
        power: Chance of seeing the change.

    Raises:
        InputError: A rate or change outside (0, 1).

    Example:
        >>> words_to_resolve(0.04, 0.06, discordant=0.5)
        40880
    """
    for name, value in {"relative": relative, "error_rate": error_rate, "level": level, "power": power}.items():
        if not 0 < value < 1:
            raise InputError(f"{name} is {value}: it must lie between 0 and 1")
    quantile = NormalDist().inv_cdf
    z = quantile((1 + level) / 2) + quantile(power)
    return int(np.ceil(discordant * error_rate * (z / (relative * error_rate)) ** 2))


def binomial_error(rate: float, words: int) -> float:
    """Standard error of a word error rate counted on independent words (a lower bound where errors cluster).

    Example:
        >>> round(binomial_error(0.01, 10_000), 6)
        0.000995
    """
    return sqrt(rate * (1 - rate) / words)
