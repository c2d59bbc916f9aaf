"""Draws the pictures of the sub-tasks page from stored results; results/subtasks/write_pages.py draws them all.

python docs/subtasks_pictures.py RESULT.json [RESULT.json ...] docs/images/subtasks/parity16.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from seqtant.report.figures import COLORS

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 360, 64, 52, 16, 130


def curves(results: list[dict]) -> dict[str, list[list[tuple[float, float]]]]:
    """Points (update, right answers) of every run, by arm."""
    found: dict[str, dict[tuple[int, int], list[tuple[float, float]]]] = {}
    for number, result in enumerate(results):
        for row in result["measurements"]:
            if row["key"] == "answer":
                runs = found.setdefault(row["group"], {})
                runs.setdefault((number, row["seed"]), []).append((row["step"], row["value"]))
    return {arm: list(runs.values()) for arm, runs in found.items()}


def ends(runs: dict[str, list[list[tuple[float, float]]]]) -> str:
    """Where the lines of each arm end, in words."""
    said = []
    for arm, each in runs.items():
        last = sorted(run[-1][1] for run in each)
        span = f"{100 * last[0]:.0f}" if last[0] == last[-1] else f"{100 * last[0]:.0f} to {100 * last[-1]:.0f}"
        said.append(f"{arm} {span} %")
    return ", ".join(said)


def draw(results: list[dict]) -> str:
    """The picture as SVG that reads on light and dark paper: one thin line per run."""
    runs = curves(results)
    most = max(update for each in runs.values() for run in each for update, _ in run)

    def x(update: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * update / most

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share

    parts = [
        f'<text x="{LEFT - 8}" y="{y(share / 4) + 4:.0f}" text-anchor="end">{25 * share}</text>'
        f'<path d="M{LEFT} {y(share / 4):.0f}H{WIDTH - RIGHT}" stroke="#6b728033"/>'
        for share in range(5)
    ]
    parts += [
        f'<text x="{x(update):.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{update:.0f}</text>'
        for update in (most * part / 4 for part in range(5))
    ]
    for shade, (arm, each) in enumerate(runs.items()):
        for run in each:
            points = " ".join(f"{x(update):.1f},{y(share):.1f}" for update, share in run)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{COLORS[shade]}" stroke-width="1.6"/>')
        parts.append(
            f'<circle cx="{WIDTH - RIGHT + 18}" cy="{TOP + 14 + 22 * shade}" r="4" fill="{COLORS[shade]}"/>'
            f'<text x="{WIDTH - RIGHT + 28}" y="{TOP + 18 + 22 * shade}">{arm}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 12}" text-anchor="middle">updates</text>'
        f'<text transform="translate(18 {(HEIGHT - BOTTOM + TOP) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        "right answers, %</text>"
    )
    title = f"Right answers against updates, one line per seed. At the end: {ends(runs)}."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="13" fill="#6b7280"><title>{title}</title>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    *sources, target = sys.argv[1:]
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    found = [json.loads(Path(source).read_text(encoding="utf-8")) for source in sources]
    Path(target).write_text(draw(found), encoding="utf-8")
