"""Every verb from its command: values that others read, files, figures, and one clear line for bad input."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from seqtant import cli, icl
from seqtant.errors import InputError, NothingToSayError
from seqtant.findings import Result, from_json
from seqtant.icl.checks import check
from seqtant.icl.config import PosteriorConfig
from seqtant.icl.scoring.evidence import ShotCurve, identified_share, resample_shots, separate, task_weights
from seqtant.icl.scoring.scores import Components
from seqtant.instruments import figures
from seqtant.runs.recorder import Context
from tests.icl.samples import byte_tokenizer, random_llama, save, word_task, word_tokenizer, write_task

SMALL = ("--set", "contexts=1", "--set", "context_shots=6", "--set", "examples=8", "--prompts", "4")


def call(*arguments: str) -> int:
    return cli.call(["icl", *arguments])


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> Result:
    assert call(*arguments, "--device", "cpu", "--json") in (0, 3)
    return from_json(Result, capsys.readouterr().out.encode())


def test_bound_names_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = "bound --c1 1 --c2 0.1 --c3 0.5 --length 20 --kl 35.156 --eps 0.05 --delta 0.05 --margin 0.8"
    values = ask(capsys, *arguments.split()).values
    assert values["shots_paper"] == pytest.approx(82.2, abs=0.1)
    assert values["shots_refined"] == pytest.approx(41.1, abs=0.1)
    assert values["threshold"] == pytest.approx(8 * math.log(10))
    assert values["vacuous"] == 0
    silent = ask(capsys, "bound", "--length", "3", "--kl", "5.27")
    assert silent.values["vacuous"] == 1
    assert silent.values["shots_paper"] == math.inf
    assert silent.findings[0].verdict == "vacuous"


def test_ginc_bayes_as_typed(capsys: pytest.CaptureFixture[str]) -> None:
    typed = ("ginc", "bayes", "--vocabulary", "50", "--example-length", "3", "--shots", "0,8", "--labels", "random")
    result = ask(capsys, *typed, "--prompts", "30", "--set", "documents=4", "--set", "document_length=64")
    assert {"accuracy_0", "accuracy_8", "cross_entropy"} <= set(result.values)
    assert figures(result)[0].table.rows


def test_ginc_make_writes_what_ginc_reads(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small = ("--documents", "2", "--prompts", "3", "--set", "document_length=64", "--set", "shots=4")
    result = ask(capsys, "ginc", "make", *small, "--out", str(tmp_path))
    assert len(result.artifacts) == 8
    line = json.loads((tmp_path / "prompts-5.jsonl").read_text().splitlines()[0])
    assert line["text"].count("/") >= 4
    assert len(line["labels"]) == 5
    again = ask(capsys, "ginc", "bayes", "--shots", "0,1", "--prompts", "4", "--set", f"parameters={tmp_path}",
                "--set", "documents=2", "--set", "document_length=32")  # fmt: skip
    assert again.values["accuracy_0"] is not None


def test_training_resumes_and_its_folder_is_evaluated(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = ask(capsys, "ginc", "train", "--preset", "smoke", "--set", "network.name=lstm", "--out", str(tmp_path))
    again = ask(capsys, "ginc", "train", "--preset", "smoke", "--set", "network.name=lstm", "--out", str(tmp_path))
    assert again.values["cross_entropy"] == result.values["cross_entropy"]
    evaluated = ask(capsys, "ginc", "eval", str(tmp_path / "model"), "--example-length", "3", "--shots", "0,1",
                    "--prompts", "10", "--set", "documents=2", "--set", "document_length=32")  # fmt: skip
    assert {"accuracy_1", "bayes_accuracy_1", "bayes_gap_1", "cross_entropy_gap"} <= set(evaluated.values)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """A random model and two tasks of one's own; the second has labels of several tokens, one empty."""
    folder = tmp_path_factory.mktemp("own")
    model = save(random_llama(word_tokenizer()), folder / "model")
    first = write_task(folder / "first.jsonl", "first", ("yes", "no"))
    second = write_task(folder / "second.jsonl", "second", (0, "", "very not"))
    return str(model), ["--tasks", str(first), "--tasks", str(second)]


def test_shots_on_tasks_of_ones_own(capsys: pytest.CaptureFixture[str], own: tuple[str, list[str]]) -> None:
    model, tasks = own
    result = ask(capsys, "shots", model, *tasks, *SMALL, "--shots", "3", "--set", "pairs=3", "--set", "resamples=20")
    assert {"predicted_shots", "measured_shots", "predicted_shots_first", "c1", "c2", "c3"} <= set(result.values)
    assert figures(result)[0].name == "losses"
    assert len(result.series("accuracy", "second")) == 4


def test_corrupt_on_tasks_of_ones_own(capsys: pytest.CaptureFixture[str], own: tuple[str, list[str]]) -> None:
    model, tasks = own
    result = ask(capsys, "corrupt", model, *tasks, *SMALL, "--shots", "2", "--variants", "gold", "--variants", "random",
                 "--variants", "labels_only", "--set", "abstract=[big, small, cat, dog, red]")  # fmt: skip
    assert {"accuracy_gold", "accuracy_random", "accuracy_labels_only", "recognition_score"} <= set(result.values)
    assert len(result.series("slope")) == 4


def test_answers_to_corrupted_prompts_are_judged_by_the_right_labels() -> None:
    # A model whose labels are all equally likely always answers the first one, whatever the prompt shows.
    model = random_llama(word_tokenizer())
    model.model.lm_head.weight.data.zero_()
    tasks = [word_task("first"), word_task("second", seed=1)]
    sizes = {"shots": 2, "prompts": 12, "contexts": 1, "context_shots": 6, "examples": 8, "device": "cpu"}
    values = icl.corrupt(model, tasks, variants=["gold", "random", "0_correct"], **sizes).values
    assert 0 < values["accuracy_gold"] < 1
    assert values["accuracy_random"] == values["accuracy_0_correct"] == values["accuracy_gold"]


def test_posterior_of_one_prompt(
    capsys: pytest.CaptureFixture[str], own: tuple[str, list[str]], tmp_path: Path
) -> None:
    model, tasks = own
    prompt = tmp_path / "prompt.jsonl"
    prompt.write_text('{"input": "big red cat", "label": "yes"}\n{"input": "small blue dog", "label": "no"}\n')
    result = ask(capsys, "posterior", model, *tasks, *SMALL, "--shots", "2", "--prompt", str(prompt))
    columns = np.array([[row.value for row in result.series("posterior", name)] for name in ("first", "second")])
    assert np.allclose(columns.sum(axis=0), 1)
    assert columns.shape == (2, 3)
    assert np.allclose(columns[:, 0], 0.5)


def test_context_is_respected(tmp_path: Path, own: tuple[str, list[str]]) -> None:
    """Prompts and contexts past the context length lose whole examples, with a warning."""
    model = save(random_llama(word_tokenizer(), context=72), tmp_path / "short")
    few = {"contexts": 1, "context_shots": 12, "examples": 8, "pairs": 2, "resamples": 10}
    result = icl.shots(model, own[1][1::2], shots=12, prompts=4, device="cpu", **few)
    assert any("examples fit into a many-shot context" in warning for warning in result.warnings)
    assert any("shots instead of 12" in warning for warning in result.warnings)


def test_equal_tasks_are_never_identified_and_nothing_is_lost() -> None:
    """Two tasks that no model can tell apart: infinitely many shots to identify, none to answer rightly."""
    rng = np.random.default_rng(0)
    labels = np.log(rng.dirichlet([1, 1], size=30))
    inputs, shown, tails, rarest = rng.normal(-5, 1, 30), labels[:, 0], np.zeros(30), np.full(30, -3.0)
    same = Components(*(np.stack([part, part]) for part in (inputs, labels, shown, tails, rarest)))
    found = separate(same, 0, np.zeros(30, dtype=int), np.log([0.5, 0.5]))
    assert found.accuracy_shots(0.05) == 1
    assert math.isinf(found.identification_shots(0.05, 0.05))


def test_order_of_byte_pairs(tmp_path: Path) -> None:
    model = save(random_llama(byte_tokenizer(["Input: big red cat\nLabel: yes\n\n"] * 9)), tmp_path / "model")
    task = tmp_path / "task.jsonl"
    words = product(("big", "small"), ("red", "blue", "green", "dark"), ("cat", "dog", "cow", "ant"))
    records = [{"input": " ".join(some), "label": "surely yes" if some[0] == "big" else "no"} for some in words]
    task.write_text("\n".join(map(json.dumps, records)))
    few = {"orders": 6, "queries": 3, "contexts": 1, "context_shots": 3, "examples": 4}
    result = icl.order(model, task, shots=3, prompts=2, device="cpu", **few)
    assert 0 <= float(result.values["spread"] or 0) <= 1
    assert len(result.series("accuracy")) == 6


def test_the_exact_world_does_not_care_about_the_order() -> None:
    """Its examples are independent given the game, so that every order says the same, and so does their vote."""
    few = {"orders": 6, "queries": 6, "contexts": 1, "context_shots": 4, "examples": 12}
    result = icl.order("world", shots=3, prompts=2, device="cpu", **few)
    assert result.values["spread"] == result.values["gain_of_vote"] == 0
    assert result.values["accuracy"] > 0.9
    assert result.findings[0].verdict == "agrees"


@pytest.mark.parametrize(("arguments", "message"), [
    (("bound", "--c2", "0"), "c2 is 0.0: give a number above 0"),
    (("bound", "--c3", "0.9"), "c3 is 0.9: give a number of at most 0.5"),
    (("bound", "--eps", "1.5"), "eps is 1.5: give a number below 1"),
    (("ginc", "bayes", "--shots", "0,a"), "shots.1 is 'a': give a whole number"),
    (("ginc", "bayes", "--shots", "8,0"), "ascending"),
    (("ginc", "bayes", "--example-length", "1"), "example_length is 1: give a number of at least 2"),
    (("ginc", "eval", "/nowhere"), "does not exist"),
    (("ginc", "eval", "reference"), "give a model that was trained on it"),
    (("shots", "some/model"), "which tasks shall"),
    (("shots", "--tasks", "none.jsonl"), "no file 'none.jsonl'"),
    (("shots", "--tasks", "nonsense"), "no file 'nonsense': give"),
    (("shots", "--eps", "0"), "eps is 0.0"),
    (("corrupt", "--variants", "gold", "--variants", "sideways"), "sideways"),
    (("corrupt", "--variants", "gold", "--variants", "gold"), "name each once"),
    (("order", "--shots", "1"), "shots is 1"),
    (("ginc", "make", "--vocabulary", "40000"), "vocabulary is 40000: give a number of at most 4096"),
    (("ginc", "make", "--identity", "2"), "identity is 2.0: give a number of at most 1"),
    (("posterior", "--set", "stuck=2"), "stuck is 2"),
])  # fmt: skip
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert call(*arguments, "--device", "cpu") == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_one_task_has_no_rival(own: tuple[str, list[str]]) -> None:
    assert call("shots", own[0], *own[1][:2]) == 2


def test_checkup_has_nothing_to_say_about_a_model_without_tasks(own: tuple[str, list[str]]) -> None:
    with pytest.raises(NothingToSayError, match="give two or more with --tasks"):
        check(own[0], Context(device="cpu"))


def test_settings_are_refused_where_they_cannot_be() -> None:
    with pytest.raises(InputError, match="prompts"):
        replace(PosteriorConfig(), prompts=1)


def test_curve_counts_only_sure_relapses() -> None:
    rng = np.random.default_rng(0)
    losses = (rng.random((400, 6)) < [0.9, 0.3, 0.02, 0.06, 0.01, 0.01]).astype(float)
    curve = ShotCurve(losses)
    assert curve.shots(0.05) == 2
    relapse = losses.copy()
    relapse[:, 4] = rng.random(400) < 0.3
    assert ShotCurve(relapse).shots(0.05) == 5
    estimate = resample_shots(lambda chosen: curve.shots(0.05, chosen), 400, 200, rng)
    assert (estimate.low, estimate.value, estimate.high) == (2.0, 2.0, 4.0)


def test_identified_means_posterior_odds_within_epsilon() -> None:
    """Odds (1 - w) / w <= 0.05 ask for w >= 1 / 1.05 = 0.95238, more than w >= 0.95."""
    assert identified_share(np.array([[0.5, 0.951, 0.953], [0.5, 0.951, 0.952]]), 0.05).tolist() == [0.0, 0.0, 0.5]


def test_weights_of_a_mixture_are_recovered() -> None:
    rng = np.random.default_rng(1)
    tasks = np.log(rng.dirichlet(np.full(4, 0.5), size=(3, 6)))
    weights = np.array([0.6, 0.3, 0.1])
    log_probs = np.log(np.einsum("t,tpl->pl", weights, np.exp(tasks)))
    assert np.allclose(task_weights(log_probs, tasks, steps=20000), weights, atol=1e-4)
