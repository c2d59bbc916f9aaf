"""The README's tables, from the records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seqtant.report.markdown import put

SIDES = ("seqtant", "repeng", "steering-vectors")
NAMES = {"small": "8 blocks of width 256, vocabulary 32,000", "1b": "16 blocks of width 2,048, vocabulary 32,000"}


def write_tables(page: Path, results: Path) -> None:
    """Replaces what stands between the marks of each table."""
    records = {
        shape: json.loads(path.read_text(encoding="utf-8"))
        for shape in NAMES
        if (path := results / f"steering_peers_{shape}.json").is_file()
    }
    small = records["small"]
    made = {
        "extraction": _extraction(records),
        "generation": _generation(records),
        "sweep": _sweep(small["sweep"]),
        "machine": [_machine(small)],
        "readers": _readers(json.loads((results / "steering_readers.json").read_text(encoding="utf-8"))),
    }
    text = page.read_text(encoding="utf-8")
    for name, rows in made.items():
        text = put(text, name, "\n".join(rows))
    page.write_text(text, encoding="utf-8")


def _times(cpu: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    cells = []
    for name in names:
        row = cpu[name]
        cells += [f"{row['seconds']:.2f}", f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"]
    return cells


def _extraction(records: dict[str, Any]) -> list[str]:
    rows = [
        "| model | blocks | pairs | rounds | Seqtant | repeng | times ours | steering-vectors | times ours "
        "| largest difference to steering-vectors |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for shape, record in records.items():
        for key in ("extraction_middle", "extraction_all"):
            if key in record:
                own, made = record[key], record["made"]["extraction"]
                cells = [f"{own['cpu']['seqtant']['seconds']:.2f}", *_times(own["cpu"], SIDES[1:])]
                blocks = f"{own['layers'][0]} to {own['layers'][-1]}"
                rows.append(
                    f"| {NAMES[shape]} | {blocks} | {made['pairs']} | {made['repeats']} | {' | '.join(cells)} | "
                    f"{own['largest_difference_to_steering_vectors']:.0e} |"
                )
    return rows


def _generation(records: dict[str, Any]) -> list[str]:
    names = ("seqtant", "seqtant:hooks", *SIDES[1:])
    rows = [
        "| model | blocks steered | rows "
        "| Seqtant, by biases | Seqtant, by hooks | repeng | steering-vectors | same tokens |",
        "| --- " + "| ---: " * 6 + "| --- |",
    ]
    for shape, record in records.items():
        for job in record.get("generation", []):
            cells = [_ratio(job[name]) if name in job else "-" for name in names]
            same = "yes" if all(job["equal_tokens"].values()) else "no"
            rows.append(f"| {NAMES[shape]} | {job['blocks']} | {job['batch']} | {' | '.join(cells)} | {same} |")
    return rows


def _ratio(row: dict[str, float]) -> str:
    return f"{row['ratio']:.3f} ({row['ratio_low']:.3f} to {row['ratio_high']:.3f})"


def _sweep(job: dict[str, Any]) -> list[str]:
    rows = [
        "| way | CPU seconds | times ours | largest difference in log-probability |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, row in job["cpu"].items():
        difference = job["largest_difference_in_log_probability"].get(name)
        cells = [
            name.replace(":", ", "),
            *_times({name: row}, (name,)),
            "-" if difference is None else f"{difference:.0e}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    if "multiplications" in job:
        counts = {name.replace(":", ", "): count for name, count in job["multiplications"].items()}
        counts["fewest possible"] = job["fewest_multiplications"]
        rows += ["", "| way | multiplications by weights, billions |", "| --- | ---: |"]
        rows += [f"| {name} | {count / 1e9:.1f} |" for name, count in counts.items()]
    return rows


def _readers(record: dict[str, Any]) -> list[str]:
    rows = [
        "| reader | version | blocks read | largest difference to what was written |",
        "| --- | --- | ---: | ---: |",
    ]
    names = {"repeng": "repeng, `ControlVector.import_gguf`", "llama.cpp": "llama.cpp, `common_control_vector_load`"}
    for name, call in names.items():
        own = record[name]
        rows.append(f"| {call} | {own['version']} | {own['blocks']} | {own['largest_difference']:g} |")
    return rows


def _machine(record: dict[str, Any]) -> str:
    versions = {key.partition(":")[2]: value for key, value in record["versions"].items() if key.startswith("peers:")}
    own = {key.partition(":")[2]: value for key, value in record["versions"].items() if key.startswith("ours:")}
    parts = [
        f"{name}: {made['created'][:10]}, {made['repeats']} rounds, load average {made['load'][0]:.1f} before and "
        f"{made['load'][1]:.1f} after"
        for name, made in record["made"].items()
    ]
    return (
        f"Peers: repeng {versions['repeng']}, steering-vectors {versions['steering-vectors']}, transformers "
        f"{versions['transformers']}; ours: transformers {own['transformers']}; torch {own['torch']} on both sides; "
        f"two cores. {'; '.join(parts)}."
    )


if __name__ == "__main__":
    write_tables(Path(__file__).parent / "README.md", Path(__file__).parents[1] / "results")
