"""Draws the picture of the page on breaking lengths from a stored result: behavior, predicted and measured.

python docs/beb_pictures.py results/beb/measure-reference.json docs/images/beb/behavior.svg
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from seqtant.beb.drawings import points
from seqtant.findings import Result, from_json
from seqtant.report.figures import COLORS

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 360, 60, 130, 16, 48


def draw(result: Result) -> str:
    """The SVG; gray text and strong colors read on light and dark paper."""
    last = points(result, "behavior")[0][-1]

    def x(n: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * n / last

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value) / 2

    parts = [_grid(x, y, last)]
    for color, (key, name, dash) in enumerate((("behavior", "measured", ""), ("predicted", "predicted", "6 4"))):
        places, values = points(result, key)
        line = " ".join(f"{x(n):.1f},{y(value):.1f}" for n, value in zip(places, values, strict=True))
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{COLORS[color]}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
            f'<text x="{x(last) + 8:.0f}" y="{y(values[-1]) + 4 - 16 * color:.0f}" fill="{COLORS[color]}">{name}</text>'
        )
    for color, key in enumerate(("halfway_measured", "halfway_predicted")):
        n = result.values.get(key)
        if n is not None:
            parts.append(
                f'<line x1="{x(n):.1f}" x2="{x(n):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="{COLORS[color]}" '
                'stroke-dasharray="2 4"/>'
            )
    title = "Behavior against the number of sentences drawn from P-, measured and predicted; dotted: half of the way."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="13" fill="#6b7280"><title>{title}</title>{"".join(parts)}</svg>\n'
    )


def _grid(x: Callable[[float], float], y: Callable[[float], float], last: float) -> str:
    rows = "".join(
        f'<text x="{LEFT - 8}" y="{y(v) + 4:.0f}" text-anchor="end">{v:g}</text>'
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v):.0f}" y2="{y(v):.0f}" stroke="#6b728033"/>'
        for v in (-1, -0.5, 0, 0.5, 1)
    )
    columns = "".join(
        f'<text x="{x(n):.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{n}</text>'
        for n in range(0, int(last) + 1, 4)
    )
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'{rows}{columns}<text x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">sentences drawn from P-</text>'
        f'<text transform="translate(16 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">behavior</text>'
    )


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(draw(from_json(Result, source.read_text(encoding="utf-8"))), encoding="utf-8")
