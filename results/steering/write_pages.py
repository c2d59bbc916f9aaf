"""Writes README.md of this folder, the tables of the steering page and its figure from the records beside it.

Run it as ``python results/steering/write_pages.py`` after adding or replacing a record: no number is typed by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqtant.findings import Result, from_json
from seqtant.report.markdown import put
from seqtant.report.terminal import to_markdown

FOLDER = Path(__file__).parent
DOCS = FOLDER.parents[1] / "docs"
PAGE = DOCS / "instruments" / "steering.md"
FIGURE = DOCS / "images" / "steering" / "tradeoff.svg"
ADVICE = FOLDER.parents[1] / "benchmarks" / "results" / "steering-advice.json"
ORDER = ("train", "extract", "sweep", "choose", "diagnose", "layers")
BLUE, AMBER, GRAY = "#3b7dd8", "#c2700f", "#6b7280"
"""Readable on light and on dark paper."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 400, 52, 16, 24, 48


def records() -> dict[str, Result]:
    """The records by name, in the order in which they were made."""
    found = {path.stem: from_json(Result, path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
    return dict(sorted(found.items(), key=lambda item: (item[0].split("-")[0], _rank(item[1]), item[0])))


def _rank(record: Result) -> int:
    verb = record.instrument.partition(".")[2]
    return ORDER.index(verb) if verb in ORDER else len(ORDER)


def readme(found: dict[str, Result]) -> str:
    """Every record: how it was made, what it found, its tables."""
    parts = ["# Runs of the steering room\n\nWritten by `write_pages.py` from the records in this folder."]
    for name, record in found.items():
        minutes = f"{record.wall_seconds / 60:.1f} min wall, {record.cpu_seconds / 60:.1f} min of CPU"
        made = f"`{record.command}`, {record.created[:10]}, torch {record.environment.get('torch', '?')}, {minutes}"
        findings = [f"- **{f.verdict}**: {f.question} {f.summary}" for f in record.findings]
        warnings = [f"- warning: {warning}" for warning in record.warnings]
        tables = [f"{table.title}:\n\n{to_markdown(table)}" for table in record.tables if table.name != "next"]
        parts.append("\n\n".join([f"## {name}", f"{record.title}. {made}.", "\n".join(findings + warnings), *tables]))
    return "\n\n".join(parts) + "\n"


def budgets(found: dict[str, Result], start: str) -> str:
    """One row per choice of strength: the edge of the budget, and what is advised within it."""
    rows = [
        "| helpfulness | budget | spent at | by held-out items | law of small strengths | advised | loss there "
        "| replies, nats per token | alignment: before, measured | by the S-curve, guaranteed "
        "| verdicts: advice, spent at, law |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, record in found.items():
        if record.instrument != "steering.choose" or not name.startswith(start):
            continue
        v = record.values
        kind = "perplexity" if "passages" in str(record.config["helpfulness"]) else "right answers"
        rows.append(
            f"| {kind} | {100 * record.config['budget']:g} % | {_number(v['edge'])} "
            f"({_number(v['edge_low'])} to {_number(v['edge_high'])}) | {_number(v['operating_point'])} | "
            f"{_number(v['first_strength'])} | {_number(v['strength'])} | {_percent(v['measured_loss'])} "
            f"({_percent(v['measured_loss_low'])} to {_percent(v['measured_loss_high'])}) | "
            f"{_number(v['incoherence'], 2)} | {_number(v['alignment_at_zero'])}, {_number(v['measured_alignment'])} | "
            f"{_number(v['predicted_alignment'])}, {_number(v['guaranteed_alignment'])} | "
            f"{', '.join(finding.verdict for finding in record.findings[:3])} |"
        )
    return "\n".join(rows)


def advice() -> str:
    """One row per model and choice of blocks: the advised strengths beside dense sweeps of the half not used."""
    record = json.loads(ADVICE.read_text(encoding="utf-8"))
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, row in record["cases"].items():
        model, layers, *_ = key.split()
        groups.setdefault((model, layers.removeprefix("layers=")), []).append(row)
    rows = [
        "| model | `--layers` | choices | of them without advice | hold "
        "| alignment: unsteered, advised, best of the sweep | farthest behind | replies, nats per token, at most |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (model, layers), cases in groups.items():
        given = [row for row in cases if row["strength"] is not None]
        means = (
            [sum(row[key] for row in given) / len(given) for key in ("unsteered", "alignment", "best_of_sweep")]
            if given
            else []
        )
        rows.append(
            f"| {model} | {layers} | {len(cases)} | {len(cases) - len(given)} | {sum(row['holds'] for row in cases)} | "
            f"{', '.join(f'{value:.3f}' for value in means) or '-'} | "
            f"{max((row['best_of_sweep'] - row['alignment'] for row in given), default=float('nan')):.3f} | "
            f"{max((row['incoherence'] for row in given), default=float('nan')):.2f} |"
        )
    return "\n".join(rows) + (
        "\n\nSeeds 0 to 2 at budgets of 2, 5, 10 and 30 %, all measured on the held-out half. A choice holds if its "
        f"alignment is above the unsteered and at most {record['margin']:g} behind the best of 33 strengths that keep "
        "both budgets there, and its replies are within theirs; a refusal holds if nothing gains more than that."
    )


def curves(found: dict[str, Result]) -> str:
    """One row per sweep."""
    rows = [
        "| run | S-curve, R2 | order of the loss (2: quadratic) | bell, R2 | alignment: lowest, unsteered, highest | "
        "helpfulness unsteered |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, record in found.items():
        if record.instrument == "steering.sweep":
            v = record.values
            rows.append(
                f"| {name} | {_number(v['tanh_r2'], 4)} | {_number(v['loss_ratio_log2'])} "
                f"| {_number(v['bell_r2'], 4)} | "
                f"{_number(v['alignment_low'])}, {_number(v['alignment_at_zero'])}, {_number(v['alignment_high'])} | "
                f"{_number(v['helpfulness_at_zero'])} |"
            )
    return "\n".join(rows)


def trained(found: dict[str, Result]) -> str:
    """What the model of the film reviews is."""
    v = found["film-train"].values
    return (
        f"{v['parameters']:,} parameters, {v['tokens']:,} tokens; perplexity {_number(v['held_out_perplexity'])} per "
        f"token on held-out text, {_percent(v['cloze_accuracy'])} of held-out words right among four (guessing: "
        f"{_percent(v['chance'])})."
    )


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def figure(record: Result, title: str) -> str:
    """Alignment and helpfulness of a sweep against the strength, with their intervals, as SVG."""
    series = {key: _series(record, key) for key in ("alignment", "helpfulness")}
    places = [step for step, *_ in series["alignment"]]
    low, high = min(places), max(places)

    def x(strength: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (strength - low) / (high - low)

    def y(score: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - score) / 2

    marks = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="{GRAY}" '
        f'stroke-opacity="0.35"/><text x="{LEFT - 8}" y="{y(v) + 4:.1f}" text-anchor="end">{v:g}</text>'
        for v in (-1, -0.5, 0, 0.5, 1)
    ]
    ticks = [
        f'<text x="{x(v):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{v:.3g}</text>'
        for v in (low, low / 2, 0, high / 2, high)
    ]
    drawn = [_curve(series[key], x, y, shade) for key, shade in (("alignment", BLUE), ("helpfulness", AMBER))]
    legend = (
        f'<text x="{LEFT + 8}" y="{TOP - 8}" fill="{BLUE}">alignment: (good - bad) / (good + bad) verdicts</text>'
        f'<text x="{LEFT + 330}" y="{TOP - 8}" fill="{AMBER}">helpfulness: probability of the right word</text>'
        f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">'
        "strength (length in the hidden space)</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="13" fill="{GRAY}"><title>{title}</title>{"".join([*marks, *ticks, *drawn])}{legend}</svg>\n'
    )


def _series(record: Result, key: str) -> list[tuple[float, float, float, float]]:
    sides = {kind: {row.step: row.value for row in record.series(f"{key}{kind}")} for kind in ("", "_low", "_high")}
    return [
        (step, value, sides["_low"].get(step, value), sides["_high"].get(step, value))
        for step, value in sorted(sides[""].items())
    ]


def _curve(
    rows: list[tuple[float, float, float, float]], x: Callable[[float], float], y: Callable[[float], float], shade: str
) -> str:
    band = [f"{x(r):.1f},{y(low):.1f}" for r, _, low, _ in rows]
    band += [f"{x(r):.1f},{y(high):.1f}" for r, _, _, high in reversed(rows)]
    line = " ".join(f"{x(r):.1f},{y(value):.1f}" for r, value, _, _ in rows)
    return (
        f'<polygon points="{" ".join(band)}" fill="{shade}" fill-opacity="0.2"/>'
        f'<polyline points="{line}" fill="none" stroke="{shade}" stroke-width="2"/>'
    )


if __name__ == "__main__":
    every = records()
    (FOLDER / "README.md").write_text(readme(every), encoding="utf-8")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    FIGURE.write_text(figure(every["film-sweep"], "Alignment and helpfulness against the strength"), encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    text = put(text, "film: model", trained(every))
    text = put(text, "film: budgets", budgets(every, "film"))
    text = put(text, "reference: budgets", budgets(every, "reference"))
    text = put(text, "sweeps", curves(every))
    text = put(text, "advice: sweep", advice())
    PAGE.write_text(text, encoding="utf-8")
