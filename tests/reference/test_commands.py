"""The commands: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqtant.cli import call
from seqtant.reference.recipe import file_hashes


def test_describe_tells_the_truths(capsys: pytest.CaptureFixture[str]):
    assert call(["reference", "describe", "--sentences", "6", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["values"]["alpha"] == pytest.approx(0.05)
    assert result["values"]["log_inverse_alpha"] == pytest.approx(2.995732)
    assert [table["name"] for table in result["tables"]] == ["kinds", "personas", "lengths", "tasks", "facts"]


def test_sample_of_the_world_is_possible(capsys: pytest.CaptureFixture[str]):
    arguments = ["reference", "sample", "--source", "world", "--prompt", "story :", "--count", "3", "--json"]
    assert call(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["values"] == {"documents": 3, "possible": 3}
    assert all(row[1].startswith("story : ") for row in result["tables"][0]["rows"])
    assert call(arguments) == 0
    assert json.loads(capsys.readouterr().out)["tables"] == result["tables"]


def test_sample_of_the_model(capsys: pytest.CaptureFixture[str]):
    assert call(["reference", "sample", "--prompt", "Talk: how are", "--count", "2", "--tokens", "20"]) == 2
    assert "no word 'Talk:'" in capsys.readouterr().err
    assert call(["reference", "sample", "--prompt", "talk : how are", "--count", "2", "--tokens", "20"]) == 0
    assert "talk : how are you ?" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--preset", "smoke"], "say where with --out DIR"),
        (["check", "no/such/folder"], "no/such/folder"),
        (["sample", "--source", "world", "--prompt", "talk : the the"], "goes on with 'the'"),
        (["sample", "--source", "world", "--temperature", "0.5"], "temperature 1"),
        (["sample", "--tokens", "2", "--prompt", "talk : how are you ?"], "ask for more tokens"),
        (["describe", "--set", "negative=[angry]"], "some, not all"),
        (["train", "--set", "shape.heads=3", "--out", "x"], "must divide hidden_size"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(["reference", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_train_writes_weights_manifest_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    small = ["training.steps=6", "training.warmup=1", "training.checkpoint_every=3", "training.evaluate_every=6"]
    small += ["tokens=256", "held_out=4", "check.documents=6", "check.talks=2", "check.sentences=2", "check.games=1"]
    small += ["check.shots=[8]", "check.problems=2"]
    settings = [part for setting in small for part in ("--set", setting)]
    arguments = [
        "reference",
        "train",
        "--preset",
        "smoke",
        *settings,
        "--out",
        str(tmp_path),
        "--json",
        "--device",
        "cpu",
    ]
    assert call(arguments) == 1, "six steps cannot meet the requirements"
    result = json.loads(capsys.readouterr().out)
    manifest = json.loads((tmp_path / "weights" / "manifest.json").read_text())
    assert manifest["steps"] == result["values"]["steps"] == 6
    assert manifest["files_sha256"] == file_hashes(tmp_path / "weights")
    assert manifest["check"]["values"]["cross_entropy_gap"] > 0.05
    before = manifest["files_sha256"]["model.safetensors"]
    for folder in (tmp_path / "checkpoints").glob("step-00000006"):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert call(arguments) == 1
    again = json.loads((tmp_path / "weights" / "manifest.json").read_text())
    assert again["files_sha256"]["model.safetensors"] == before
    assert again["timed_steps"] == 3


def test_check_refuses_a_model_of_other_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from seqtant.reference.config import ShapeConfig
    from seqtant.reference.oracle import build_tokenizer
    from seqtant.reference.recipe import build_network
    from seqtant.reference.world.documents import Vocabulary

    words = Vocabulary.of(["one two three"])
    build_network(ShapeConfig(hidden_size=8, layers=1, heads=1, intermediate_size=8), words.size, 0).save_pretrained(
        tmp_path
    )
    build_tokenizer(words, context_length=16).save_pretrained(tmp_path)
    assert call(["reference", "check", str(tmp_path)]) == 2
    assert "does not know the reference world's words" in capsys.readouterr().err
