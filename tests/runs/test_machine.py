"""What an installation has is told as it is."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from seqtant.lm.loading import pick_device
from seqtant.runs import recorder as machine


def test_the_description_is_complete() -> None:
    facts = machine.describe()
    assert facts["environment"]["torch"]
    assert facts["device"].split()[0] in {"cpu", "cuda"}
    assert facts["store_problem"] == ""
    assert Path(facts["store"]).is_file()


def test_extras_name_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        if name == "faiss-cpu":
            raise PackageNotFoundError(name)
        return {"sentence-transformers": "5.1", "peft": "0.1"}[name]

    wanted = [
        "torch>=2",
        'faiss-cpu>=1.12 ; extra == "retrieval"',
        'sentence-transformers>=5 ; extra == "retrieval"',
        "peft>=0.18; extra == 'peft'",
    ]
    monkeypatch.setattr(machine, "requires", lambda package: wanted)
    monkeypatch.setattr(machine, "version", installed)
    assert machine.extras() == {"retrieval": ["faiss-cpu"], "peft": ["peft"]}


@pytest.mark.parametrize(
    ("cuda", "mps", "told"),
    [(True, False, "cuda (a card)"), (False, True, "cpu (mps for training)"), (False, False, "cpu")],
)
def test_the_device_told_is_the_one_that_auto_picks(
    cuda: bool, mps: bool, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a card")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert machine.device() == told
    assert pick_device("auto").type == told.split(maxsplit=1)[0]


def test_a_store_that_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEQTANT_HOME", str(tmp_path / "file"))
    assert "cannot use" in machine.describe()["store_problem"]


def test_the_first_browser_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name.startswith("google") else None)
    assert machine.find_browser() == "/bin/google-chrome"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert machine.find_browser() is None
