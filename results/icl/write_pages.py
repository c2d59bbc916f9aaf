"""Writes README.md of this folder and the drawing of its page from the records beside it: no number is typed by hand.

Run it as ``python results/icl/write_pages.py`` after adding or replacing a record.
"""

from __future__ import annotations

from pathlib import Path

from seqtant.findings import Result, from_json
from seqtant.report.figures import COLORS
from seqtant.report.markdown import section

FOLDER = Path(__file__).parent
DRAWING = FOLDER.parents[1] / "docs" / "images" / "icl" / "claim-and-limit.svg"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 380, 60, 190, 16, 50
LINES = (("5 symbols, right labels", "k5-gold"), ("5 symbols, random labels", "k5-random"),
         ("3 symbols, right labels", "k3-gold"), ("3 symbols, exchanged labels", "k3-permuted"),
         ("3 symbols, random labels", "k3-random"))  # fmt: skip


def read(name: str) -> Result:
    """One record of this folder."""
    return from_json(Result, (FOLDER / name).read_text(encoding="utf-8"))


def page() -> str:
    """The text of the page."""
    parts = ["# Runs of in-context learning\n\nWritten by `write_pages.py` from the records in this folder."]
    records = {path.name: read(path.name) for path in sorted(FOLDER.glob("*.json"))}
    return "\n\n".join([*parts, *(section(name, record, made(record)) for name, record in records.items())]) + "\n"


def made(record: Result) -> str:
    """How a record was made, and in what time."""
    environment = record.environment
    return (
        f"`{record.command or record.instrument}`, {record.created[:10]}, torch {environment.get('torch', '?')}, "
        f"{record.cpu_seconds:.0f} s of CPU on {environment.get('processor', '?')}"
    )


def drawing() -> str:
    """Accuracy of exact Bayes against shots, readable on light and dark paper."""
    parts = [axes()]
    for number, (title, name) in enumerate(LINES):
        rows = sorted(read(f"ginc-bayes-{name}.json").series("accuracy"), key=lambda row: row.step or 0)
        points = [(place(index), height(row.value)) for index, row in enumerate(rows)]
        color = COLORS[number]
        parts.append(
            f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" stroke="{color}" '
            'stroke-width="2"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in points]
        above = TOP + 14 + 22 * number
        parts.append(
            f'<circle cx="{WIDTH - RIGHT + 20}" cy="{above - 4}" r="4" fill="{color}"/>'
            f'<text x="{WIDTH - RIGHT + 30}" y="{above}">{title}</text>'
        )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif"'
    title = "<title>Accuracy of exact Bayes on GINC-50 against the number of shots.</title>"
    return f'{head} font-size="13" fill="#6b7280">{title}{"".join(parts)}</svg>\n'


def place(index: int) -> float:
    """Shots stand at equal distances, since they double."""
    return LEFT + (WIDTH - LEFT - RIGHT) * index / 7


def height(accuracy: float) -> float:
    """Accuracy from 0.3 to 1."""
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (accuracy - 0.3) / 0.7


def axes() -> str:
    """Grid and words."""
    shots = (0, 1, 2, 4, 8, 16, 32, 64)
    marks = [
        f'<text x="{place(i):.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{n}</text>'
        for i, n in enumerate(shots)
    ]
    for level in range(30, 101, 10):
        y = height(level / 100)
        marks.append(
            f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{level}</text>'
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.0f}" y2="{y:.0f}" stroke="#6b728033"/>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    return "".join(marks) + (
        f'<text x="{middle:.0f}" y="{HEIGHT - 12}" text-anchor="middle">shots in the prompt</text>'
        f'<text transform="translate(16 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">accuracy, per cent</text>'
    )


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")
    DRAWING.parent.mkdir(parents=True, exist_ok=True)
    DRAWING.write_text(drawing(), encoding="utf-8")
