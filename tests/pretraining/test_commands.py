"""The verbs as a user calls them: values that others read, and bad input told in one line with exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seqtant import cli
from tests.pretraining.samples import topical_documents, write_jsonl


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict]:
    code = cli.call(["pretraining", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)["values"]


def test_pack_reads_lengths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lengths = np.random.default_rng(0).integers(1, 5000, 500)
    (tmp_path / "lengths.json").write_text(json.dumps(lengths.tolist()))
    arguments = ("pack", str(tmp_path / "lengths.json"), "--window", "2048", "--strategy", "best-fit")
    code, values = call(capsys, *arguments)
    assert code == 0
    assert values["tokens_kept"] == lengths.sum()
    assert values["documents_cut"] == (lengths > 2048).sum()
    assert values["fill"] == pytest.approx(values["tokens_kept"] / values["sequences"] / 2048)
    assert values["sequences"] >= -(-lengths.sum() // 2048)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "holds no list of lengths"),
        ("{}", "holds no list of lengths"),
        ("[3, -1]", "entry 1, is -1"),
        ("[3, 1.5]", "entry 1, is 1.5"),
        ("[3, NaN]", "entry 1, is nan"),
        ("[true]", "entry 0, is True"),
        ("[0, 0]", "empty documents only"),
        ("no json", "is not JSON"),
    ],
)
def test_lengths_that_are_none(tmp_path: Path, content: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lengths.json").write_text(content)
    assert cli.call(["pretraining", "pack", str(tmp_path / "lengths.json")]) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1


def test_build_then_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(60))
    flags = ("--tokenizer", "bytes", "--window", "256", "--set", "embed.dimension=8", "--set", "segment.longest=200")
    out = tmp_path / "out"
    code, values = call(capsys, "build", str(corpus), *flags, "--set", "filter.most_similar=0.999", "--out", str(out))
    assert code == 0
    assert values["examples"] > 10
    assert 0 <= values["near_duplicate_share"] <= 1
    assert values["same_document_share"] < 0.2
    assert values["recall"] == 1
    assert (out / "report.html").is_file()
    code, again = call(capsys, "audit", str(out))
    assert code == 0
    assert {name: again[name] for name in ("examples", "tokens", "same_document_share")} == {
        name: values[name] for name in ("examples", "tokens", "same_document_share")
    }


def test_audit_proves_that_segments_see_each_other(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    tokenizer = Path(__file__).parents[2] / "src" / "seqtant" / "reference" / "weights"
    code, _ = call(capsys, "build", "--tokenizer", str(tokenizer), "--window", "64", "--arm", "knn", "--out", str(out))
    assert code == 0
    code, values = call(capsys, "audit", str(out), "--model", "reference")
    assert code == 0
    assert values["anchor_logit_change"] > 0.01


def test_bias_of_the_reference_model(capsys: pytest.CaptureFixture[str]) -> None:
    code, values = call(capsys, "bias", "reference", "--pairs", "12")
    assert code == 0
    assert values["gain_in_context"] > values["gain_sequential"]
    assert values["gain_in_context"] > values["gain_in_context_random"]


def test_deficit_grows_with_depth(capsys: pytest.CaptureFixture[str]) -> None:
    deficits = [call(capsys, "deficit", "--depth", depth)[1]["depth_deficit"] for depth in ("4", "12", "48")]
    assert np.diff(deficits).tolist() == pytest.approx([8, 36])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "nothing.txt"], "no corpus 'nothing.txt'"),
        (["build", "--window", "3"], "window is 3"),
        (["build", "--arm", "knn", "--arm", "knn"], "each once"),
        (["build", "--set", "filter.kk=3"], "unknown key"),
        (["build", "--encoder", "nothing"], "no encoder 'nothing'"),
        (["build", "--set", "segment.vocabulary=256"], "vocabulary is 256: give a whole number of at least 257"),
        (["build", "--tokenizer", "nowhere"], "no tokenizer"),
        (["audit", "nowhere"], "holds no manifest.json"),
        (["bias", "/nowhere/at/all"], "does not exist"),
        (["bias", "--pairs", "2"], "pairs is 2"),
        (["deficit", "--step", "2"], "step is 2.0: give a number below 1"),
        (["epsilon-rank", "--heads", "3"], "must divide"),
        (["epsilon-rank", "--texts", "100000"], "texts is 100000: give a number of at most 2000"),
        (["epsilon-rank", "--width", "4096"], "width 4096: the gradients of all texts take 215 GB"),
        (["compose", "--seeds", "0"], "seeds is 0"),
        (["compare-arms", "nowhere"], "holds no manifest.json"),
        (["tapt", "--pairs", "none.jsonl"], "no file"),
        (["tapt", "--model", "nowhere"], "holds no config.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.call(["pretraining", *arguments]) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert "Traceback" not in complaint
    assert complaint.strip().count("\n") == 0


@pytest.mark.parametrize(
    "flags",
    [("--encoder", "nothing"), ("--encoder", "no.module:there"), ("--tokenizer", "nowhere")],
    ids=" ".join,
)
def test_a_tool_that_is_not_there_is_refused_before_any_work(flags: tuple[str, str], tmp_path: Path) -> None:
    assert cli.call(["pretraining", "build", *flags, "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_compare_arms_needs_held_out_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "build", "--window", "64", "--arm", "knn", "--arm", "split", "--out", str(tmp_path / "out"))
    assert cli.call(["pretraining", "compare-arms", str(tmp_path / "out"), "--arm", "knn", "--arm", "split"]) == 2
    assert "segment.hold_out=10" in capsys.readouterr().err
