"""The terminal view: what a tired person must see is there, fits the width, and is plain text in a pipe."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from seqtant.findings import Measurement, Result, Table
from seqtant.report.summary import headline
from seqtant.report.terminal import MOST_ROWS, print_result, print_table

pytestmark = pytest.mark.usefixtures("demo_package")


def shown(result: Result, *, width: int = 80, color: bool = False, page: Path | None = None) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=color, color_system="truecolor" if color else None
    )
    print_result(result, page=page, console=console)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture
def composite() -> Result:
    from seqtant.demo.samples import composite  # pyright: ignore[reportMissingImports]

    return composite()


@pytest.fixture
def single() -> Result:
    from seqtant.demo.samples import single  # pyright: ignore[reportMissingImports]

    return single()


def test_says_what_matters(single: Result) -> None:
    text = shown(single, page=Path("out/report.html"))
    finding = single.findings[0]
    assert finding.measured is not None
    expected = [
        single.title,
        "✓ agrees",
        finding.question,
        "predicted",
        "measured",
        finding.measured.number,
        finding.measured.interval,
        "→ Trust the law.",
        "not checked: The string has no mass.",
        "Mean of each start",
        "Published beside observed",
        "unverified source",
        f"run {single.id}",
        "page out/report.html",
    ]
    assert [each for each in expected if each not in text] == []
    assert "The angle is small." not in text, "what holds is on the page, not on the terminal"
    assert f"seqtant report {single.id} -o report.html" in shown(single)


def test_says_the_verdict_and_answer_of_each_part_and_leaves_the_rest_to_the_page(composite: Result) -> None:
    text = shown(composite)
    for verdict in (
        "✓ agrees",
        "✗ disagrees",
        "? inconclusive",
        "∅ vacuous",
        "! failed",
        "demo failed: the string broke",
    ):
        assert verdict in text
    words = " ".join(text.split())
    for line in map(headline, composite.parts):
        assert " ".join(line.answer.split()) in words
        assert " ".join(line.advice.split()) in words
    assert "How long does one swing take?" not in text
    assert "on the page" in text


@pytest.mark.parametrize("width", [40, 80, 140])
def test_fits_the_width(composite: Result, width: int) -> None:
    assert max(len(line) for line in shown(composite, width=width).splitlines()) <= width


def test_colors_only_where_asked(composite: Result) -> None:
    assert "\x1b" not in shown(composite)
    assert "\x1b[1;31m✗ disagrees" in shown(composite, color=True)


def test_piped_output_is_plain(single: Result, capsys: pytest.CaptureFixture[str]) -> None:
    print_result(single)
    assert "\x1b" not in capsys.readouterr().out


def test_brackets_in_texts_are_no_markup(composite: Result) -> None:
    assert "[red]&amp; {{ 7 * 7 }} [/red]" in " ".join(shown(composite).split())


def test_values_are_printed_where_there_is_nothing_else() -> None:
    bare = Result(instrument="a.b", title="Bare", id="0", created="", config={}, config_hash="", values={"depth": 12.5})
    assert "depth" in shown(bare)
    assert "12.5" in shown(bare)


def printed(table: Table, width: int, most: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_table(console, table, most)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_table_too_wide_is_printed_row_by_row_with_whole_numbers() -> None:
    columns = tuple(f"column {n}" for n in range(14))
    table = Table(name="t", title="Wide", columns=columns, rows=(tuple(1234.5 + n for n in range(14)),))
    narrow, wide = printed(table, 80), printed(table, 200)
    assert all(f"{1234.5 + n:.4g}" in narrow for n in range(14))
    assert len(wide.splitlines()) < 6 < len(narrow.splitlines())


@pytest.mark.parametrize("width", [*range(100, 200, 7)])
def test_where_headings_are_wider_than_numbers_they_fold_and_words_stay_whole(width: int) -> None:
    columns = ("method", *(f"{name} at the end, ms" for name in "abcdefgh"), "said")
    rows = tuple((method, *(250.5 + n for n in range(8)), "yes") for method in ("plain", "delay-penalty"))
    lines = printed(Table(name="t", title="Folded", columns=columns, rows=rows), width).splitlines()
    assert max(map(len, lines)) <= width
    row = next(line for line in lines if line.startswith("delay-penalty"))
    assert row.split() == ["delay-penalty", *(f"{250.5 + n:.4g}" for n in range(8)), "yes"]
    assert any(line.startswith("method") for line in lines)


def test_a_long_table_says_how_much_it_leaves_out() -> None:
    table = Table(name="t", title="Long", columns=("n",), rows=tuple((n,) for n in range(MOST_ROWS + 7)))
    result = Result(instrument="a.b", title="", id="0", created="", config={}, config_hash="", tables=(table,))
    assert "... and 7 more rows" in shown(result)
    assert str(MOST_ROWS + 6) in printed(table, 80)


def test_raw_rows_are_not_printed(single: Result) -> None:
    assert any(isinstance(row, Measurement) for row in single.measurements)
    assert len(shown(single).splitlines()) < 40
