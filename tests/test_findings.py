"""Records survive JSON exactly, refuse NaN, and print to the digits their intervals warrant."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtant.errors import InputError
from seqtant.findings import (
    Artifact,
    Assumption,
    Claim,
    ClaimCheck,
    Estimate,
    Finding,
    Measurement,
    Result,
    Table,
    format_number,
    from_json,
    to_json,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FLOATS = st.floats(allow_nan=False)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.none() | st.integers(0, 10**9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | FINITE | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    low, high = sorted((draw(FLOATS), draw(FLOATS)))
    return Estimate(
        value=draw(FLOATS | st.integers(-5, 5)),
        low=draw(st.sampled_from((low, None))),
        high=draw(st.sampled_from((high, None))),
        level=draw(st.sampled_from((0.5, 0.9, 0.95, 0.99))),
        method=draw(TEXT),
        n=draw(COUNTS),
        clusters=draw(COUNTS),
        unit=draw(TEXT),
    )


FINDINGS = st.builds(
    Finding,
    key=TEXT,
    question=TEXT,
    verdict=st.sampled_from(("agrees", "disagrees", "vacuous", "inconclusive")),
    summary=TEXT,
    predicted=st.none() | estimates(),
    measured=st.none() | estimates(),
    assumptions=st.lists(st.builds(Assumption, statement=TEXT, how=TEXT), max_size=2).map(tuple),
    advice=TEXT,
)
CLAIMS = st.builds(
    Claim,
    id=TEXT,
    paper=st.integers(1, 9),
    statement=TEXT,
    locator=TEXT,
    published=FINITE | st.integers(0, 9),
    tolerance=FINITE,
    source=st.sampled_from(("text", "code", "peer", "derived", "memory")),
    config=st.dictionaries(TEXT, JSON, max_size=2),
)
CHECKS = st.builds(
    ClaimCheck,
    claim=CLAIMS,
    observed=st.none() | estimates(),
    verdict=st.sampled_from(("reproduced", "not reproduced", "unverified source", "not run")),
)
CELLS = TEXT | st.integers(-(10**9), 10**9) | FLOATS | st.booleans() | st.none()
TABLES = st.builds(
    Table,
    name=TEXT,
    title=TEXT,
    columns=st.just(("first", "second")),
    rows=st.lists(st.tuples(CELLS, CELLS), max_size=3).map(tuple),
)
ROWS = st.builds(
    Measurement, key=TEXT, value=FLOATS, step=st.none() | FINITE, seed=st.none() | st.integers(0, 9), group=TEXT
)


def results(parts: st.SearchStrategy[tuple[Result, ...]]) -> st.SearchStrategy[Result]:
    return st.builds(
        Result,
        instrument=TEXT,
        title=TEXT,
        id=TEXT,
        created=TEXT,
        config=st.dictionaries(TEXT, JSON, max_size=3),
        config_hash=TEXT,
        seed=st.integers(0, 2**63 - 1),
        environment=st.dictionaries(TEXT, TEXT, max_size=2),
        wall_seconds=FINITE,
        values=st.dictionaries(TEXT, st.none() | st.integers(-(10**20), 10**20) | FLOATS, max_size=3),
        findings=st.lists(FINDINGS, max_size=2).map(tuple),
        tables=st.lists(TABLES, max_size=2).map(tuple),
        measurements=st.lists(ROWS, max_size=3).map(tuple),
        claims=st.lists(CHECKS, max_size=2).map(tuple),
        artifacts=st.lists(
            st.builds(Artifact, path=TEXT, kind=TEXT, sha256=TEXT, bytes=st.integers(0, 9)), max_size=1
        ).map(tuple),
        warnings=st.lists(TEXT, max_size=2).map(tuple),
        papers=st.lists(st.integers(1, 9), max_size=2).map(tuple),
        parts=parts,
        status=st.sampled_from(("ok", "failed")),
    )


RESULTS = results(st.lists(results(st.just(())), max_size=2).map(tuple))


def minimal(**fields: Any) -> Result:
    return Result(
        **{"instrument": "demo.half", "title": "Half", "id": "0", "created": "", "config": {}, "config_hash": ""}
        | fields
    )


@settings(max_examples=60, deadline=None)
@given(RESULTS)
def test_json_round_trip_is_exact(result: Result) -> None:
    text = to_json(result)
    again = from_json(Result, text)
    assert again == result
    assert to_json(again) == text
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


def test_round_trip_keeps_the_kind_of_numbers() -> None:
    values = {"whole": 3, "real": 3.0, "huge": 10**20, "endless": math.inf, "none": None}
    again = from_json(Result, to_json(minimal(values=values))).values
    assert {key: type(value) for key, value in again.items()} == {key: type(value) for key, value in values.items()}
    assert again == values


def test_numpy_and_torch_scalars_become_plain_numbers() -> None:
    result = minimal(
        values={"a": np.float32(0.5), "b": np.int64(3)},
        findings=(
            Finding(
                key="k", question="", verdict="agrees", summary="", measured=Estimate(value=np.float64(1.5), method="t")
            ),
        ),
        tables=(Table(name="t", title="", columns=("x",), rows=((np.float32(2.0),), (np.bool_(True),))),),
        measurements=(Measurement(key="m", value=np.float32(0.25), step=np.int32(2)),),
    )
    assert from_json(Result, to_json(result)) == result
    assert [type(value) for value in result.values.values()] == [float, int]
    assert result.tables[0].rows == ((2.0,), (True,))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Estimate(value=math.nan),
        lambda: Estimate(value=1.0, low=math.nan, high=2.0),
        lambda: Measurement(key="loss", value=math.nan),
        lambda: minimal(values={"loss": math.nan}),
        lambda: Table(name="t", title="", columns=("x",), rows=((math.nan,),)),
    ],
)
def test_nan_is_refused(make: Any) -> None:
    with pytest.raises(InputError, match="NaN"):
        make()


def test_swapped_interval_ends_and_levels_outside_zero_and_one_are_refused() -> None:
    with pytest.raises(InputError, match="swapped"):
        Estimate(value=1.0, low=2.0, high=0.0)
    with pytest.raises(InputError, match="between 0 and 1"):
        Estimate(value=1.0, level=95)


def test_ragged_tables_are_refused() -> None:
    with pytest.raises(InputError, match="does not fit its 2 columns"):
        Table(name="t", title="", columns=("a", "b"), rows=((1,),))


def test_reading_names_what_is_wrong() -> None:
    with pytest.raises(InputError, match=r"not a valid Estimate: valeu: "):
        from_json(Estimate, '{"value": 1, "valeu": 2}')
    with pytest.raises(InputError, match="not a valid Result"):
        from_json(Result, "no json")


def test_a_record_of_a_newer_version_says_so() -> None:
    newer = json.loads(to_json(minimal())) | {"schema_version": 99, "novelty": True}
    with pytest.raises(InputError, match="upgrade seqtant"):
        from_json(Result, json.dumps(newer))


@pytest.mark.parametrize(
    ("estimate", "shown"),
    [
        (Estimate(value=2.00651, low=2.0055, high=2.0074, method="t"), "2.0065 [2.0055, 2.0074] (95 %, t)"),
        (Estimate(value=110.4, low=95.3, high=125.9, method="t", unit="ms"), "110 ms [95, 126] (95 %, t)"),
        (Estimate(value=1.1e-6, low=2.4e-7, high=6e-5, method="t"), "1.1e-06 [2.4e-07, 6e-05] (95 %, t)"),
        (Estimate(value=0.5, low=-14, high=16, method="t"), "0.50 [-14.00, 16.00] (95 %, t)"),
        (Estimate(value=0.5, low=-2e9, high=1e9, method="t"), "0.5 [-2e+09, 1e+09] (95 %, t)"),
        (Estimate(value=0.0, low=-1, high=1, method="t"), "0 [-1, 1] (95 %, t)"),
        (Estimate(value=4, low=3, method="bound"), "4 [3, ∞] (95 %, bound)"),
        (Estimate(value=0.5, method="one seed"), "0.5 (no interval: one seed)"),
        (Estimate(value=math.inf, method="Theorem 2"), "∞ (no interval: Theorem 2)"),
    ],
)
def test_estimates_print_for_people(estimate: Estimate, shown: str) -> None:
    assert str(estimate) == shown


@given(st.floats(-1e300, 1e300))
def test_a_printed_number_is_near_the_number(value: float) -> None:
    assert math.isclose(float(format_number(value)), value, rel_tol=5.1e-4, abs_tol=5e-324)


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ((), None),
        (("vacuous",), "vacuous"),
        (("vacuous", "inconclusive"), "vacuous"),
        (("inconclusive", "agrees"), "inconclusive"),
        (("agrees", "disagrees", "vacuous"), "disagrees"),
    ],
)
def test_one_verdict_for_all_findings_parts_included(verdicts: tuple[Any, ...], whole: str | None) -> None:
    found = [Finding(key=str(n), question="", verdict=verdict, summary="") for n, verdict in enumerate(verdicts)]
    part = minimal(findings=tuple(found[1:]))
    assert minimal(findings=tuple(found[:1]), parts=(part,)).verdict == whole


def test_series_and_package() -> None:
    rows = tuple(
        Measurement(key=key, value=n, group=group)
        for n, (key, group) in enumerate([("a", "x"), ("b", "x"), ("a", "y")])
    )
    result = minimal(measurements=rows)
    assert [row.value for row in result.series("a")] == [0, 2]
    assert [row.value for row in result.series("a", "y")] == [2]
    assert result.package == "demo"


def shown() -> Result:
    """A result with a finding, numbers, raw rows and a part."""
    measured = Estimate(value=0.5, low=0.4, high=0.6, method="t", n=9)
    finding = Finding(
        key="half", question="Half?", verdict="agrees", summary="It is <half>.", measured=measured, advice="Go on."
    )
    part = minimal(instrument="demo.part", values={"x": 7})
    rows = (Measurement(key="a", value=1.0, step=0.0),)
    return minimal(findings=(finding,), values={"half": 0.5, "none": None}, measurements=rows, parts=(part,))


def test_a_result_prints_as_a_short_table() -> None:
    text = str(shown())
    assert "  [agrees] It is <half>. Go on." in text
    assert "  half  0.50 [0.40, 0.60] (95 %, t, n=9)" in text
    assert "x  7" in text
    assert len(text) < 400
    many = minimal(values={f"v{number}": number for number in range(40)})
    assert "... 28 more in .values" in str(many)


def test_a_notebook_shows_it_as_html_with_nothing_unescaped() -> None:
    html = shown()._repr_html_()
    assert "It is &lt;half&gt;." in html
    assert "<td>half</td><td>0.50 [0.40, 0.60]" in html


def test_frames_of_values_findings_and_rows() -> None:
    pytest.importorskip("pandas", reason="pip install 'seqtant[data]'")
    values = shown().to_frame()
    assert list(values["name"]) == ["half", "x"]
    assert values.loc[0, "low"] == 0.4
    assert list(values["instrument"]) == [shown().instrument, "demo.part"]
    assert list(shown().to_frame("findings")["verdict"]) == ["agrees"]
    assert list(shown().to_frame("measurements")["value"]) == [1.0]


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    path = shown().save(tmp_path / "deep" / "result.json")
    assert Result.load(path) == shown()
    assert [each.name for each in path.parent.iterdir()] == ["result.json"]
    with pytest.raises(InputError, match=r"give a result\.json"):
        Result.load(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot write"):
        shown().save(path / "below-a-file.json")
