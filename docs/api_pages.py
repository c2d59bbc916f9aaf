"""Writes the pages of the Python reference: one for each package, a heading for each public name.

``python docs/api_pages.py`` writes ``docs/api/*.md``; mkdocstrings fills them from the docstrings when the site is
built. A test fails where a page is not what this would write, so a new public name cannot stay undocumented.
"""

from __future__ import annotations

import ast
from pathlib import Path

from seqtant.packages import PACKAGES

FOLDER = Path(__file__).parent / "api"
SOURCE = Path(__file__).parent.parent / "src" / "seqtant"

SHARED = {
    "seqtant": "the checkup, and what every result is made of",
    "lm": "what reads, scores and samples language models",
    "training": "the one training loop",
    "reference": "the model that ships and its world",
    "findings": "what instruments say",
    "runs": "what happened, and where it is kept",
    "report": "a result as a page, on the terminal, as a table",
    "stats": "intervals, bootstraps, fits",
}
"""What all instruments stand on."""

CHOSEN = {
    "findings": ("Estimate", "Finding", "Assumption", "Claim", "Table", "Result", "to_json", "from_json"),
    "runs": (
        "recorder.Context",
        "recorder.Recorder",
        "store.Store",
        "compare.compare",
        "records.export",
        "verb.verb",
    ),
    "report": (
        "page.write_page",
        "terminal.print_result",
        "summary.headline",
        "figures.Figure",
        "terminal.to_markdown",
        "citations.cited_by",
    ),
    "stats": (
        "intervals.mean",
        "intervals.clustered_mean",
        "intervals.share",
        "intervals.bootstrap",
        "intervals.cluster_bootstrap",
        "fits.fit_curve",
        "fits.fit_line",
    ),
}
"""Public names of packages that keep no list of their own."""

INDEX = """# Python reference

What a package's `__init__.pyi` names is public and stands here; everything else may change. Importing a package loads
neither NumPy nor torch: a name is imported when it is first used.

"""


def public_names(package: str) -> list[str]:
    """Where the public names of a package are defined, dotted, in the order of the names."""
    if package in CHOSEN:
        return [f"seqtant.{package}.{name}" for name in CHOSEN[package]]
    home = _title(package)
    stub = SOURCE.joinpath(*home.split(".")[1:], "__init__.pyi").read_text(encoding="utf-8")
    lines = [line for line in ast.parse(stub).body if isinstance(line, ast.ImportFrom)]
    homes = {name.name: f"{home}.{line.module}" for line in lines for name in line.names}
    # What the root names again stands on the page of its own module.
    elsewhere = {f"seqtant.{each}.{name}" for each, names in CHOSEN.items() for name in names}
    listed = [f"{home}.{name}" for name, home in sorted(homes.items(), key=lambda pair: pair[0].lower())]
    return [name for name in listed if name not in elsewhere]


def _title(package: str) -> str:
    return package if package == "seqtant" else f"seqtant.{package}"


def page(package: str) -> str:
    """The page of one package."""
    if package in PACKAGES:
        opening = (
            f"{PACKAGES[package].question} What it measures: [the page of the instrument](../instruments/{package}.md)."
        )
    else:
        opening = f"{SHARED[package][0].upper()}{SHARED[package][1:]}."
    return "\n".join([f"# {_title(package)}\n", f"{opening}\n", *(f"::: {name}\n" for name in public_names(package))])


def index_page() -> str:
    """All packages."""
    packages = [f"| [`seqtant.{name}`]({name}.md) | {package.question} |" for name, package in PACKAGES.items()]
    shared = [f"| [`{_title(name)}`]({name}.md) | {what} |" for name, what in SHARED.items()]
    return INDEX + "\n".join(["| package | |", "| --- | --- |", *packages, *shared]) + "\n"


def pages() -> dict[str, str]:
    """File name -> content."""
    return {"index.md": index_page(), **{f"{name}.md": page(name) for name in (*PACKAGES, *SHARED)}}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, content in pages().items():
        (FOLDER / file).write_text(content, encoding="utf-8")
