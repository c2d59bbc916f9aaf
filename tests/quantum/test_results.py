"""The kept runs: no energy below an exact one, and pages and figures that say what the records say."""

import importlib.util
import sys
from pathlib import Path

import pytest

from seqtant.experiments.recipes import find_recipe
from seqtant.findings import Result, from_json

FOLDER = Path(__file__).parents[2] / "results" / "quantum"
RECORDS = {path.stem: path for path in sorted(FOLDER.glob("*.json"))}


def read(name):
    return from_json(Result, RECORDS[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RECORDS)
def test_energies_lie_above_exact_ones_and_records_are_small(name):
    record = read(name)
    assert RECORDS[name].stat().st_size < 200_000
    assert not record.environment["commit"].endswith("dirty")
    exact = record.values.get("exact_energy_per_site")
    if record.instrument == "quantum.ground-state" and exact is not None:
        gap = record.values["energy_per_site"] - exact
        assert gap >= -3 * record.values["energy_error"] - 1e-9


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_frustrated_square_is_reached_from_every_seed(seed):
    record = read(f"frustrated-periodic-{seed}")
    assert record.seed == seed
    assert "--steps" not in record.command
    assert record.values["relative_error"] < 2e-3


def test_the_recipe_of_sampling_expects_what_the_record_says():
    record = read("sampling")
    expected = find_recipe("quantum/sampling").expected
    for field, digits in (("3", ".1f"), ("2", ".1f"), ("1_5", ".0f"), ("1", ",.0f")):
        assert format(record.values[f"relaxation_sweeps_field_{field}"], digits) in expected


def test_pages_and_figures_are_written_from_the_records(monkeypatch):
    monkeypatch.setitem(sys.modules, "drawings", None)
    del sys.modules["drawings"]
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("quantum_write_pages", FOLDER / "write_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stale = [str(path) for path, text in module.pages().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run python results/quantum/write_pages.py"
    assert all(path.stat().st_size < 300_000 for path in module.pages() if path.suffix == ".svg")
