"""Figures by verb: the frontier, the emission timeline, delays, the course of a finetuning."""

from __future__ import annotations

from seqtant.findings import Cell, Measurement, Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line

BIN_MS = 20
"""Width of a bar of the delay histogram."""


def sweep(result: Result) -> list[Figure]:
    """Word error rate against mean delay, one curve per method."""
    table = _table(result, "frontier")
    if table is None:
        return []
    traces = []
    for shade, method in enumerate(dict.fromkeys(row[0] for row in table.rows)):
        mine = [
            {
                name: float(cell) if isinstance(cell, int | float) else None
                for name, cell in zip(table.columns, row, strict=True)
            }
            for row in table.rows
            if row[0] == method
        ]
        mine.sort(key=lambda row: row["delay, ms"] or 0.0)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": str(method),
                "x": [row["delay, ms"] for row in mine],
                "y": [row["WER, %"] for row in mine],
                "text": [f"weight {row['weight']:g}" for row in mine],
                "error_x": _bars(mine, "delay, ms", "delay"),
                "error_y": _bars(mine, "WER, %", "WER"),
                "line": {"color": COLORS[shade % len(COLORS)]},
            }
        )
    return [
        Figure(
            name="frontier",
            title="Earlier words cost word errors; a method is better where it lies lower and further left",
            caption="One point per weight, all from one checkpoint; bars are 95 % intervals.",
            alt="Word error rate against mean delay after the word's start, one curve per method.",
            data=traces,
            layout=axes("mean delay after the word's start, ms", "word error rate, %"),
            table=table,
        ),
    ]


def _bars(rows: list[dict[str, float | None]], value: str, name: str) -> dict[str, object]:
    """Plotly's error bars; a missing end has no bar."""
    bars: dict[str, object] = {"type": "data", "symmetric": False}
    for side, end, sign in (("array", "high", 1), ("arrayminus", "low", -1)):
        pairs = [(row[value], row[f"{name} {end}"]) for row in rows]
        bars[side] = [0.0 if middle is None or edge is None else sign * (edge - middle) for middle, edge in pairs]
    return bars


def stream(result: Result) -> list[Figure]:
    """The outline of the sound with its words at their true starts and at their emission."""
    table = _table(result, "emissions")
    wave = result.series("outline")
    if table is None or not table.rows or not wave:
        return []
    times = [(point.step or 0.0) / 1000 for point in wave]
    traces = line(times, [point.value for point in wave], "sound", color=5, mode="lines")
    top = max(point.value for point in wave)
    truth = [point for point in result.measurements if point.group == "truth"]
    traces += _words("true starts", truth, "true start ", 1.15 * top, 2)
    for row, name in enumerate(dict.fromkeys(str(cells[0]) for cells in table.rows)):
        said = [point for point in result.measurements if point.group == name]
        traces += _words(name, said, "emitted ", (1.35 + 0.2 * row) * top, row)
    return [
        Figure(
            name="timeline",
            title="Each word comes out some time after it begins",
            caption="Outline of the sound, true starts where they are known, and the moment each word was complete.",
            alt="Waveform with words at their true starts and at their emission times.",
            data=traces,
            layout=axes("seconds", "", yaxis={"showticklabels": False}),
            table=table,
        ),
    ]


def _words(name: str, points: list[Measurement], prefix: str, height: float, color: int) -> list[dict[str, object]]:
    return [
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": name,
            "x": [point.value / 1000 for point in points],
            "y": [height] * len(points),
            "text": [point.key.removeprefix(prefix) for point in points],
            "textposition": "top center",
            "marker": {"color": COLORS[color % len(COLORS)]},
        }
    ]


def latency(result: Result) -> list[Figure]:
    """How many words are late by how much."""
    delays = [point.value for point in result.series("delay")]
    if not delays:
        return []
    first = int(min(delays) // BIN_MS)
    counts = [0] * (int(max(delays) // BIN_MS) - first + 1)
    for delay in delays:
        counts[int(delay // BIN_MS) - first] += 1
    middles = [(first + place + 0.5) * BIN_MS for place in range(len(counts))]
    rows: list[tuple[Cell, ...]] = [(middle, count) for middle, count in zip(middles, counts, strict=True)]
    return [
        Figure(
            name="delays",
            title="How late the words are",
            caption=f"Correct words by their delay after the word's true start, in steps of {BIN_MS} ms.",
            alt="Histogram of word delays.",
            data=[{"type": "bar", "x": middles, "y": counts, "name": "words", "marker": {"color": COLORS[0]}}],
            layout=axes("delay after the word's start, ms", "words"),
            table=Table(name="delay_counts", title="Words by delay", columns=("delay, ms", "words"), rows=tuple(rows)),
        ),
    ]


def finetune(result: Result) -> list[Figure]:
    """Score gap between better and sampled paths over the steps."""
    gaps = [point for point in result.measurements if point.key.endswith(".gap")]
    if not gaps:
        return []
    traces: list[dict[str, object]] = []
    for shade, name in enumerate(dict.fromkeys((point.group, point.key) for point in gaps)):
        mine = [point for point in gaps if (point.group, point.key) == name]
        steps, values = [point.step or 0.0 for point in mine], [point.value for point in mine]
        traces += line(steps, values, f"{name[0]}: {name[1].removesuffix('.gap')}", color=shade, mode="lines")
    rows: list[tuple[Cell, ...]] = [(p.group, p.key, p.step, round(p.value, 5)) for p in gaps]
    return [
        Figure(
            name="gaps",
            title="How much better the model finds the better paths",
            caption="Mean score of the better path minus that of the sampled one, nats per frame; above 0 it is "
            "preferred.",
            alt="Score gap over the steps of the finetuning.",
            data=traces,
            layout=axes("step", "score gap, nats per frame"),
            table=Table(name="gaps", title="Score gaps", columns=("run", "property", "step", "gap"), rows=tuple(rows)),
        ),
    ]


def _table(result: Result, name: str) -> Table | None:
    return next((table for table in result.tables if table.name == name), None)
