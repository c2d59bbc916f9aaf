"""Closed forms of CTC posteriors: when sampled paths emit, what can be deleted; and how many words a test needs.

Letters: T model frames of an utterance, V labels with the blank, p posteriors (T, V), each row sums to 1. Derived here,
each compared with enumeration in the tests. All in float64.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from seqtant.errors import InputError


def first_emission(p: ArrayLike, *, blank: int) -> tuple[float, float]:
    """Computes the expected frame of the first non-blank label of a sampled path, and the probability of none.

    ``sum_t t p_t(not blank) prod_{s<t} p_s(blank)``, divided by the probability that anything is emitted.

    Example:
        >>> first_emission([[0.5, 0.5], [0.5, 0.5]], blank=0)
        (0.3333333333333333, 0.25)
    """
    stay = np.asarray(p, dtype=np.float64)[:, blank]
    silent_before = np.concatenate([[1.0], np.cumprod(stay)])  # [T + 1], the last entry: the whole path is blank
    probabilities = silent_before[:-1] * (1 - stay)
    total = float(probabilities.sum())
    if total <= 0:
        raise InputError("every sampled path is blank: the model emits nothing, so it has no emission time")
    return float(np.arange(len(stay)) @ probabilities) / total, float(silent_before[-1])


def expected_removable(p: ArrayLike, *, blank: int) -> float:
    """Computes the expected number of frames of a sampled path that can be deleted without changing its text.

    A frame can go when it repeats its left neighbor, and the first frame when it is blank:
    ``p_0(blank) + sum_{t>0} sum_v p_t(v) p_{t-1}(v)``.

    Example:
        >>> expected_removable([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], blank=0)
        2.0
    """
    frames = np.asarray(p, dtype=np.float64)
    return float(frames[0, blank] + (frames[1:] * frames[:-1]).sum()) if len(frames) else 0.0


def words_to_resolve(
    relative: float, error_rate: float, *, discordant: float = 1.0, level: float = 0.95, power: float = 0.8
) -> int:
    """Computes the test words a paired comparison of two systems needs to see a relative change of the word error rate.

    ``discordant * error_rate * (z / (relative * error_rate))^2``: a word on which the two systems differ moves the
    difference by one, so the difference of the two rates has a variance of about the share of such words per word.
    ``discordant`` are the words on which exactly one system errs, as a share of the first system's errors; ``level`` is
    two-sided.

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
