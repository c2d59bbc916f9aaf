"""What is in memory in place of paths: the same numbers, told as what it is, given back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from seqtant import icl
from seqtant.errors import InputError
from seqtant.icl.config import GincNetwork
from seqtant.icl.ginc.networks import build_network, save_network
from seqtant.icl.prompts.tasks import game_names
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.reference.oracle import WorldLM
from seqtant.reference.world.world import reference_world
from seqtant.settings import plain
from tests.icl.samples import random_llama, save, word_tokenizer, write_task

FEW: dict[str, Any] = {
    "shots": 2, "prompts": 3, "contexts": 1, "context_shots": 6, "examples": 8, "device": "cpu",
}  # fmt: skip
PROMPT = [("big red cat", "yes"), ("small blue dog", "no")]
RESAMPLING = {"pairs": 3, "resamples": 20}


@pytest.fixture(scope="module")
def model() -> HuggingFaceLM:
    return random_llama(word_tokenizer())


@pytest.fixture(scope="module")
def saved(model: HuggingFaceLM, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """The same model and two tasks as files."""
    folder = tmp_path_factory.mktemp("own")
    tasks = [write_task(folder / "first.jsonl", "first", ("yes", "no")),
             write_task(folder / "second.jsonl", "second", (0, "", "very not"))]  # fmt: skip
    return save(model, folder / "model"), tasks


@pytest.fixture(scope="module")
def tasks(saved: tuple[Path, list[Path]]) -> dict[str, list[dict[str, Any]]]:
    """The tasks as rows; the first row of each says how its examples are written."""
    return {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in saved[1]}


@pytest.mark.parametrize(
    ("verb", "settings"),
    [
        (icl.shots, RESAMPLING),
        (icl.posterior, {"probes": 2}),
        (icl.corrupt, {"variants": ["gold", "random", "labels_only"]}),
        (icl.order, {"orders": 2, "queries": 2}),
    ],
    ids=str,
)
def test_objects_give_the_numbers_of_paths(
    verb: Any, settings: dict[str, Any], model: HuggingFaceLM, saved: tuple[Path, list[Path]], tasks: dict[str, Any]
) -> None:
    by_path = verb(saved[0], saved[1], **FEW, **settings)
    by_object = verb((model.model, model.tokenizer), tasks, **FEW, **settings)
    assert by_object.values == by_path.values
    assert by_path.command.startswith("seqtant icl ")
    assert by_object.command == ""
    assert verb(model, tasks, **FEW, **settings).values == by_path.values


def test_a_network_in_training_is_in_training_afterwards(tasks: dict[str, Any]) -> None:
    tokenizer = word_tokenizer()
    network = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=2)).train()
    network.transformer.wte.weight.requires_grad_(False)
    before = {name: (each.training, [p.requires_grad for p in each.parameters()])
              for name, each in network.named_modules()}  # fmt: skip
    result = icl.order((network, tokenizer), tasks, orders=2, queries=2, **FEW)
    assert 0 <= float(result.values["spread"] or 0) <= 1
    assert network.training
    assert before == {
        name: (each.training, [p.requires_grad for p in each.parameters()]) for name, each in network.named_modules()
    }


def test_one_prompt_as_pairs(model: HuggingFaceLM, tasks: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "prompt.jsonl"
    path.write_text("".join(json.dumps({"input": text, "label": label}) + "\n" for text, label in PROMPT))
    by_path, by_object = (icl.posterior(model, tasks, prompt, **FEW) for prompt in (path, PROMPT))
    assert by_object.values == by_path.values
    assert by_object.series("posterior", "first") == by_path.series("posterior", "first")
    with pytest.raises(InputError, match="prompt: label 'maybe' belongs to no task"):
        icl.posterior(model, tasks, [("big cat", "maybe")], **FEW)


def test_tasks_in_every_form_are_the_same_tasks() -> None:
    pairs = [("fine", "good"), ("awful", "bad")]
    examples = tuple(icl.Example(*pair) for pair in pairs)
    wanted = (icl.Task("mood", examples),)
    rows = [{"input": text, "label": label} for text, label in pairs]
    for given in ({"mood": pairs}, {"mood": iter(pairs)}, {"mood": examples}, icl.Task("mood", list(examples)),
                  [{"name": "mood"}, *rows], [icl.Task("mood", examples)]):  # fmt: skip
        assert icl.ShotsConfig(tasks=given).tasks == wanted
    named = icl.ShotsConfig(tasks=[pairs, "a.jsonl", rows]).tasks
    assert [getattr(task, "name", task) for task in named] == ["task_1", "a.jsonl", "task_3"]
    assert icl.ShotsConfig(tasks=Path("a.jsonl")).tasks == ("a.jsonl",)


def test_data_frames_are_tasks() -> None:
    pandas = pytest.importorskip("pandas", reason="pip install 'seqtant[data]'")
    frame = pandas.DataFrame({"input": ["a", "b"], "label": [0, 1]})
    (task,) = icl.ShotsConfig(tasks=frame).tasks
    assert task.labels == ("0", "1")


def test_records_describe_tasks_and_do_not_hold_them() -> None:
    pairs = [("fine", "good"), ("awful", "bad")]
    one, other = (plain(icl.ShotsConfig(tasks={"mood": some}))["tasks"] for some in (pairs, [*pairs, ("dull", "bad")]))
    assert one[0].startswith("<task 'mood' of 2 examples in memory, sha256 ")
    assert one != other
    assert "awful" not in one[0]


def test_games_of_the_reference_world_are_tasks_by_name(model: HuggingFaceLM) -> None:
    assert len(game_names()) == 8
    settings: dict[str, Any] = FEW | {"examples": 4, "orders": 2, "queries": 2}
    by_name = icl.order("world", "size", **settings)
    oracle = icl.order(WorldLM(reference_world()), ["size"], **settings)
    assert by_name.values == oracle.values
    assert [row[0] for row in by_name.tables[0].rows] == ["size"]
    with pytest.raises(InputError, match="which tasks shall '<random in memory>' be shown"):
        icl.shots(model, **FEW)


def test_samples_that_do_not_suffice_are_refused(model: HuggingFaceLM) -> None:
    task = icl.Task("few", tuple(icl.Example("big cat", label) for label in ("yes", "no") * 5), is_law=True)
    with pytest.raises(InputError, match="10 samples of its distribution, 23 are needed"):
        icl.order(model, task, **FEW)


def test_a_trained_network_in_memory_is_asked_like_its_folder(tmp_path: Path) -> None:
    ginc = icl.Ginc.generate(icl.GincSettings())
    network = build_network(GincNetwork(layers=1, width=16, heads=2), 50, 64, bos=True, seed=1)
    save_network(network, tmp_path / "model", ginc.names, bos=True, context=64)
    few: dict[str, Any] = {"example_length": 3, "shots": (0, 1), "prompts": 6, "documents": 2, "document_length": 32}
    by_path = icl.ginc_eval(tmp_path / "model", **few)
    by_object = icl.ginc_eval(network, parameters=ginc, **few)
    assert by_object.values == by_path.values


def test_parameters_in_memory_are_those_of_their_folder(tmp_path: Path) -> None:
    ginc = icl.Ginc.generate(icl.GincSettings(vocabulary=20, entities=4, properties=5, parameter_seed=3))
    ginc.save(tmp_path)
    few: dict[str, Any] = {"vocabulary": 20, "shots": "0,2", "prompts": 6, "documents": 2, "document_length": 16}
    by_path, by_object = (icl.ginc_bayes(parameters=each, **few) for each in (tmp_path, ginc))
    assert by_object.values == by_path.values
    assert {"accuracy_0", "accuracy_2"} <= set(by_object.values)
    documents = icl.sample_documents(ginc, 3, 8, np.random.default_rng(0))
    assert documents.tokens.shape == (3, 8)


@pytest.mark.parametrize(
    ("verb", "settings", "message"),
    [
        (icl.shots, {"model": 3}, "3 is no model"),
        (icl.shots, {"model": None}, "None is no model"),
        (icl.shots, {"tasks": 3}, "3 is neither a file nor a list of rows"),
        (icl.shots, {"tasks": None}, "None is neither a file nor a list of rows"),
        (icl.shots, {"tasks": [3]}, "3 is neither a file nor a list of rows"),
        (icl.shots, {"tasks": {"mood": [("fine",)]}}, "row 1 has no 'label'"),
        (icl.shots, {"tasks": [("fine", "good")]}, "1 label(s): there is nothing to predict"),
        (icl.shots, {"tasks": "some text"}, "no file 'some text'"),
        (icl.shots, {"shots": "many"}, "shots is 'many': give a whole number"),
        (icl.shots, {"shots": None}, "shots is None: give a whole number"),
        (icl.shots, {"shots": 0}, "shots is 0: give a number of at least 1"),
        (icl.shots, {"prompts": True}, "prompts: give a number, not true"),
        (icl.shots, {"epsilon": 0.1}, "unknown key 'epsilon'"),
        (icl.posterior, {"prompt": 3}, "3 is neither a file nor a list of rows"),
        (icl.corrupt, {"variants": ["gold", "sideways"]}, "variants.1 is 'sideways': give 'gold'"),
        (icl.corrupt, {"variants": ["random"]}, "variants must include gold"),
        (icl.bound, {"c1": "much"}, "c1 is 'much': give a number"),
        (icl.bound, {"c3": 0.9}, "c3 is 0.9: give a number of at most 0.5"),
        (icl.ginc_bayes, {"shots": (8, 0)}, "ascending"),
        (icl.ginc_bayes, {"parameters": 3}, "3 holds no parameters of GINC"),
        (icl.ginc_eval, {"model": 3}, "3 is no model"),
        (icl.ginc_train, {"network": {"width": 10}}, "network.heads is 4: it must divide the width 10"),
        (icl.ginc_make, {"vocabulary": None}, "vocabulary is None: give a whole number"),
    ],
)
def test_wrong_types_from_python_are_one_line(verb: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        verb(**settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
