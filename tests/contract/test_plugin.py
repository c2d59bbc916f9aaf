"""A package of few lines adds a piece of every kind: installed by pip, found by name, used by the commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
REGISTRIES = """
import json
from seqtant.beb.behavior.scorers import SCORERS as behaviors
from seqtant.ctc import AlignWithPurpose, check_property
from seqtant.ctc.losses.properties import PROPERTIES
from seqtant.icl.prompts.tasks import TASKS
from seqtant.pretraining.retrieval.encoders import ENCODERS
from seqtant.quantum.operators.hamiltonians import HAMILTONIANS
from seqtant.steering.applying.generation import SCORERS

found = [behaviors["thanks"], SCORERS["thanks"], TASKS["first"], ENCODERS["letters"], HAMILTONIANS["yy"]]
checked = check_property(PROPERTIES["early-start"](), paths=2000)
print(json.dumps({"modules": [each.__module__ for each in found], "tried": checked.paths, "changed": checked.changed,
                  "violations": checked.violations, "terms": AlignWithPurpose(["early-start"]).names}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example package is installed in, without a network."""
    pytest.importorskip("setuptools", reason="the example package is built by setuptools")
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(ROOT / "examples" / "plugin", folder / "source")
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "install", *offline, "--target", str(folder / "site"), str(source)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(path for path in (str(site), os.environ.get("PYTHONPATH", "")) if path)
    settings = os.environ | {"PYTHONPATH": paths}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=settings, capture_output=True, text=True, check=False
    )


def values(site: Path, folder: Path, *arguments: str) -> dict[str, Any]:
    done = run(site, folder, "-m", "seqtant", *arguments, "--json")
    assert done.returncode in {0, 3}, done.stderr
    return json.loads(done.stdout)["values"]


def test_the_package_is_as_short_as_it_says() -> None:
    lines = (ROOT / "examples" / "plugin" / "seqtant_plugin.py").read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line.strip() and not line.lstrip().startswith(('"""', "#", "import", "from"))]
    assert len(code) <= 40


def test_every_registry_finds_what_the_package_adds(site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path, "-c", REGISTRIES)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["modules"]) == {"seqtant_plugin"}
    assert (found["violations"], found["terms"]) == ({}, ["early-start"])
    assert 0 < found["changed"] < found["tried"]


def test_a_command_takes_the_hamiltonian(site: Path, tmp_path: Path) -> None:
    # Turned about x it is the Ising model without a field: one J for each of the 24 bonds of an open 4 x 4 lattice.
    found = values(site, tmp_path, "quantum", "exact", "--hamiltonian", "yy", "--lattice", "4x4")
    assert found["energy"] == pytest.approx(-24)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "icl shots --tasks first --tasks second",
        "steering sweep --scorer thanks",
        "pretraining build --encoder letters",
        "beb curve --scorer thanks --set prompts=8 --set sentences=4",
    ],
)
def test_commands_take_tasks_scorers_and_encoders(command: str, site: Path, tmp_path: Path) -> None:
    assert values(site, tmp_path, *command.split(), "--preset", "smoke")


def test_without_the_package_the_name_is_unknown(tmp_path: Path) -> None:
    done = run(tmp_path, tmp_path, "-m", "seqtant", "quantum", "exact", "--hamiltonian", "yy")
    assert done.returncode == 2
    assert "unknown Hamiltonian 'yy'" in done.stderr
