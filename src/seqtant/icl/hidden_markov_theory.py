"""In-context learning of hidden Markov models: the condition and the rate of Xie et al. (arXiv 2111.02080).

Their constants c1 to c8 are none of those of ``theory``, so each is named here by what it is. ``T`` is the number of
tokens of an example, ``gamma`` the condition number of the tokens' Fisher information.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.optimize import brentq  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]


def delimiter_error(in_rival: float, in_task: float, start_low: float, start_high: float) -> float:
    """Xie et al., Condition 1: what delimiters can cost, 2 (log c2 - log c1) + log c4 - log c3, in nats.

    Args:
        in_rival: Largest probability of moving to a delimiter state under another concept (their c2).
        in_task: Smallest such probability under the true concept (their c1).
        start_low: Smallest start probability of a delimiter state (their c3).
        start_high: Largest one (their c4).

    Example:
        >>> delimiter_error(0.5, 0.5, 0.1, 0.1)
        0.0
    """
    return 2 * (math.log(in_rival) - math.log(in_task)) + math.log(start_high) - math.log(start_low)


def start_error(start_low: float) -> float:
    """Xie et al., Condition 1: what an unknown start can cost, log(1/c8), in nats.

    Example:
        >>> start_error(1.0)
        0.0
    """
    return math.log(1 / start_low)


def distinguishable(token_divergences: Sequence[float], start: float, delimiter: float) -> bool:
    """Xie et al., Condition 1: the divergences of an example's tokens exceed both errors.

    Then, by their Theorem 1, the prediction in context tends to the 0-1-optimal one as shots go to infinity.

    Example:
        >>> distinguishable([1.0, 2.0], start=1.5, delimiter=1.0), distinguishable([1.0], start=1.5, delimiter=1.0)
        (True, False)
    """
    return sum(token_divergences) > start + delimiter


def calibration(gap: float) -> float:
    """Xie et al., Theorem 2: g(d) = ((1 - d) log(1 - d) + (1 + d) log(1 + d)) / 2 for a gap in risk d in [0, 1].

    Example:
        >>> round(calibration(1.0), 6), calibration(0.0)
        (0.693147, 0.0)
    """
    low = (1 - gap) * math.log(1 - gap) if gap < 1 else 0.0
    return (low + (1 + gap) * math.log(1 + gap)) / 2


def continuous_excess_risk(condition: float, error: float, length: int, *, constant: float = 1.0) -> float:
    """Xie et al., Theorem 2: excess 0-1 risk for concepts that cannot be told apart, g^-1(C gamma error / (T - 1)).

    It falls with the length of an example, not with their number. The theorem names no constant C: with 1 the value is
    a scaling, no bound.

    Args:
        condition: Condition number gamma of the Fisher information of the tokens.
        error: Largest sum of start and delimiter error near the true concept, in nats.
        length: Tokens per example, at least 2.
        constant: C.

    Returns:
        At most 1.

    Example:
        >>> round(continuous_excess_risk(1.0, 0.5, 11), 3)
        0.314
    """
    level = constant * condition * error / (length - 1)
    if level >= calibration(1.0):
        return 1.0
    return float(brentq(_above, 0.0, 1.0, args=(level,)))  # pyright: ignore[reportArgumentType]


def _above(gap: float, level: float) -> float:
    return calibration(gap) - level
