"""Every verb makes a sound record, draws figures that speak, and its command prints JSON with the promised names."""

import json
import shlex

import pytest
from safetensors.torch import load_file

from seqtant import cli
from seqtant.errors import InputError
from seqtant.findings import Result, from_json, to_json
from seqtant.instruments import configs, figures, run
from seqtant.quantum.config import (
    BenchmarkConfig,
    CompareSamplingConfig,
    ExactConfig,
    ObserveConfig,
    SampleConfig,
)
from seqtant.quantum.instruments.exact import Reference, find_reference
from seqtant.quantum.instruments.ground_state import judge, lies_above
from seqtant.quantum.training.systems import System
from seqtant.runs.recorder import Context
from seqtant.settings import build, plain, to_yaml

CONFIGS = configs("quantum")
DRAWN = {"ground-state", "observe", "transfer", "compare-sampling", "benchmark"}


@pytest.mark.parametrize("verb", CONFIGS)
def test_smoke_runs_are_sound_and_repeatable(verb, tmp_path):
    config = CONFIGS[verb].smoke()
    first = run(config, Context(seed=1, device="cpu", folder=tmp_path / "one"))
    assert first.instrument == f"quantum.{verb}"
    assert first.values
    assert first.findings
    assert from_json(Result, to_json(first)) == first
    drawn = figures(first)
    assert bool(drawn) == (verb in DRAWN)
    for figure in drawn:
        assert figure.alt
        assert figure.table.rows
    if verb == "benchmark":
        return  # its values are times
    second = run(config, Context(seed=1, device="cpu", folder=tmp_path / "two"))
    timed = ("seconds", "per_second")
    same = {k: v for k, v in first.values.items() if not any(word in k for word in timed)}
    assert same == {k: second.values[k] for k in same}


@pytest.mark.parametrize("verb", CONFIGS)
def test_settings_round_trip_through_yaml(verb):
    import yaml

    config = CONFIGS[verb].smoke()
    assert build(CONFIGS[verb], yaml.safe_load(to_yaml(config))) == config
    assert build(CONFIGS[verb], plain(config)) == config


def test_the_ground_state_command_prints_the_promised_values(capsys, tmp_path):
    line = "ground-state --hamiltonian tfim --lattice 3x3 --field 3.0 --steps 8 --samples 64 --json --device cpu"
    assert cli.call(["quantum", *shlex.split(line), "--out", str(tmp_path)]) == 0
    values = json.loads(capsys.readouterr().out)["values"]
    promised = {
        "energy_per_site",
        "energy_error",
        "exact_energy_per_site",
        "relative_error",
        "variance",
        "seconds_per_step",
    }
    assert promised <= values.keys()
    assert values["exact_energy_per_site"] == pytest.approx(-28.074198890889 / 9)


def test_the_exact_command_prints_the_literature_value(capsys):
    assert cli.call(shlex.split("quantum exact --hamiltonian heisenberg --lattice 4x4 --boundary periodic --json")) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["values"]["energy_per_site"] == pytest.approx(-0.7017802005268, abs=1e-10)
    assert "H = J sum S.S" in out["findings"][0]["summary"]


@pytest.mark.parametrize(
    ("settings", "energy", "exact"),
    [
        ({"lattice": "64"}, -81.125980123144, True),
        ({"lattice": "6x6", "field": 3.0}, -113.5721223975, True),
        ({"lattice": "12x12", "field": 2.0}, -346.9817926, False),
        ({"hamiltonian": "heisenberg", "lattice": "10x10", "boundary": "periodic"}, -268.61976 / 4, False),
    ],
)
def test_references_for_lattices_that_cannot_be_diagonalized(settings, energy, exact):
    found = find_reference(System.of(ExactConfig(**settings)))
    assert found.energy == pytest.approx(energy, rel=1e-10)
    assert found.exact == exact
    assert found.source


def test_the_table_of_references_agrees_with_diagonalization_where_both_exist():
    import yaml

    from seqtant.quantum.exact import diagonalize
    from seqtant.quantum.instruments.exact import TABLE

    rows = yaml.safe_load(TABLE.read_text(encoding="utf-8"))["energies"]
    assert rows
    assert all({"hamiltonian", "lattice", "boundary", "energy", "exact", "source"} <= row.keys() for row in rows)
    chain = System.of(ExactConfig(lattice="12", field=0.8, boundary="periodic"))
    found = find_reference(chain)
    assert "free fermions" in found.source
    assert found.energy == pytest.approx(diagonalize(chain.pauli).energy, abs=1e-9)


def test_what_nobody_knows_is_told_in_one_line():
    with pytest.raises(InputError, match="no exact energy is known"):
        run(ExactConfig(hamiltonian="xxz", lattice="8x8"), Context())


def test_verdicts():
    exact, bound = Reference(-100.0, 0.0, True, "x"), Reference(-100.0, 0.0, False, "x")
    assert judge(0.01, 0.001, exact)[0] == "agrees"
    assert judge(-1.0, 0.001, exact)[0] == "disagrees"
    assert judge(5.0, 0.1, exact)[0] == "disagrees"
    assert judge(0.2, 0.1, exact)[0] == "inconclusive"
    assert judge(-0.05, 0.01, bound)[0] == "agrees"
    statuses = [
        lies_above(gap, 0.01, reference).status for gap, reference in ((0.1, exact), (-0.1, exact), (-0.1, bound))
    ]
    assert statuses == ["holds", "fails", "not checked"]


def test_samples_are_written_whole(tmp_path):
    path = tmp_path / "samples.safetensors"
    run(SampleConfig(samples=100, file=str(path)), Context(seed=2, device="cpu"))
    tensors = load_file(path)
    assert int(tensors["counts"].sum()) == 100
    assert tensors["spins"].shape == (len(tensors["counts"]), 16)
    assert (tensors["log_prob"] < 0).all()
    assert [p.name for p in tmp_path.iterdir()] == ["samples.safetensors"]


def test_observables_of_the_shipped_state_are_near_exact():
    result = run(ObserveConfig(samples=512, symmetrize=False), Context(seed=2, device="cpu"))
    assert result.values["fidelity"] > 0.999
    assert result.values["energy_per_site"] == pytest.approx(-3.136663992673544, abs=1e-3)
    assert result.values["v_score"] < 1e-3


def test_metropolis_is_slower_deep_in_the_ordered_phase():
    config = CompareSamplingConfig(lattice="2x3", fields=(0.7, 3.0), samples=300, repeats=6)
    values = run(config, Context(seed=1)).values
    assert values["relaxation_sweeps_field_0_7"] > 5 * values["relaxation_sweeps_field_3"]
    with pytest.raises(InputError, match="too many"):
        run(CompareSamplingConfig(lattice="5x5"), Context())


def test_counted_cost_grows_faster_than_linearly():
    result = run(BenchmarkConfig.smoke(), Context(seed=1, device="cpu"))
    assert 1 < result.values["slope_counted"] < 2.2


def test_print_config_stops_before_running(capsys):
    assert cli.call(["quantum", "exact", "--print-config"]) == 0
    assert "hamiltonian: tfim" in capsys.readouterr().out
