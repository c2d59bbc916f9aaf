"""The line that stands for a result, the strip that draws it, the papers it stands on."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtant.errors import InputError
from seqtant.findings import Estimate, Finding, Result, Table
from seqtant.packages import PACKAGES
from seqtant.report.citations import cited_by, papers, to_bibtex
from seqtant.report.intervals import strip
from seqtant.report.summary import headline, sections
from seqtant.report.terminal import to_markdown


def result(**fields: Any) -> Result:
    base = {"instrument": "a.b", "title": "", "id": "0", "created": "", "config": {}, "config_hash": ""}
    return Result(**base | fields)


def finding(verdict: Any, *, predicted: Estimate | None = None, measured: Estimate | None = None) -> Finding:
    return Finding(key="k", question="?", verdict=verdict, summary=verdict, predicted=predicted, measured=measured)


def test_the_headline_is_the_first_finding_of_the_results_verdict_that_has_a_number() -> None:
    five = Estimate(value=5, low=4, high=6, method="t", unit="m")
    shown = headline(result(findings=(finding("agrees"), finding("disagrees"), finding("disagrees", measured=five))))
    assert (shown.verdict, shown.number, shown.interval, shown.side) == ("disagrees", "5.0 m", "[4.0, 6.0]", "measured")
    only_predicted = headline(result(findings=(finding("vacuous", predicted=Estimate.exact(3)),)))
    assert (only_predicted.number, only_predicted.interval, only_predicted.side) == ("3", "exact", "predicted")


def test_a_failed_run_says_why() -> None:
    assert headline(result(status="failed", warnings=("it broke",))).answer == "it broke"
    assert headline(result(status="failed")).answer == "the run failed"


def test_a_composite_without_findings_has_sections_only_for_its_parts() -> None:
    parts = (result(id="1"), result(id="2", parts=(result(id="3"),), findings=(finding("agrees"),)))
    assert [each.id for each in sections(result(parts=parts))] == ["1", "2", "3"]


NUMBERS = st.floats(-1e12, 1e12).filter(lambda number: number == 0 or abs(number) > 1e-12)


@given(st.lists(NUMBERS, min_size=4, max_size=4))
def test_marks_keep_their_order_and_stay_on_the_axis(numbers: list[float]) -> None:
    low, predicted, measured, high = sorted(numbers)
    drawn = strip(
        finding(
            "agrees",
            predicted=Estimate.exact(predicted),
            measured=Estimate(value=measured, low=low, high=high, method="t"),
        )
    )
    assert drawn is not None
    first, second = drawn.marks
    assert 0 <= second.low <= first.at <= second.at <= second.high <= 100
    places = [place for place, _ in drawn.ticks]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)
    assert len({label for _, label in drawn.ticks}) == len(drawn.ticks)


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_ticks_stand_where_their_numbers_are(first: float, second: float) -> None:
    ends = sorted((first, second))
    estimate = Estimate(value=ends[0], low=ends[0], high=ends[1], method="t")
    drawn = strip(finding("agrees", measured=estimate))
    if ends[0] == ends[1]:
        assert drawn is None, "one exact number has nothing beside it"
        return
    assert drawn is not None
    assert 1 <= len(drawn.ticks) <= 12
    scale = math.log10 if ends[0] > 0 and ends[1] / ends[0] > 30 else float
    (mark,) = drawn.marks
    slope = (mark.high - mark.low) / (scale(ends[1]) - scale(ends[0]))
    for place, label in drawn.ticks:
        expected = mark.low + slope * (scale(float(label)) - scale(ends[0]))
        assert place == pytest.approx(expected, abs=1.5)


def test_nothing_is_drawn_of_one_bare_or_endless_number() -> None:
    assert strip(finding("agrees")) is None
    assert strip(finding("agrees", measured=Estimate(value=3, method="single"))) is None
    assert strip(finding("vacuous", predicted=Estimate(value=math.inf, method="bound"))) is None


def test_an_open_interval_reaches_the_end_of_the_axis() -> None:
    drawn = strip(finding("agrees", predicted=Estimate.exact(2), measured=Estimate(value=3, low=1, method="bound")))
    assert drawn is not None
    assert drawn.marks[1].high == 100
    endless = Estimate(value=3, low=-math.inf, high=math.inf, method="t")
    both = strip(finding("agrees", predicted=Estimate.exact(2), measured=endless))
    assert both is not None
    assert (both.marks[1].low, both.marks[1].high) == (0, 100)


def test_there_are_nine_papers_and_every_room_stands_on_some() -> None:
    index = papers()
    assert [paper.number for paper in index] == list(range(1, 10))
    assert all(re.fullmatch(r"\d{4}\.\d{5}", paper.arxiv) for paper in index)
    assert len({paper.key for paper in index} | {paper.arxiv for paper in index}) == 18
    assert {number for room in PACKAGES.values() for number in room.papers} <= set(range(1, 10))


def test_bibtex_is_balanced_and_complete() -> None:
    entries = to_bibtex(papers()).split("\n\n")
    assert len(entries) == 9
    for entry, paper in zip(entries, papers(), strict=True):
        assert entry.count("{") == entry.count("}")
        assert entry.startswith(("@inproceedings{", "@article{", "@misc{"))
        assert f"eprint = {{{paper.arxiv}}}" in entry
        assert " and ".join(paper.authors) in entry
    assert "@article{sharir2020deep" in entries[8]
    assert "@misc{wolf2024tradeoffs" in entries[0]


def test_a_run_cites_its_papers_and_those_of_its_parts() -> None:
    cited = cited_by([result(papers=(8,), parts=(result(papers=(3, 8)),))])
    assert [paper.number for paper in cited] == [3, 8]
    with pytest.raises(InputError, match="paper 12 is not in the paper index"):
        cited_by([result(papers=(12,))])


def test_markdown_cells_cannot_break_the_table() -> None:
    table = Table(name="t", title="T", columns=("a|b", "n"), rows=(("x|y", 1), (None, 2.5)))
    assert to_markdown(table).splitlines() == ["| a\\|b | n |", "| --- | ---: |", "| x\\|y | 1 |", "| – | 2.5 |"]
