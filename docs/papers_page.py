"""Writes the paper index: each paper with its question, the commands that answer it, its recipes and its numbers.

``python docs/papers_page.py`` writes ``docs/papers.md`` from the index of papers, the commands, recipes and published
numbers; a test fails where the page is not what this would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from seqtant.cli import app
from seqtant.experiments.claims import read_claims
from seqtant.experiments.recipes import list_recipes
from seqtant.packages import PACKAGES, Package
from seqtant.report.citations import Paper, papers

FOLDER = Path(__file__).parent
SOURCE = "https://github.com/seqtant/seqtant/blob/main/recipes"

ANSWERS = {
    1: ("steering choose", "steering sweep", "steering diagnose"),
    2: ("ctc finetune", "ctc sweep", "ctc latency", "ctc diagnose"),
    3: ("beb measure", "beb bound", "beb curve", "beb search", "beb guard", "beb gate"),
    4: ("icl shots", "icl posterior", "icl corrupt", "icl bound", "icl ginc bayes"),
    5: ("subtasks compare", "subtasks probe", "subtasks eval", "subtasks augment"),
    6: ("pretraining build", "pretraining bias", "pretraining compare-arms", "pretraining compose"),
    7: ("architecture audit", "architecture rank", "architecture embedding-rank", "architecture sweep"),
    8: ("architecture plan", "architecture fit", "architecture bounds", "architecture match"),
    9: ("quantum ground-state", "quantum exact", "quantum observe", "quantum compare-sampling"),
}
"""Paper -> the commands that a reader of it would look for first."""

INTRODUCTION = """# The nine papers

Each paper with the question that its instrument answers, the commands to begin with, and the recipes that run its
experiments at the scales smoke, cpu and gpu (`seqtant recipe run NAME --scale cpu`). What came out beside what was
printed is on [one page](reproduced.md); `seqtant cite` prints the entries for your bibliography.

"""


def room_of(paper: Paper) -> Package:
    """The package that makes an instrument of it."""
    return next(package for package in PACKAGES.values() if paper.number in package.papers)


def commands(paper: Paper) -> Iterator[str]:
    """One line for each command, linked to its flags."""
    for name in ANSWERS[paper.number]:
        command = app
        for word in name.split():
            command = command[word]
        page, anchor = name.split()[0], name.replace(" ", "-")
        said = command.help.split("\n\n")[0].strip().rstrip(".")
        yield f"- [`seqtant {name}`](cli/{page}.md#{anchor}): {said[0].lower()}{said[1:]}"


def recipes(paper: Paper) -> Iterator[str]:
    """A table of the paper's recipes."""
    found = [recipe for recipe in list_recipes() if recipe.paper == paper.number]
    if not found:
        return
    yield "| recipe | what it answers | scales |"
    yield "| --- | --- | --- |"
    for recipe in sorted(found, key=lambda each: each.name):
        link = f"[`{recipe.name}`]({SOURCE}/{recipe.path.parent.name}/{recipe.path.name})"
        yield f"| {link} | {recipe.question} | {', '.join(recipe.scales)} |"


def numbers(paper: Paper) -> str:
    """How many published numbers we know, and how we know them."""
    claims = read_claims(paper=paper.number)
    run = sum(claim.instrument != "" for claim in claims)
    unread = sum(claim.source == "memory" for claim in claims)
    rest = f"; unverified, because not read at their source: {unread}" if unread else ""
    return (
        f"{len(claims)} published numbers, {run} of them with a run that observes them{rest}: "
        f"`seqtant claims check --paper {paper.number}`, [what came out](reproduced.md)."
    )


def section(paper: Paper) -> str:
    """One paper."""
    package = room_of(paper)
    parts = [
        f"## {paper.number}. {paper.title}\n",
        f"{paper.line.replace(f'arXiv {paper.arxiv}', f'[arXiv {paper.arxiv}]({paper.url})')}\n",
        f"**{package.question}** Read on: [the instrument](instruments/{package.name}.md).\n",
        "\n".join(commands(paper)) + "\n",
        "\n".join(recipes(paper)) + "\n",
        numbers(paper) + "\n",
    ]
    return "\n".join(part for part in parts if part.strip())


def pages() -> dict[str, str]:
    """File name -> content."""
    return {"papers.md": INTRODUCTION + "\n".join(section(paper) for paper in papers())}


if __name__ == "__main__":
    for file, content in pages().items():
        (FOLDER / file).write_text(content, encoding="utf-8")
