"""Settings outside the range in which they mean something are refused by name; the ends of a range are sharp."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest

from seqtant.errors import InputError
from seqtant.ranges import at_least, at_most, between, fraction, positive

RANGES: dict[str, tuple[Callable[..., None], list[float], list[float]]] = {
    "at least 2": (partial(at_least, 2), [2, 3], [1, -5, math.nan]),
    "at most 2": (partial(at_most, 2), [2, -3], [3, math.nan]),
    "from -1 to 2": (partial(between, -1, 2), [-1, 0.5, 2], [-1.01, 2.01, math.nan, math.inf]),
    "fraction": (fraction, [0.01, 0.99], [0, 1, -0.5, math.nan]),
    "positive": (positive, [1e-9, 5], [0, -1, math.nan, math.inf]),
}


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_are_sharp(name: str) -> None:
    refuse, good, bad = RANGES[name]
    for value in good:
        refuse(width=value)
    for value in bad:
        with pytest.raises(InputError, match=f"width is {value}: give "):
            refuse(width=value)


@pytest.mark.parametrize("name", RANGES)
def test_what_is_not_given_is_not_refused(name: str) -> None:
    refuse, good, bad = RANGES[name]
    refuse(width=None, heads=good[0])
    with pytest.raises(InputError, match="heads"):
        refuse(width=None, heads=bad[0])
