"""The page: self-contained, complete, safe against what its data says, and exact in the data it carries."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclopts import App

from seqtant import cli
from seqtant.commands.builder import build_group
from seqtant.errors import InputError
from seqtant.findings import Finding, Measurement, Result, from_json
from seqtant.instruments import figures
from seqtant.report import page, views
from seqtant.report.page import write_page
from seqtant.runs.store import Store

pytestmark = pytest.mark.usefixtures("demo_package")

render_page = partial(page.render_page, draw=figures)


class Page(HTMLParser):
    """The elements of a page with their text, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in {"script", "style"} else self._inside
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        elif not self._inside:
            self.text += data

    def data(self, prefix: str) -> dict[str, Any]:
        return {str(a["id"]): text for a, text in self.scripts if (a.get("id") or "").startswith(prefix)}

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture
def composite() -> Result:
    from seqtant.demo.samples import composite  # pyright: ignore[reportMissingImports]

    return composite()


@pytest.fixture
def single() -> Result:
    from seqtant.demo.samples import single  # pyright: ignore[reportMissingImports]

    return single()


@pytest.fixture
def bare() -> Result:
    return Result(instrument="nowhere.half", title="Bare", id="0bare", created="", config={}, config_hash="")


def test_loads_nothing_from_anywhere(composite: Result) -> None:
    shown = Page(render_page([composite]))
    links = [attrs["href"] for tag, attrs in shown.tags if "href" in attrs]
    assert links
    assert all(link.startswith(("#", "https://arxiv.org/abs/")) for link in links)
    assert not any("src" in attrs or tag in {"link", "iframe", "object", "img"} for tag, attrs in shown.tags)
    assert "url(" not in (page.TEMPLATES / "style.css").read_text()
    policy = next(attrs["content"] for _, attrs in shown.tags if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_links_inside_the_page_lead_somewhere(composite: Result, single: Result) -> None:
    for results in ([composite], [single], [single, replace(single, id="0other")]):
        shown = Page(render_page(results))
        ids = Counter(attrs["id"] for _, attrs in shown.tags if "id" in attrs)
        wanted = {attrs["href"][1:] for _, attrs in shown.tags if (attrs.get("href") or "").startswith("#")}
        assert wanted <= set(ids)
        assert max(ids.values()) == 1


def test_the_drawing_library_is_inlined_once_and_only_where_something_is_drawn(composite: Result, bare: Result) -> None:
    drawn, plain = render_page([composite, replace(composite, id="0again")]), render_page([bare])
    assert len(re.findall(r"plotly\.js v\d", drawn)) == 1
    assert "Plotly" not in plain
    assert len(plain) < 40_000
    assert len(drawn) < 8_000_000


def test_says_everything_there_is_to_say(single: Result) -> None:
    words = Page(render_page([single])).words
    finding = single.findings[0]
    assert finding.predicted is not None
    assert finding.measured is not None
    expected = [
        single.title,
        finding.question,
        finding.summary,
        finding.advice,
        finding.verdict,
        finding.predicted.number,
        finding.measured.number,
        finding.measured.interval,
        finding.measured.basis,
        *(word for each in finding.assumptions for word in (each.statement, each.how, each.status)),
        *(word for table in single.tables for word in (table.title, table.note, *table.columns)),
        "p8.depth",
        "reproduced",
        "p7.redundancy",
        "unverified source",
        single.command,
        single.id,
        single.config_hash,
        single.environment["torch"],
        "weights.bin",
        "period_seconds",
        "Fundamental Limitations of Alignment",
        "Limits to Depth Efficiencies",
    ]
    assert [each for each in expected if " ".join(str(each).split()) not in words] == []


def test_the_strip_has_a_line_per_part_with_verdict_and_number(composite: Result) -> None:
    shown = Page(render_page([composite]))
    assert sum(attrs.get("class") == "line" for _, attrs in shown.tags) == 5
    strip = shown.words.split("demo.pendulum")[0]
    assert f"Run {composite.id}" in strip
    assert composite.command in strip
    measured = composite.parts[1].findings[0].measured
    assert measured is not None
    expected = [measured.number, measured.interval, "disagrees", "vacuous", "∞ sentences", "failed", "the string broke"]
    assert [each for each in expected if each not in strip] == []


def test_one_run_of_several_findings_has_a_line_per_finding(bare: Result) -> None:
    findings = tuple(Finding(key=f"k{n}", question=f"Q{n}?", verdict="agrees", summary=f"A{n}.") for n in range(3))
    shown = Page(render_page([replace(bare, findings=findings)]))
    assert [attrs["href"] for _, attrs in shown.tags if attrs.get("class") == "line"] == [
        f"#run-0bare-k{n}" for n in range(3)
    ]


def test_hostile_text_is_shown_as_text(composite: Result) -> None:
    from seqtant.demo.samples import HOSTILE  # pyright: ignore[reportMissingImports]

    shown = Page(render_page([composite]))
    ours = {"page.js", "drawings.js"}
    code = [text for attrs, text in shown.scripts if attrs.get("type") != "application/json"]
    assert len(code) == len(ours) + 1
    assert not any("alert" in text for text in code if "plotly.js v" not in text)
    assert shown.words.count(" ".join(HOSTILE.split())) >= 6
    assert "49" not in shown.words.split("Stands on")[0].split("Checkup of")[1][:100]


def test_the_record_it_carries_is_exact(composite: Result, single: Result) -> None:
    shown = Page(render_page([composite, single]))
    carried = [from_json(Result, text) for text in shown.data("record-").values()]
    assert carried == [composite, single]


def test_a_record_too_long_is_carried_without_its_raw_rows(bare: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MOST_RECORD_BYTES", 10_000)
    rows = tuple(Measurement(key="loss", value=n, step=n) for n in range(500))
    result = replace(bare, measurements=rows, parts=(replace(bare, id="0part", measurements=rows[:9]),))
    shown = Page(render_page([result]))
    (text,) = shown.data("record-").values()
    assert sum(len(each.measurements) for each in from_json(Result, text).walk()) == 0
    assert "without 509 raw rows" in shown.words


def test_every_figure_has_words_and_its_numbers_in_a_table(single: Result) -> None:
    shown = Page(render_page([single]))
    (figure,) = figures(single)
    plot = next(attrs for _, attrs in shown.tags if attrs.get("class") == "plot")
    assert plot["role"] == "img"
    assert plot["aria-label"] == figure.alt
    assert figure.caption in shown.words
    assert figure.title in shown.words
    assert json.loads(shown.data("data-")[str(plot["data-figure"])])["data"] == figure.data
    assert f"Numbers shown ({len(figure.table.rows)} rows)" in shown.words


def test_figures_come_from_packages_that_draw(single: Result, bare: Result) -> None:
    assert len(figures(single)) == 1
    assert figures(replace(single, status="failed")) == ()
    assert figures(bare) == ()


def test_a_record_that_cannot_be_drawn_any_more_says_so_and_is_shown(single: Result) -> None:
    words = Page(render_page([replace(single, values={})])).words
    assert "The figures could not be drawn: KeyError: 'law_seconds'" in words
    assert single.findings[0].summary in words


@pytest.mark.parametrize("kept", [True, False])
def test_settings_and_command_on_the_page_make_the_run_again(
    composite: Result, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *others = composite.parts
    if not kept:  # a record of an older version, whose parts carry the command of the whole
        composite = replace(composite, parts=(first, replace(second, command=composite.command), *others))
    app = App(name="seqtant")
    app.command(build_group("demo", {"pendulum": "length angle"}), name="demo")
    monkeypatch.setattr(cli, "app", app)
    monkeypatch.chdir(tmp_path)
    section = views.sections_of([composite], figures)[1]
    Path("settings.yaml").write_text(section.settings)
    assert section.needs_file == (not kept)
    given = "--set length=2.5 --set angle=60.0" if kept else "--config settings.yaml"
    assert section.command == f"seqtant demo pendulum {given} --seed 1"
    assert cli.call([*shlex.split(section.command)[1:], "--json"]) == 0
    again = Store().load("last")
    assert again.config_hash == section.result.config_hash
    assert again.values == section.result.values
    assert yaml.safe_load(section.settings) == section.result.config


def test_sparse_results_need_nothing(bare: Result) -> None:
    silent = Finding(key="k", question="Q?", verdict="inconclusive", summary="Nobody knows.")
    for result in (bare, replace(bare, findings=(silent,)), replace(bare, parts=(replace(bare, id="0part"),))):
        assert "Bare" in Page(render_page([result])).words


def test_written_whole_or_not_at_all(bare: Result, tmp_path: Path) -> None:
    path = write_page([bare], tmp_path / "new" / "page.html", title="Two < three")
    assert path == tmp_path / "new" / "page.html"
    assert "<title>Two &lt; three</title>" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(InputError, match="cannot make the folder"):
        write_page([bare], path / "page.html")


def test_only_findings_that_agree_and_advise_nothing_are_folded(single: Result) -> None:
    def named(name: str, verdict: str, advice: str = "") -> Finding:
        return replace(single.findings[0], key=name, question=f"Is {name} so?", verdict=verdict, advice=advice)

    verdicts = ["agrees", "disagrees", "agrees", "agrees", "disagrees", "agrees", "agrees"]
    many = [named(f"f{number}", verdict) for number, verdict in enumerate(verdicts)]
    advised = named("f7", "agrees", "Mend it.")
    (section,) = views.sections_of([replace(single, findings=(*many, advised))], figures)
    assert [each.key for each in section.shown] == ["f0", "f1", "f2", "f4", "f7"]
    assert [each.key for each in section.folded] == ["f3", "f5", "f6"]
    text = Page(render_page([section.result])).words
    assert "3 more findings, all agree" in text
    assert all(f"Is f{number} so?" in text for number in range(8)), "folded, not lost"
    (short,) = views.sections_of([replace(single, findings=tuple(many[:4]))], figures)
    assert short.folded == (), "one finding is not worth a click"


def test_long_tables_are_folded_whole(single: Result) -> None:
    table = replace(single.tables[0], title="Long", columns=("row",), rows=tuple((number,) for number in range(13)))
    text = render_page([replace(single, tables=(table, replace(table, title="Short", rows=table.rows[:12])))])
    assert "<summary>Long (13 rows)</summary>" in text
    assert "<caption>Short</caption>" in text
