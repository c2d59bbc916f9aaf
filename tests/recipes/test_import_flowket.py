"""The script that reads the published weights: what it writes in the official layout it reads back, and files that hold
something else are refused in one line."""

from __future__ import annotations

import json
import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from seqtant import quantum
from seqtant.errors import InputError, MissingExtraError
from seqtant.findings import Result
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.stacks import paper_two_stack

HAS_H5PY = find_spec("h5py") is not None
NEEDS_H5PY = pytest.mark.skipif(not HAS_H5PY, reason="h5py is not installed: pip install 'seqtant[quantum]'")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "recipes" / "quantum" / "import_flowket.py"))


def written(script: dict[str, Any], path: Path, outputs: int) -> CausalState:
    network = CausalNetwork(paper_two_stack(4, 6, outputs), (3, 4), torch.Generator().manual_seed(5), "both")
    state = CausalState(network, "complex" if outputs == 4 else "positive")
    script["write_flowket"](state, path)
    return state


@NEEDS_H5PY
@pytest.mark.parametrize("outputs", [2, 4])
def test_official_weights_are_read_as_they_were_written(script: dict[str, Any], tmp_path: Path, outputs: int) -> None:
    state = written(script, tmp_path / "w.h5", outputs)
    found = script["read_flowket"](tmp_path / "w.h5", (3, 4))
    spins = state.sample(20, torch.Generator().manual_seed(1))
    for one, other in zip(state.log_psi(spins), found.log_psi(spins), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@NEEDS_H5PY
def test_an_imported_state_is_a_trained_state(
    script: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = written(script, tmp_path / "w.h5", 2)
    line = [str(tmp_path / "w.h5"), "--lattice", "3x4", "--field", "2.0", "--out", str(tmp_path / "state")]
    assert script["main"](line) == 0
    assert "Official weights on 3x4" in capsys.readouterr().out
    result = Result.load(tmp_path / "state" / "result.json")
    exact = quantum.evaluate(state, quantum.transverse_ising("3x4", field=2.0))
    assert result.values["energy"] == pytest.approx(exact.total, abs=1e-4)
    assert result.values["variance"] == pytest.approx(exact.variance, rel=1e-4)
    observed = quantum.observe(str(tmp_path / "state"), symmetrize=False, device="cpu")
    assert observed.values["energy_per_site"] == pytest.approx(result.values["energy_per_site"], abs=1e-9)
    assert json.loads((tmp_path / "state" / "state.json").read_text())["network"]["depth"] == 4


@NEEDS_H5PY
def test_without_weights_the_reader_is_checked(script: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert script["main"](["--lattice", "3x3", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    assert "round_trip_difference" in out
    assert "-2.996 (sum over all configurations) per site" in out


@NEEDS_H5PY
def test_files_that_hold_no_official_weights(script: dict[str, Any], tmp_path: Path) -> None:
    import h5py

    (tmp_path / "text.h5").write_text("not HDF5", encoding="utf-8")
    with pytest.raises(InputError, match="not an HDF5 file"):
        script["read_flowket"](tmp_path / "text.h5", (2, 2))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dense/dense/kernel:0"] = [[1.0]]
    with pytest.raises(InputError, match="official layout"):
        script["read_flowket"](tmp_path / "other.h5", (2, 2))


@pytest.mark.skipif(HAS_H5PY, reason="h5py is installed, so nothing is missing")
def test_without_h5py_the_install_line_is_told(script: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    with pytest.raises(MissingExtraError, match=r"pip install 'seqtant\[quantum\]'"):
        script["read_flowket"](tmp_path / "w.h5", (2, 2))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["nowhere.h5"], "no file 'nowhere.h5'"),
        (["--lattice", "4by4"], "lattice"),
        (["--field", "strong"], "field"),
        (["--boundary", "closed"], "boundary"),
        (["--hamiltonian", "ising"], "ising"),
        (["--seed", "-1"], "seed is -1"),
    ],
)
def test_bad_input_is_told_in_one_line(
    script: dict[str, Any], capsys: pytest.CaptureFixture[str], line: list[str], told: str
) -> None:
    assert script["main"](line) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert told in captured.err
    assert captured.err.count("\n") == 1
