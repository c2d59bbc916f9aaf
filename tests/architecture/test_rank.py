"""The rank instrument: its prediction is a bound for every configuration, and equality where it says so."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtant import architecture
from seqtant.architecture.config import RankConfig
from seqtant.architecture.instruments.rank import predict
from seqtant.errors import InputError


@st.composite
def small_networks(draw: st.DrawFn) -> RankConfig:
    heads = draw(st.sampled_from((1, 2)))
    options: dict[str, Any] = {
        "depth": draw(st.integers(1, 2)),
        "width": heads * draw(st.integers(1, 2)) if heads > 1 else draw(st.integers(1, 4)),
        "heads": heads,
        "tokens": 2 * draw(st.integers(1, 4)),
        "embed_rank": draw(st.sampled_from((None, 1, 2, 9))),
        "inner_dim": draw(st.sampled_from((None, heads, 6))),
        "positions": draw(st.sampled_from(("none", "span", "free"))),
        "vocab": draw(st.sampled_from((None, None, 1, 2, 3))),
        "residual": draw(st.booleans()),
        "projection": draw(st.sampled_from((None, None, 1, 9))),
        "max_templates": 128,
    }
    return RankConfig(**options)


@settings(max_examples=40, deadline=None)
@given(config=small_networks())
def test_the_closed_form_is_never_exceeded_and_met_where_it_is_exact(config: RankConfig) -> None:
    result = architecture.rank.run(config)
    rank, closed_form = result.values["rank"], result.values["closed_form"]
    assert result.values["saturated"] == 1
    assert rank is not None
    assert closed_form is not None
    assert rank <= closed_form
    if result.values["closed_form_exact"]:
        assert rank == closed_form
    assert result.findings[0].verdict == "agrees"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"positions": "free", "embed_rank": 2}, "free positions"),
        ({"vocab": 3}, "finite vocabulary"),
        ({"heads": 2}, "several heads"),
        ({"inner_dim": 2}, "narrower than the stream"),
        ({"projection": 2}, "narrows the stream"),
        ({"depth": 4, "tokens": 4}, "not tight"),
    ],
)
def test_a_bound_says_why_it_is_only_a_bound(options: dict[str, Any], why: str) -> None:
    predicted = predict(RankConfig(**options))
    assert not predicted.is_exact
    assert why in predicted.why


def test_a_rank_beyond_any_float_is_shown_by_its_logarithm() -> None:
    result = architecture.rank(depth=6, width=8, tokens=16, templates=16, max_templates=16)
    assert result.values["closed_form"] is None
    total = sum(min(math.comb(35 + k, k), 8 * math.comb(35 + 364 - k, 364 - k)) for k in range(365))
    assert result.values["closed_form_log3"] == pytest.approx(math.log(total, 3))
    assert result.findings[0].predicted is None
    assert result.findings[0].verdict == "inconclusive"


def test_measurable_sizes_end_somewhere() -> None:
    with pytest.raises(InputError, match="up to depth 10 and width 64"):
        RankConfig(width=65)
