"""Draws the picture of the pretraining page from a stored result: the effective rank, one pass against one step.

python docs/pretraining_pictures.py results/pretraining/epsilon-rank-cpu.json docs/images/pretraining/effective-rank.svg

``results/pretraining/write_pages.py`` calls it, and fills the page's tables.
"""

from __future__ import annotations

import sys
from pathlib import Path

from seqtant.findings import Result, from_json
from seqtant.report.figures import COLORS

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 380, 56, 190, 20, 48


def effective_rank(result: Result, path: Path) -> None:
    """Writes the bands of the bounds by depth as an SVG that reads on light and dark paper."""
    lower, upper = result.series("rank_lower"), result.series("rank_upper")
    finest = min(float(row.group.rpartition(" at ")[2]) for row in lower)
    groups = [g for g in dict.fromkeys(row.group for row in lower) if float(g.rpartition(" at ")[2]) == finest]
    depths = sorted({row.step or 0.0 for row in lower})
    most = int(result.config["texts"])

    def x(depth: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (depth - depths[0]) / (depths[-1] - depths[0])

    def y(rank: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - rank / most)

    parts = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(r):.0f}" y2="{y(r):.0f}" stroke="#6b728033"/>'
        f'<text x="{LEFT - 8}" y="{y(r) + 4:.0f}" text-anchor="end">{r}</text>'
        for r in range(0, most + 1, 20)
    ]
    parts += [f'<text x="{x(d):.0f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{d:g}</text>' for d in depths]
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">layers</text>')
    for shade, group in enumerate(groups):
        low = [(x(row.step or 0), y(row.value)) for row in lower if row.group == group]
        high = [(x(row.step or 0), y(row.value)) for row in upper if row.group == group]
        band = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*low, *reversed(high)])
        color, name = COLORS[shade], group.rpartition(" at ")[0]
        parts.append(f'<polygon points="{band}" fill="{color}" fill-opacity="0.25" stroke="{color}"/>')
        parts.append(
            f'<rect x="{WIDTH - RIGHT + 16}" y="{TOP + 8 + 24 * shade}" width="14" height="14" fill="{color}"/>'
        )
        parts.append(f'<text x="{WIDTH - RIGHT + 38}" y="{TOP + 20 + 24 * shade}">{name}</text>')
    title = f"Bounds on the effective separation rank of {most} by {most} texts at precision {finest:g}, by depth."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="13" fill="#6b7280"><title>{title}</title>{"".join(parts)}</svg>\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    source, target = sys.argv[1:]
    effective_rank(from_json(Result, Path(source).read_text(encoding="utf-8")), Path(target))
