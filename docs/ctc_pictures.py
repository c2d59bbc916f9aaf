"""Draws the two pictures of the CTC page from stored results: the frontier, and the timeline that plays.

    python docs/ctc_pictures.py frontier RESULT.json docs/instruments/ctc-frontier.svg
    python docs/ctc_pictures.py timeline ONE.jsonl PLAIN_MODEL PURPOSEFUL_MODEL docs/instruments/ctc-timeline.html

The timeline holds the outline of the sound, not the sound: the recordings belong to their makers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from seqtant.report.figures import COLORS

Scale = Callable[[float], float]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 420, 64, 52, 16, 150


def frontier(result: dict, path: Path) -> None:
    """Writes the frontier of a sweep as an SVG that reads on light and dark paper."""
    table = next(table for table in result["tables"] if table["name"] == "frontier")
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    rows = [row for row in rows if row["delay, ms"] is not None]
    delays = [row[name] for row in rows for name in ("delay low", "delay high", "delay, ms") if row[name] is not None]
    least, most = min(delays) // 50 * 50, -(-max(delays) // 50) * 50
    highest = max(row["WER high"] or row["WER, %"] for row in rows) * 1.05

    def x(delay: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (delay - least) / (most - least)

    def y(wer: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * max(wer, 0) / highest

    parts = [_axes(x, y, least, most, highest)]
    for shade, method in enumerate(dict.fromkeys(row["method"] for row in rows)):
        mine = sorted((row for row in rows if row["method"] == method), key=lambda row: row["delay, ms"])
        parts.append(_curve(x, y, mine, shade, method))
    title = (
        "Word error rate against mean delay after the word's start, one curve per method; the table holds the numbers."
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="13" fill="#6b7280"><title>{title}</title>{"".join(parts)}</svg>\n',
        encoding="utf-8",
    )


def _axes(x: Scale, y: Scale, least: float, most: float, highest: float) -> str:
    marks = [
        f'<text x="{x(delay):.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{delay:.0f}</text>'
        f'<line x1="{x(delay):.0f}" x2="{x(delay):.0f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#6b728033"/>'
        for delay in range(int(least), int(most) + 1, 50)
    ]
    step = max(round(highest / 6), 1)
    marks += [
        f'<text x="{LEFT - 8}" y="{y(wer) + 4:.0f}" text-anchor="end">{wer}</text>'
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(wer):.0f}" y2="{y(wer):.0f}" stroke="#6b728033"/>'
        for wer in range(0, int(highest) + 1, step)
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    return "".join(marks) + (
        f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">mean delay after the word\'s start, ms</text>'
        f'<text transform="translate(18 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">word error rate, %</text>'
    )


def _curve(x: Scale, y: Scale, rows: list[dict], shade: int, name: str) -> str:
    color, legend = COLORS[shade], TOP + 16 + 22 * shade
    # Weights of neighboring methods stand on either side of their points, so that they do not cover each other.
    aside = 16 if shade % 2 else -6
    points = " ".join(f"{x(row['delay, ms']):.1f},{y(row['WER, %']):.1f}" for row in rows)
    parts = [f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>']
    for row in rows:
        across, up = x(row["delay, ms"]), y(row["WER, %"])
        if row["WER low"] is not None:
            ends = y(row["WER low"]), y(row["WER high"])
            parts.append(
                f'<line x1="{across:.1f}" x2="{across:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}" stroke="{color}"/>'
            )
        if row["delay low"] is not None:
            ends = x(row["delay low"]), x(row["delay high"])
            parts.append(f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{up:.1f}" y2="{up:.1f}" stroke="{color}"/>')
        parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4" fill="{color}"/>')
        if row["method"] != "ctc":
            parts.append(f'<text x="{across + 6:.1f}" y="{up + aside:.1f}" font-size="11">{row["weight"]:g}</text>')
    parts.append(
        f'<circle cx="{WIDTH - RIGHT + 20}" cy="{legend}" r="4" fill="{color}"/>'
        f'<text x="{WIDTH - RIGHT + 30}" y="{legend + 4}">{name}</text>'
    )
    return "".join(parts)


def timeline(sound: Path, plain: Path, purposeful: Path, path: Path) -> None:
    """Writes the page that plays one utterance, heard by both models, without its sound."""
    # Here and not above: whoever draws the frontier from a record needs no torch.
    from seqtant.ctc.recognition.recognizer import Recognizer, StreamingRecognizer
    from seqtant.ctc.reporting import write_timeline
    from seqtant.data.speech import read_manifest

    (utterance,) = read_manifest(sound)
    tracks = {}
    for name, folder in (("plain CTC", plain), ("with purpose", purposeful)):
        live = StreamingRecognizer(Recognizer.load(folder))
        live.push(utterance.recording.samples)
        tracks[name] = live.words
    write_timeline(path, utterance, tracks, with_sound=False)


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    if what == "frontier":
        frontier(json.loads(Path(given[0]).read_text(encoding="utf-8")), Path(given[1]))
    else:
        timeline(*(Path(name) for name in given))
