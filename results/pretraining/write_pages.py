"""Writes what the documentation says of the pretraining room from stored records: no number in it is typed by hand.

    python results/pretraining/write_pages.py

Fills the marked parts of docs/instruments/pretraining.md from the records here and in benchmarks/results, and lets
write_readme.py write README.md of this folder and docs/pretraining_pictures.py draw the picture of the page.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqtant.findings import Cell, Finding, Result, Table, format_number, from_json
from seqtant.report.markdown import put
from seqtant.report.terminal import to_markdown

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PAGE = ROOT / "docs" / "instruments" / "pretraining.md"
PICTURE = ROOT / "docs" / "images" / "pretraining" / "effective-rank.svg"
sys.path[:0] = [str(FOLDER), str(ROOT / "docs")]

import pretraining_pictures  # noqa: E402
import write_readme  # noqa: E402


def read(name: str) -> Result:
    """A record of this folder."""
    return from_json(Result, (FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def benchmark(name: str) -> dict[str, Any]:
    """A record of benchmarks/results."""
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def table_of(result: Result, name: str) -> Table:
    """One table of a record."""
    return next(table for table in result.tables if table.name == name)


def finding(result: Result, key: str) -> Finding:
    """One finding of a record."""
    return next(each for each in result.findings if each.key == key)


def markdown(columns: tuple[str, ...], rows: list[tuple[Cell, ...]]) -> str:
    """Markdown of a table."""
    return to_markdown(Table(name="page", title="", columns=columns, rows=tuple(rows)))


def counted(cell: Cell) -> Cell:
    """Large numbers as whole ones."""
    return round(cell) if isinstance(cell, float) and cell >= 1000 else cell


def plain(number: float) -> str:
    """A number for a sentence."""
    return format_number(number)


def composition() -> str:
    """Joining two facts, over seeds that took no part in making the recipe."""
    result = read("composition-cpu")
    last = result.seed + int(result.config["seeds"]) - 1
    apart = {key: finding(result, f"knn_against_{key}").measured for key in ("split", "random")}
    return (
        f"`{result.command.removesuffix(' --json')}`: seeds {result.seed} to {last}, none of which was looked at while "
        f"the recipe was made; {result.cpu_seconds:.0f} s of CPU. knn minus split {apart['split']}, knn minus random "
        f"{apart['random']}; chance is {plain(1 / result.config['values'])}.\n\n"
        f"{to_markdown(table_of(result, 'accuracy'))}\n\n{table_of(result, 'accuracy').note}"
    )


def networks() -> str:
    """The gap of the rank, network by network."""
    result = read("epsilon-rank-cpu")
    upper = [int(str(row[4])) for row in table_of(result, "networks").rows]
    return (
        f"{finding(result, 'networks').summary} (`{result.command.removesuffix(' --json')}`.) The bound across the "
        f"step is below 10 in {sum(each < 10 for each in upper)} of {len(upper)} networks."
    )


def text() -> str:
    """Real text in one command, and the runs that were killed."""
    found, record = benchmark("pretraining_text"), read("text-build")
    kills = [kill for run in found["killed_runs"] for kill in run["kills"]]
    same = all(run["byte_identical"] for run in found["killed_runs"])
    moments = ", ".join(str(kill["files_there"]) for kill in kills if kill["killed"])
    stages = [(name, seconds) for name, seconds in found["stage_seconds"].items()]
    return (
        f"WikiText-2 (validation and test), Brown and film reviews: {found['bytes'] / 1e6:.1f} MB, "
        f"{record.values['documents']:,} documents, {record.values['segments']:,} segments. One command, "
        f"{found['command_wall_seconds']:.0f} s on {found['workers']} busy cores ({found['command_cpu_seconds']:.0f} s "
        f"of CPU), {found['peak_bytes_of_a_process'] / 1e9:.1f} GB in the largest process. Killed (SIGKILL) when "
        f"{moments} files of its stages were there, and started again each time; in the end every file the "
        f"same as in the undisturbed run, byte for byte: {'yes' if same else 'no'}.\n\n"
        f"{markdown(('stage', 'seconds'), stages)}\n\n"
        f"Its audit:\n\n{to_markdown(table_of(record, 'audit'))}\n\n{to_markdown(table_of(record, 'company'))}\n\n"
        f"Near-duplicates count every pair of an example: two neighbors of one anchor may be copies of each other. "
        f"Of the true nearest neighbors the search found {finding(record, 'recall').summary}"
    )


def arms() -> str:
    """What a small decoder learned from each arm of that text."""
    result = read("text-arms")
    losses = table_of(result, "losses")
    rows: list[tuple[Cell, ...]] = []
    for each in result.findings:
        measured = each.measured
        assert measured is not None
        first, _, rest = each.key.partition("_minus_")
        control, _, measure = rest.partition("_")
        shown = f"{measured.value:+.4f} [{measured.low:+.4f}, {measured.high:+.4f}]"
        rows.append((f"{first} minus {control}", measure.replace("_", " "), shown, each.verdict))
    return (
        f"`{result.command.removesuffix(' --json')}` on that text ({result.config['depth']} layers, width "
        f"{result.config['width']}, {result.values['tokens_per_run']:,.0f} tokens per run, {result.config['seeds']} "
        f"seeds, {result.cpu_seconds / 60:.0f} minutes of CPU):\n\n{to_markdown(losses)}\n\n"
        f"{markdown(('difference', 'loss', 'nats per token', 'lower, as claimed?'), rows)}\n\n"
        "Below zero is better for the first arm; intervals draw seeds and documents (95 %). "
        f"{sum(row[3] == 'agrees' for row in rows)} of {len(rows)} differences are below zero, "
        f"{sum(row[3] == 'disagrees' for row in rows)} above: one small model, few tokens, few seeds. It "
        "speaks against expecting a gain at this size, and is silent about larger ones."
    )


def packing() -> str:
    """Packing beside TRL's."""
    found = benchmark("pretraining_packing")
    columns = ("", "windows", "fill", "tokens kept", "documents per CPU second")
    names = ("sequences", "fill", "tokens_kept", "documents_per_second")
    rows = [(name, *(counted(row[key]) for key in names)) for name, row in found["rows"].items()]
    return (
        f"{found['documents']:,} documents, {found['tokens']:,} tokens, windows of {found['window']}, TRL "
        f"{found['peer']['trl']}:\n\n{markdown(columns, rows)}"
    )


def tours() -> str:
    """The tour beside the published sorter's."""
    found = benchmark("pretraining_tour")
    columns = ("order", "similarity of adjacent documents", "jumps to no neighbor", "documents per CPU second")
    names = ("adjacent_similarity", "not_neighbors_share", "documents_per_second")
    rows = [(name, *(counted(row[key]) for key in names)) for name, row in found["rows"].items()]
    return f"{found['documents']:,} documents on the same neighbor lists:\n\n{markdown(columns, rows)}"


def search() -> str:
    """Index choices."""
    found = benchmark("pretraining_search")
    columns = ("index", "build, CPU s", "queries per CPU s", "all pairs, CPU s", "recall@10")
    names = ("build_cpu_seconds", "queries_per_second", "all_pairs_cpu_seconds", "recall_at_10")
    parts = [f"{found['count']:,} vectors of {found['dimension']} dimensions, each asked for once, one thread."]
    for name, rows in found["sets"].items():
        lines = [(kind, *(counted(row[key]) for key in names)) for kind, row in rows.items()]
        parts.append(f"{name[0].upper()}{name[1:]}:\n\n{markdown(columns, lines)}")
    return "\n\n".join(parts)


def scale() -> str:
    """Cost by size."""
    found = benchmark("pretraining_scale")
    stages = ("neighbors", "filter", "tour", "build")
    columns = ("sentences", *(f"{name}, CPU s" for name in stages), "recall@8", "peak GB")
    rows: list[tuple[Cell, ...]] = [
        (
            row["count"],
            *(row["stages"][name]["cpu_seconds"] for name in stages),
            row["recall_at_8"],
            row["peak_bytes"] / 1e9,
        )
        for row in found["rows"]
    ]
    slopes = ", ".join(f"{name} {slope:.2f}" for name, slope in found["slopes"].items())
    hours = found["billion_core_hours_if_linear"]
    return (
        f"Clustered random vectors of {found['dimension']} dimensions, one thread:\n\n{markdown(columns, rows)}\n\n"
        f"Slopes of log time against log size (1 is linear): {slopes}. At the largest size's rates a billion sentences "
        f"would take {plain(sum(hours.values()))} core hours ({plain(hours['neighbors'])} of them the search) and "
        f"{found['billion_bytes_written'] / 1e12:.2f} TB of examples, and {memory(found['rows'][-1])}{before_search()} "
        "These are lower bounds: the choice of lists is hidden in the cost up to a million, but grows with the square "
        "of the corpus, and far beyond it wants a graph over the centroids or an accelerator."
    )


def memory(row: dict[str, Any]) -> str:
    """What a billion sentences would take, that is, why they are searched in parts."""
    return f"{row['peak_bytes'] / row['count'] / 1e3:.1f} TB of memory in one piece, or parts of it in turn."


def before_search() -> str:
    """Cutting and embedding at the rate of the real text."""
    if not (ROOT / PARTS["text"][1]).is_file():
        return ""
    found, segments = benchmark("pretraining_text"), read("text-build").values["segments"]
    seconds = sum(found["stage_seconds"][name] for name in ("segments", "vectors")) * found["workers"]
    return (
        f" Cutting and embedding, at the rates of the text above: {plain(seconds / segments * 1e9 / 3600)} core hours."
    )


def loading() -> str:
    """Pre-tokenized data in other libraries."""
    found = benchmark("pretraining_loading")
    parts = [
        f"{name} {row['version']}: {row['steps']} steps, loss {row['first_loss']:.2f} to {row['last_loss']:.2f}"
        for name, row in found["rows"].items()
    ]
    return "Loaded and trained a few steps, the very tokens of the file, segments unmasked: " + "; ".join(parts) + "."


PARTS: dict[str, tuple[Callable[[], str], str]] = {
    "composition": (composition, "results/pretraining/composition-cpu.json"),
    "networks": (networks, "results/pretraining/epsilon-rank-cpu.json"),
    "text": (text, "benchmarks/results/pretraining_text.json"),
    "arms": (arms, "results/pretraining/text-arms.json"),
    "packing": (packing, "benchmarks/results/pretraining_packing.json"),
    "tours": (tours, "benchmarks/results/pretraining_tour.json"),
    "search": (search, "benchmarks/results/pretraining_search.json"),
    "scale": (scale, "benchmarks/results/pretraining_scale.json"),
    "loading": (loading, "benchmarks/results/pretraining_loading.json"),
}
"""Marked part of the page -> what writes it, and the record that it needs."""


def main() -> None:
    """Fills the page."""
    page = PAGE.read_text(encoding="utf-8")
    for name, (write, needed) in PARTS.items():
        if (ROOT / needed).is_file():
            page = put(page, name, f"\n{write()}\n")
    PAGE.write_text(page, encoding="utf-8")
    pretraining_pictures.effective_rank(read("epsilon-rank-cpu"), PICTURE)
    (FOLDER / "README.md").write_text(write_readme.page(), encoding="utf-8")


if __name__ == "__main__":
    main()
