"""Writes README.md of this folder, the tables of the quantum pages and their figures from records: nothing is typed.

Run it as ``python results/quantum/write_pages.py`` after adding or replacing a record.
"""

from __future__ import annotations

import sys
from pathlib import Path

from seqtant.experiments.claims import read_claims
from seqtant.findings import Result, from_json
from seqtant.report.markdown import put
from seqtant.report.terminal import to_markdown

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PAGE = ROOT / "docs" / "instruments" / "quantum.md"
RECIPES = ROOT / "recipes" / "quantum" / "README.md"
IMAGES = ROOT / "docs" / "images" / "quantum"
STEP_COST = ROOT / "benchmarks" / "results" / "quantum_step_cost.json"
LARGEST_EXACT = 64
"""Spins up to which the reference is exact enough for the table of relative errors."""
MAPS = {"correlations-ising": "Ising at field 3", "correlations-heisenberg": "Heisenberg"}
sys.path.insert(0, str(FOLDER))
import drawings  # noqa: E402


def records() -> dict[str, Result]:
    """The records by name."""
    return {path.stem: read(path) for path in sorted(FOLDER.glob("*.json"))}


def read(path: Path) -> Result:
    """One record."""
    return from_json(Result, path.read_text(encoding="utf-8"))


def readme(found: dict[str, Result]) -> str:
    """Every record: how it was made, what it found, its tables."""
    parts = ["# Runs of the quantum package\n\nWritten by `write_pages.py` from the records in this folder."]
    for name, record in found.items():
        made = (
            f"`{record.command}`, {record.created[:10]}, torch {record.environment.get('torch', '?')}, "
            f"{record.cpu_seconds:.0f} s of CPU, {record.wall_seconds:.0f} s by the clock"
        )
        findings = [f"- **{f.verdict}**: {f.question} {f.summary}" for f in record.findings]
        warnings = [f"- warning: {warning}" for warning in record.warnings]
        tables = [f"{table.title}:\n\n{to_markdown(table)}" for table in record.tables]
        parts.append("\n\n".join([f"## {name}", f"{record.title}. {made}.", "\n".join(findings + warnings), *tables]))
    return "\n\n".join(parts) + "\n"


def ground_states(found: dict[str, Result], small: bool) -> list[Result]:
    """Runs of the verb ground-state: those with an exact reference, or the larger ones."""
    kept = [r for r in found.values() if r.instrument == "quantum.ground-state"]
    return sorted((r for r in kept if _is_small(r) == small), key=_order)


def _is_small(record: Result) -> bool:
    return _sites(record) <= LARGEST_EXACT


def _sites(record: Result) -> int:
    return round(record.values["energy"] / record.values["energy_per_site"])


def _order(record: Result) -> tuple[object, ...]:
    c = record.config
    names = ("tfim", "heisenberg", "j1j2")
    return (
        names.index(c["hamiltonian"]),
        "x" not in c["lattice"],
        _sites(record),
        c["field"],
        c["boundary"],
        record.seed,
    )


def name_of(record: Result) -> str:
    """The system in words."""
    c = record.config
    kinds = {
        "tfim": f"Ising, field {c['field']:g}",
        "heisenberg": "Heisenberg",
        "j1j2": f"J1-J2 at {c['second_coupling']:g}",
    }
    shape = c["lattice"].replace("x", " x ") if "x" in c["lattice"] else f"chain of {c['lattice']}"
    return f"{kinds[c['hamiltonian']]}, {shape}, {c['boundary']}, seed {record.seed}"


def energies(found: dict[str, Result]) -> str:
    """One row per run against an exact energy."""
    rows = [
        "| system | steps | configurations per step | energy per site | exact | relative error "
        "| standard error, relative | CPU seconds | by the clock |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for record in ground_states(found, small=True):
        v = record.values
        exact = float(v["exact_energy_per_site"])
        steps = record.series("energy_per_site")
        summed = record.config["samples"] == "all" or "none was drawn" in record.findings[0].summary
        drawn = "all" if summed else _drawn(record)
        noise = "summed" if v["energy_error"] == 0 else f"{v['energy_error'] / abs(exact):.1e}"
        rows.append(
            f"| {name_of(record)} | {len(steps)} | {drawn} | {v['energy_per_site']:.7f} | {exact:.7f} | "
            f"{v['relative_error']:.1e} | {noise} | {record.cpu_seconds:.0f} | {record.wall_seconds:.0f} |"
        )
    return "\n".join(rows)


def _drawn(record: Result) -> str:
    return f"{round(record.values['samples_per_second'] * record.values['seconds_per_step'])}"


def larger(found: dict[str, Result]) -> str:
    """One row per larger run, beside published energies and references."""
    rows = [
        "| system | steps | configurations per step | energy per site | standard error | published state | reference | "
        "above the reference, relative | source of the reference | configurations per second | CPU minutes |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for record in ground_states(found, small=False):
        v, predicted = record.values, record.findings[0].predicted
        beside = "- | - | -"
        if predicted is not None:
            beside = f"{v['exact_energy_per_site']:.6f} | {v['relative_error']:.1e} | {predicted.method}"
        rows.append(
            f"| {name_of(record)} | {len(record.series('energy_per_site'))} | {_drawn(record)} | "
            f"{v['energy_per_site']:.6f} | {v['energy_error']:.1e} | {published(record)} | {beside} | "
            f"{v['samples_per_second']:.0f} | {record.cpu_seconds / 60:.1f} |"
        )
    return "\n".join(rows)


def published(record: Result) -> str:
    """Energy per site of the published state of the same system, from the table of claims."""
    names = ("hamiltonian", "lattice", "field", "boundary")
    for claim in read_claims(only="quantum"):
        same = all(record.config[name] == claim.config.get(name, record.config[name]) for name in names)
        if claim.scale == "gpu" and claim.value == "energy_per_site" and same and claim.source != "memory":
            return f"{claim.published:.6f}"
    return "-"


def sampling(found: dict[str, Result]) -> str:
    """Autocorrelation and errors of both ways of sampling."""
    table = found["sampling"].tables[0]
    return f"{to_markdown(table)}\n\n{table.note[0].upper()}{table.note[1:]}."


def step_cost() -> str:
    """Seconds and counted operations by size."""
    record = read(STEP_COST)
    v = record.values
    slopes = f"Measured seconds grow like N^{v['slope_of_seconds']:.2f}"
    counted = f"counted multiplications like N^{v['slope_counted']:.2f}"
    return f"{slopes}, {counted}.\n\n{to_markdown(record.tables[0])}"


def pages() -> dict[Path, str]:
    """Everything that this script writes."""
    found = records()
    page = PAGE.read_text(encoding="utf-8")
    tables = {
        "energies": energies(found),
        "larger": larger(found),
        "sampling": sampling(found),
        "step cost": step_cost(),
    }
    for name, table in tables.items():
        page = put(page, name, f"\n{table}\n")
    recipes = RECIPES.read_text(encoding="utf-8")
    for name in ("energies", "larger"):
        recipes = put(recipes, name, f"\n{tables[name]}\n")
    shown = [("6 x 6 Ising at field 3", found["ising-6x6"]), ("4 x 4 J1-J2 at 0.5", found["frustrated-periodic-0"])]
    maps = [(title, found[name]) for name, title in MAPS.items() if name in found]
    return {
        FOLDER / "README.md": readme(found),
        PAGE: page,
        RECIPES: recipes,
        IMAGES / "sampling.svg": drawings.error_against_cost(found["sampling"], ("3", "2", "1.5")),
        IMAGES / "convergence.svg": drawings.convergence(shown),
        IMAGES / "correlations.svg": drawings.correlation_maps(maps),
        IMAGES / "step-cost.svg": drawings.step_cost(read(STEP_COST)),
    }


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    for path, content in pages().items():
        path.write_text(content, encoding="utf-8")
