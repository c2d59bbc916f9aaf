"""Which width makes one depth as expressive as another: a search over the closed form of the separation rank."""

from __future__ import annotations

from seqtant.architecture import theory

MAX_WIDTH = 10**12
"""Widths above this are reported as out of reach."""
_EXACT_DIGITS = 2000
"""Ranks of up to so many base-3 digits are compared as whole numbers, larger ones by their logarithms."""


def matching_width(depth: int, width: int, to_depth: int) -> int | None:
    """Smallest width at which ``to_depth`` layers have at least the separation rank of ``depth`` layers of ``width``.

    Uses the closed form for as many tokens per half as the width, one head. None above :data:`MAX_WIDTH`.

    Example:
        >>> [matching_width(2, 8, 1), matching_width(3, 8, 2), matching_width(4, 8, 3)]
        [998, 131, 35]
    """
    target = theory.log3_many_token_rank(depth, width)
    exact = target < _EXACT_DIGITS

    def suffices(candidate: int) -> bool:
        guess = theory.log3_many_token_rank(to_depth, candidate)
        if exact and abs(guess - target) < 1.0:
            return theory.many_token_rank(to_depth, candidate) >= theory.many_token_rank(depth, width)
        return guess >= target

    if not suffices(MAX_WIDTH):
        return None
    low, high = 0, 1
    while not suffices(high):
        low, high = high, min(2 * high, MAX_WIDTH)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
