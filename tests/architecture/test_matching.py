"""Matching widths against exact ranks on both sides of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtant.architecture.separation.closed_forms import (
    MAX_WIDTH,
    log3_many_token_rank,
    many_token_rank,
    matching_width,
)


@pytest.mark.parametrize(
    ("depth", "width", "to_depth", "needed"),
    [(2, 4, 1, 109), (2, 8, 1, 998), (2, 16, 1, 11644), (3, 8, 2, 131), (4, 8, 3, 35)],
)
def test_published_matches(depth: int, width: int, to_depth: int, needed: int) -> None:
    assert matching_width(depth, width, to_depth) == needed


@given(depth=st.integers(1, 4), width=st.integers(1, 24), to_depth=st.integers(1, 4))
def test_it_is_the_smallest_width_that_suffices(depth: int, width: int, to_depth: int) -> None:
    needed = matching_width(depth, width, to_depth)
    target = many_token_rank(depth, width)
    if needed is None:
        assert log3_many_token_rank(to_depth, MAX_WIDTH) < log3_many_token_rank(depth, width)
    else:
        assert many_token_rank(to_depth, needed) >= target
        assert needed == 1 or many_token_rank(to_depth, needed - 1) < target
    if to_depth == depth:
        assert needed == width


def test_out_of_reach_is_said() -> None:
    assert matching_width(24, 1024, 12) is None
