"""The checkup's course: sections that answer, fail, have nothing to say, and are taken up again."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from seqtant import cli
from seqtant._checkup import checkup as module
from seqtant._checkup import training
from seqtant._checkup.checkup import checkup
from seqtant._checkup.config import CheckupConfig
from seqtant._checkup.inputs import gather
from seqtant._checkup.training import is_untrained, texts_of
from seqtant.errors import InputError, MissingExtraError, NothingToSayError
from seqtant.findings import Estimate, Result
from seqtant.lm import load
from seqtant.runs.recorder import Context, Recorder
from seqtant.sources import locate

Check = Callable[..., Result]


@dataclass
class Package:
    """A package whose check is given."""

    name: str
    check: Check
    question: str = "Is it so?"
    papers: tuple[int, ...] = (8,)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, model: str, context: Context, **inputs: Any) -> Result:
        self.asked.append({"model": model} | inputs)
        return self.check(model, context)


def answer(model: str, context: Context) -> Result:
    """0.5 and 0.7 for two items; a model called ``better`` gets 0.1 more on each."""
    more = 0.1 if model == "lab/better" else 0.0
    with Recorder("icl.shots", "Shots", CheckupConfig(model=model), context) as record:
        record.value("accuracy", 0.6 + more)
        record.items("accuracy_after_examples", [0.5 + more, 0.7 + more])
        found = Estimate(value=0.6 + more, low=0.4 + more, high=0.8 + more, method="t")
        record.finding("accuracy", "Is it right?", "agrees", "Often.", measured=found)
    return record.result


def failing(model: str, context: Context) -> Result:
    raise RuntimeError("the tensor\nbroke")


def silent(model: str, context: Context) -> Result:
    raise NothingToSayError("give --tasks FILE")


def lacking(model: str, context: Context) -> Result:
    raise MissingExtraError("pip install 'seqtant[peft]'")


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Package]]:
    def install(*checks: Check) -> list[Package]:
        names = ("icl", "beb", "steering", "subtasks")
        made = [Package(name, check) for name, check in zip(names, checks, strict=False)]
        monkeypatch.setattr(module, "chosen", lambda config: made)
        monkeypatch.setattr(module, "check_of", lambda package: package.answer)
        monkeypatch.setattr(training, "is_untrained", lambda *given: False)
        return made

    return install


def test_a_section_that_fails_says_why_and_the_others_go_on(packages: Callable[..., list[Package]]) -> None:
    packages(failing, answer, silent, lacking)
    result = checkup.run(CheckupConfig(model="lab/some"))
    failed, sound = result.parts
    assert failed.status == "failed"
    assert failed.warnings == ("icl failed: RuntimeError: the tensor broke",)
    assert sound.status == "ok"
    assert result.values == {"beb_accuracy": 0.6}
    (table,) = result.tables
    assert [row[0] for row in table.rows] == ["steering", "subtasks"]
    assert table.rows[0][2] == "give --tasks FILE"


def test_what_was_finished_before_a_kill_is_not_run_again(
    packages: Callable[..., list[Package]], tmp_path: Path
) -> None:
    def killed(model: str, context: Context) -> Result:
        raise KeyboardInterrupt

    context = Context(folder=tmp_path)
    packages(answer, killed)
    with pytest.raises(KeyboardInterrupt):
        checkup.run(CheckupConfig(model="lab/some"), context)
    first, second = packages(answer, answer)
    result = checkup.run(CheckupConfig(model="lab/some"), context)
    assert not first.asked
    assert len(second.asked) == 1
    assert len(result.parts) == 2
    again, _ = packages(answer, answer)
    checkup.run(CheckupConfig(model="lab/some"), context)
    assert again.asked, "a finished checkup starts anew"


@pytest.mark.parametrize("change", [{"seed": 1}, {"budget": 0.1}, {"model": "lab/other"}])
def test_a_changed_question_is_asked_anew(
    packages: Callable[..., list[Package]], tmp_path: Path, change: dict[str, Any]
) -> None:
    def killed(model: str, context: Context) -> Result:
        raise KeyboardInterrupt

    packages(answer, killed)
    with pytest.raises(KeyboardInterrupt):
        checkup.run(CheckupConfig(model="lab/some"), Context(folder=tmp_path))
    first, _ = packages(answer, answer)
    seed = change.pop("seed", 0)
    checkup.run(CheckupConfig(**({"model": "lab/some"} | change)), Context(folder=tmp_path, seed=seed))
    assert first.asked


def test_sections_are_told_the_budget_and_the_files(packages: Callable[..., list[Package]], tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    file.write_text('{"positive": "a", "negative": "b"}\n', encoding="utf-8")
    (package,) = packages(answer)
    checkup.run(CheckupConfig(model="lab/some", behavior=str(file), budget=0.02), Context(folder=tmp_path / "out"))
    assert package.asked[0]["budget"] == 0.02
    assert Path(package.asked[0]["pairs"]).read_text(encoding="utf-8") == file.read_text(encoding="utf-8")


def test_two_models_are_compared_item_by_item(packages: Callable[..., list[Package]], tmp_path: Path) -> None:
    packages(answer)
    result = checkup.run(CheckupConfig(compare=("lab/plain", "lab/better")), Context(folder=tmp_path))
    (found,) = result.findings
    assert found.measured is not None
    assert found.measured.value == pytest.approx(0.1)
    assert found.measured.low == pytest.approx(0.1), "the items differ by 0.1 each: no spread"
    assert found.verdict == "disagrees"
    assert [part.parts[0].values["accuracy"] for part in result.parts] == pytest.approx([0.6, 0.7])
    same = checkup.run(CheckupConfig(compare=("lab/plain", "lab/other")))
    assert same.findings[0].verdict == "agrees"


def test_a_gate_is_read_before_anything_runs_and_becomes_a_part(
    packages: Callable[..., list[Package]], tmp_path: Path
) -> None:
    (package,) = packages(answer)
    with pytest.raises(InputError):
        checkup("lab/some", gate=tmp_path / "none.yaml")
    assert not package.asked
    gate = tmp_path / "gate.yaml"
    gate.write_text("icl: {accuracy: {least: 0.3}}", encoding="utf-8")
    result = checkup("lab/some", gate=gate)
    same = checkup("lab/some", gate={"icl": {"accuracy": {"least": 0.3}}})
    assert same.parts[-1].findings == result.parts[-1].findings
    assert result.parts[-1].instrument == "checkup.gate"
    assert result.parts[-1].findings[0].verdict == "agrees"
    assert package.asked


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/folder/here"], "does not exist"),
        (["my-modl"], "hub name as owner/name"),
        (["--only", "stering"], "did you mean 'steering'"),
        (["--only", "icl", "--skip", "icl"], "no instrument is left"),
        (["--budget", "2"], "budget is 2"),
        (["--compare", "a", "a"], "twice"),
        (["reference", "--compare", "a", "b"], "name one model"),
        (["--gate", "none.yaml"], "none.yaml"),
        (["--behavior", "none.jsonl"], "none.jsonl"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.call(["checkup", *arguments, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told


def test_the_shape_alone_is_read_off_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12}')
    result = checkup.run(CheckupConfig(model=str(tmp_path), only=("architecture",)))
    assert result.values["architecture_parameters"] == 124_439_808
    command = result.parts[0].command
    assert command == f"seqtant architecture audit --set model={tmp_path}", "what makes the section again"
    with pytest.raises(InputError, match="weights"):
        checkup.run(CheckupConfig(model=str(tmp_path)))


def test_a_random_network_is_called_one_and_asked_nothing_more(tmp_path: Path) -> None:
    rows = [{"prompt": "the dog lives in the", "options": ["a word of it", "another"], "answer": 0}] * 12
    rows = [
        row | {"prompt": f"{row['prompt']} house number {place} and likes it there"} for place, row in enumerate(rows)
    ]
    tokenizer = load("reference", device="cpu").tokenizer
    torch.manual_seed(0)
    config = load("reference", device="cpu").model.config
    network = LlamaForCausalLM(config)
    result = checkup((network, tokenizer), behavior=rows, only=("architecture", "steering"), out=tmp_path)
    (finding,) = [each for each in result.findings if each.key == "trained"]
    assert finding.verdict == "disagrees"
    assert finding.predicted is not None
    assert finding.predicted.value == pytest.approx(math.log(config.vocab_size))
    assert [part.instrument for part in result.parts] == ["architecture.audit"]
    assert [row[2] for table in result.tables if table.name == "unasked" for row in table.rows] == ["a trained model"]


def test_a_trained_network_under_another_name_is_asked(tmp_path: Path) -> None:
    folder = shutil.copytree(locate("reference") or Path(), tmp_path / "mine")
    rows = tmp_path / "behavior.jsonl"
    text = [{"text": f"the fox lives in the valley and the owl lives in the forest {place}"} for place in range(20)]
    rows.write_text("".join(json.dumps(row) + "\n" for row in text), encoding="utf-8")
    with Recorder("checkup", "Checkup", CheckupConfig(), Context(device="cpu")) as record:
        inputs = gather(tmp_path / "inputs", behavior=str(rows))
        assert not is_untrained(str(folder), inputs, Context(device="cpu"), record)
    assert record.result.findings == ()


def test_a_corpus_in_a_folder_is_read_by_its_own_reader(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    document = "the fox lives in the valley and likes it there " * 60
    (tmp_path / "texts" / "first.txt").write_text(document, encoding="utf-8")
    assert list(texts_of({"corpus": (str(tmp_path / "texts"),)})) == [document[:2000]]
