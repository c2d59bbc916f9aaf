"""The tables of all comparisons, written from the stored records alone, on every page that shows some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from comparisons import RESULTS, Row, load, rows

from seqtant.report.markdown import put

FOLDER = Path(__file__).parent


def comparison_table(shown: list[Row]) -> str:
    """Ratios with the range over repeats."""
    lines = ["| job | beside | CPU seconds, times ours | outputs |", "| --- | --- | ---: | --- |"]
    lines += [f"| {row.job} | {row.peer} | {_ratio(row)} | {row.outputs} |" for row in shown]
    return "\n".join(lines)


def _ratio(row: Row) -> str:
    spread = "" if row.low == row.high else f" ({row.low:.3g} to {row.high:.3g})"
    return f"{row.ratio:.3g}{spread}"


def limits_table() -> str:
    """How near the hot paths are to what the machine can do."""
    lines = [
        "| path | counted | the machine's rate | CPU seconds | share of the limit |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for each in load(RESULTS / "limits.json")["paths"]:
        rate = f"{each['rate_per_second'] / 1e9:.3g} G{each['unit']}/s"
        share = (
            f"{100 * each['share_of_limit']:.1f} % ({100 * each['share_low']:.1f} to {100 * each['share_high']:.1f})"
        )
        lines.append(f"| {each['path']} | {each['counted']}: {each['amount'] / 1e9:.3g} G{each['unit']} | {rate} | "
                     f"{each['cpu_seconds']:.3g} | {share} |")  # fmt: skip
    return "\n".join(lines)


def growth_table() -> str:
    """How the cost grows: slopes of log time in log size, and memory where it was measured."""
    lines = ["| job | sizes | slope of log time | memory at the largest |", "| --- | --- | ---: | ---: |"]
    lines += [f"| {job} | {sizes} | {slope} | {memory} |" for job, sizes, slope, memory in _growth()]
    return "\n".join(lines)


def _growth() -> Iterator[tuple[str, str, str, str]]:
    steps = RESULTS / "quantum_step_cost.json"
    if steps.is_file():
        values = load(steps)["values"]
        slope = f"{values['slope_of_seconds']:.2f} (counted operations: {values['slope_counted']:.2f})"
        yield "ground-state step", "spins", slope, "-"
    for path in sorted(RESULTS.glob("scoring*.json")):
        for each in load(path)["lengths"]:
            slope = f"{each['slope_of_log_time_in_log_length']['seqtant']:.2f}"
            yield f"scoring a text, {each['size']}", "32 to 512 tokens", slope, "-"
    scale = RESULTS / "pretraining_scale.json"
    if scale.is_file():
        record = load(scale)
        sizes = sorted(record["rows"], key=lambda each: each["count"])
        span = f"{sizes[0]['count']:,} to {sizes[-1]['count']:,} vectors of {record['dimension']}"
        memory = f"{sizes[-1]['peak_bytes'] / 2**30:.1f} GiB"
        for stage, slope in record["slopes"].items():
            yield f"pretraining, {stage}", span, f"{slope:.2f}", memory


def netket_steps_table() -> str:
    """Steps beside NetKet's, part by part."""
    lines = [
        "| spins | layers | method | part | NetKet | Seqtant | times ours |",
        "| --- | ---: | --- | --- | ---: | ---: | ---: |",
    ]
    parts = {"step": "step", "sample": "sampling", "local_energy": "local energies"}
    for path in sorted(RESULTS.glob("quantum_netket_*.json")):
        for each in load(path)["speed"]:
            for key, part in parts.items():
                theirs, ours = (each[key][side]["cpu"] for side in ("netket", "seqtant"))
                ratio = f"{theirs['median'] / ours['median']:.2f}"
                ends = f"({theirs['low'] / ours['high']:.2f} to {theirs['high'] / ours['low']:.2f})"
                lines.append(f"| {each['side']}x{each['side']} | {each['layers']} | {each['method']} | {part} | "
                             f"{theirs['median']:.3f} | {ours['median']:.3f} | {ratio} {ends} |")  # fmt: skip
    return "\n".join(lines)


def netket_settings_table() -> str:
    """The energies at which NetKet ends with each setting."""
    record = load(RESULTS / "quantum_time_to_energy.json")
    lines = [
        "| learning rate | diagonal shift | energy after the last step | variance |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for each in sorted(record["scan"], key=lambda row: row["final"]["mean"]):
        final = each["final"]
        energy = f"{final['mean']:.4f} +- {final['error']:.4f}"
        lines.append(f"| {each['rate']} | {each['shift']} | {energy} | {final['variance']:.3f} |")
    return "\n".join(lines)


def netket_races_table() -> str:
    """Steps and CPU seconds of every side until the target is reached."""
    record = load(RESULTS / "quantum_time_to_energy.json")
    lines = [
        "| seed | side | steps | CPU seconds | running mean | times ours |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for race in record["races"]:
        for name, found in race["reached"].items():
            if found is None:
                lines.append(f"| {race['seed']} | {name} | not reached in {record['steps']} | - | - | - |")
                continue
            ratio = race["ratio"].get(name)
            mean = f"{found['mean']:.4f} +- {found['error']:.4f}"
            lines.append(f"| {race['seed']} | {name} | {found['steps']} | {found['cpu']:.1f} | {mean} | "
                         f"{'-' if ratio is None else format(ratio, '.3g')} |")  # fmt: skip
    return "\n".join(lines)


def filled(text: str, tables: dict[str, str]) -> str:
    """A text with every named table put between its marks."""
    for name, table in tables.items():
        text = put(text, f"{name}: from benchmarks/results", table)
    return text


def pages() -> dict[Path, dict[str, str]]:
    """Which tables stand on which page."""
    found = rows()
    return {
        FOLDER / "README.md": {
            "comparisons": comparison_table(found),
            "limits": limits_table(),
            "growth": growth_table(),
        },
        FOLDER / "quantum_netket" / "README.md": {
            "steps": netket_steps_table(),
            "settings": netket_settings_table(),
            "races": netket_races_table(),
        },
        FOLDER.parent / "README.md": {"comparisons": comparison_table([row for row in found if row.short])},
    }


def write_tables() -> None:
    """Brings all pages up to date."""
    for path, tables in pages().items():
        path.write_text(filled(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
