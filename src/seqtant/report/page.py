"""Results as one self-contained HTML page: opens from disk, loads nothing, works without a script but for drawings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from pydantic_core import to_json as plain_json

import seqtant
from seqtant.findings import Result
from seqtant.report.citations import cited_by
from seqtant.report.figures import COLORS, DARK_COLORS
from seqtant.report.intervals import strip
from seqtant.report.summary import MEANINGS, SIGNS
from seqtant.report.terminal import cell_text, claims_table, is_numeric, values_table
from seqtant.report.views import LONGEST_TABLE, Draw, counts, finding_anchor, records, sections_of, strip_lines
from seqtant.runs.files import write_text

_BACKTICKS = re.compile(r"`([^`\n]+)`")

TEMPLATES = Path(__file__).parent / "templates"


def write_page(results: Sequence[Result], path: Path, *, title: str = "", draw: Draw = lambda result: ()) -> Path:
    """Writes results as one HTML file, whole or not at all.

    Args:
        results: What to show, in this order.
        path: File to write.
        title: Heading; by default the title of the only result.
        draw: Makes a result's figures; by default none, see :func:`seqtant.instruments.write_report`.

    Returns:
        The path.

    Raises:
        InputError: The file cannot be written.
    """
    write_text(path, render_page(results, draw, title=title))
    return path


def render_page(results: Sequence[Result], draw: Draw = lambda result: (), *, title: str = "") -> str:
    """The page as text; see :func:`write_page`."""
    sections = sections_of(results, draw)
    heading = title or (results[0].title if len(results) == 1 else f"{len(results)} runs side by side")
    template = _environment().get_template("page.html.j2")
    return template.render(
        title=heading,
        results=results,
        lines=strip_lines(sections),
        counts=counts(results),
        sections=sections,
        papers=cited_by(results),
        records=records(results),
        plotly=plotly_script() if any(section.figures for section in sections) else "",
        palette=dict(zip(COLORS, DARK_COLORS, strict=True)),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=seqtant.__version__,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sources = {"style": "style.css", "script": "page.js", "drawings": "drawings.js"}
    filters = {"cell": cell_text, "code": with_code, "script_json": script_json, "script_text": script_text}
    environment.filters |= filters
    environment.globals |= {
        "SIGNS": SIGNS,
        "MEANINGS": MEANINGS,
        "LONGEST_TABLE": LONGEST_TABLE,
        "is_numeric": is_numeric,
        "finding_anchor": finding_anchor,
        "interval_strip": strip,
        "claims_table": claims_table,
        "values_table": values_table,
        **{name: Markup((TEMPLATES / file).read_text(encoding="utf-8")) for name, file in sources.items()},
    }
    return environment


@cache
def plotly_script() -> Markup:
    """The drawing library as the installed plotly package carries it.

    Raises:
        ModuleNotFoundError: plotly, which comes with the package, was removed.
    """
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("plotly is a dependency of seqtant and is not installed")
    path = Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    return Markup(path.read_text(encoding="utf-8"))


def with_code(text: str) -> Markup:
    """Text as HTML, with what stands between backticks set as code.

    Example:
        >>> print(with_code("run `a < b` now"))
        run <code>a &lt; b</code> now
    """
    return Markup(_BACKTICKS.sub(r"<code>\1</code>", str(escape(text))))


def script_json(value: Any) -> Markup:
    r"""Plain data as JSON that may stand inside a script element, whatever its strings hold.

    Example:
        >>> print(script_json("</script>"))
        "\u003c/script\u003e"
    """
    return script_text(plain_json(value, inf_nan_mode="null").decode())


def script_text(text: str) -> Markup:
    """JSON text that may stand inside a script element: the same data, with no sign that could end the element."""
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)
