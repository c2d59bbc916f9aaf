"""What is in memory goes in as well as files: models, rows, scorers, results; and a network comes back as it was."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtant import beb
from seqtant.beb.components.fit import read_statements, world_statements
from seqtant.beb.components.loading import Component, known_name, load_to_change, open_components, world_component
from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.lm import MarkovLM, load
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.sources import REFERENCE, locate

SMALL: dict[str, Any] = {"prompts": 8, "sentences": 4, "resamples": 50, "device": "cpu"}
FOLDER = str(locate(REFERENCE))
PARTS: dict[str, Any] = {
    "minus": "world:gloomy,grumpy",
    "plus": "world:cheerful,plain",
    "opening": "talk :",
    "marks": ".!",
    "behavior": {"question": "how are you ?", "good": (" glad", " happy"), "bad": (" sad", " tired")},
}
"""What a model that is not known by its name is to be told."""


@pytest.fixture(scope="module")
def reference() -> Any:
    return load(REFERENCE, device="cpu")


@pytest.fixture(scope="module")
def measured() -> dict[str, Result]:
    """The models that ship, measured by their names."""
    return {name: beb.measure(name, **SMALL) for name in (REFERENCE, "world")}


@pytest.fixture
def in_training(reference: Any) -> tuple[Any, Any]:
    """A network as it is in the middle of a training, with its tokenizer."""
    return copy.deepcopy(reference.model).train().requires_grad_(True), reference.tokenizer


def state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(network: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    now = network.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[name], value) for name, value in before.items())


VERBS: dict[str, tuple[Callable[..., Result], dict[str, Any]]] = {
    "measure": (beb.measure, {}),
    "curve": (beb.behavior_curve, {}),
    "search": (beb.search_prompts, {"searches": 2, "candidates": 2}),
    "guard": (beb.price_guards, {"lengths": [0, 1]}),
    "converse": (beb.converse, {"turns": 2}),
    "personas": (beb.rank_personas, {"personas": {"gloomy": "world:gloomy"}}),
}


@pytest.mark.parametrize("verb", VERBS)
def test_objects_give_the_numbers_of_folders(verb: str, in_training: tuple[Any, Any]) -> None:
    ask, settings = VERBS[verb]
    network = in_training[0]
    network.model.norm.requires_grad_(False)
    from_memory = ask(in_training, **PARTS, **SMALL, **settings)
    assert from_memory.values == ask(FOLDER, **PARTS, **SMALL, **settings).values
    assert network.training
    assert network.model.training
    assert [p.requires_grad for p in network.model.norm.parameters()] == [False]
    assert all(p.requires_grad for name, p in network.model.named_parameters() if name != "norm.weight")
    assert "in memory>" in str(from_memory.config["model"])
    assert from_memory.command == ""


def test_every_part_may_be_in_memory(in_training: tuple[Any, Any]) -> None:
    gloomy = world_component("world:gloomy,grumpy")
    network, tokenizer = in_training
    parts = {**PARTS, **SMALL, "floor": -40}
    one = beb.measure((network, tokenizer), **(parts | {"minus": gloomy, "plus": (network, tokenizer)}))
    assert one.values == beb.measure(FOLDER, **(parts | {"plus": None})).values
    assert any("P+ is the model itself" in warning for warning in one.warnings), "one network, twice written down"
    assert one.config["minus"] == "<world:gloomy,grumpy in memory>"


def test_models_that_ship_are_known_in_memory(reference: Any, measured: dict[str, Result]) -> None:
    for model, name in ((reference, REFERENCE), (world_component("world"), "world")):
        assert known_name(model) == name
        assert beb.measure(model, **SMALL).values == measured[name].values
    with pytest.raises(InputError, match="in memory>' needs P-, the ill-behaved part"):
        beb.measure((reference.model, reference.tokenizer), **SMALL)


def test_models_are_compared_from_memory(in_training: tuple[Any, Any]) -> None:
    before = state(in_training[0])
    found = beb.compare(in_training, "reference", **PARTS, **SMALL)
    assert found.values == beb.compare(FOLDER, "reference", **PARTS, **SMALL).values
    course = {"steps": 1, "warmup": 0, "schedule": "constant"}
    beb.compare(in_training, training=course, batch=2, **PARTS, **SMALL)
    assert same(in_training[0], before), "a copy is aligned, not the network itself"
    assert in_training[0].training


def test_a_gate_takes_the_result_itself(measured: dict[str, Result], tmp_path: Path) -> None:
    world = measured["world"]
    path = world.save(tmp_path / "result.json")
    limit = float(world.values["halfway_measured"] or 0) / 2
    one, two = (beb.gate(each, quantity="halfway_measured", min_length=limit) for each in (world, path))
    assert one.values == two.values
    with pytest.raises(InputError, match=r"is a result of beb\.bound: give one of 'seqtant beb measure'"):
        beb.gate(beb.bound())
    with pytest.raises(InputError, match="3 is no result"):
        beb.gate(3)


def rows(count: int) -> list[tuple[str, str]]:
    made = world_statements(count, np.random.default_rng(0))
    return [(said, answer) for answer, side in (("Yes", made.matching), ("No", made.other)) for said in side]


def test_statements_are_rows_dictionaries_or_lines(tmp_path: Path) -> None:
    given = rows(8)
    lines = [{"statement": said, "answer_matching_behavior": f" {answer}"} for said, answer in given]
    path = tmp_path / "mood.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    known = read_statements(str(path), limit=7)
    assert (known.name, len(known.matching)) == ("mood", 7)
    for source in (given, lines, [(said, answer == "Yes") for said, answer in given]):
        read = read_statements(source, limit=7)
        assert (read.matching, read.other) == (known.matching, known.other)


@pytest.mark.parametrize("rank", [0, 4])
def test_parts_are_fitted_on_a_network_in_memory(rank: int, in_training: tuple[Any, Any], tmp_path: Path) -> None:
    before, course = state(in_training[0]), {"epochs": 0.5, "rank": rank, "learning_rate": 1e-3}
    given = rows(6)
    from_memory = beb.fit_components(in_training, given, **course, device="cpu", out=tmp_path / "memory")
    assert same(in_training[0], before), "the network has no adapters now"
    assert in_training[0].training
    assert str(from_memory.config["statements"]).startswith("<12 rows in memory, sha256 ")
    study = {**SMALL, "marks": ".!", "behavior": {"answers": 2, "answer_tokens": 3}}
    fitting = beb.Fitting(given, **course)
    one, two = (beb.measure(each, components=fitting, **study) for each in (in_training, FOLDER))
    assert one.values == two.values
    assert one.values["told_apart"] == from_memory.values["told_apart"], "fitted alike, by itself or for a study"
    assert same(in_training[0], before)


def test_a_network_in_memory_takes_an_adapter_of_a_folder(in_training: tuple[Any, Any], tmp_path: Path) -> None:
    beb.fit_components(FOLDER, rows(6), epochs=0.5, rank=2, device="cpu", to=str(tmp_path))
    before = state(in_training[0])
    folder, own = str(tmp_path / "minus"), Component(in_training)
    opened = open_components({"P-": Component(folder, base=in_training), "model": own}, device="cpu", dtype=None)
    named = open_components({"P-": Component(folder)}, device="cpu", dtype=None)
    ids = torch.tensor([[1, 5, 9]])
    assert torch.equal(opened["P-"].forward(ids).logits, named["P-"].forward(ids).logits)
    assert not torch.equal(opened["model"].forward(ids).logits, opened["P-"].forward(ids).logits)
    assert same(in_training[0], before)


def test_a_copy_is_changed_and_a_closed_form_cannot_be(in_training: tuple[Any, Any]) -> None:
    copied = load_to_change(in_training, device="cpu")
    assert isinstance(copied, HuggingFaceLM)
    assert copied.model is not in_training[0]
    with pytest.raises(InputError, match="has no weights to fit"):
        load_to_change(world_component("world"), device="cpu")


def test_a_scorer_may_be_a_function() -> None:
    def always(answers: Sequence[beb.Answer]) -> list[float]:
        return [0.5] * len(answers)

    asked = beb.Behavior(scorer=always, question="how are you ?", answers=2, answer_tokens=3)
    found = beb.measure("world", behavior=asked, **SMALL)
    assert {row.value for row in found.series("behavior")} == {0.5}
    assert found.config["behavior"]["scorer"] == "<function in memory>"  # type: ignore[index]


@pytest.mark.parametrize(("make", "reason"), [
    (lambda: beb.measure(3), "3 is no model"),
    (lambda: beb.measure(None), "None is no model"),
    (lambda: beb.measure(minus=4), "minus: 4 is no model"),
    (lambda: beb.measure(MarkovLM([0.5, 0.5], bos_id=0), minus="world:gloomy"), "without a tokenizer"),
    (lambda: beb.measure(prompts="many"), "prompts is 'many': give a whole number"),
    (lambda: beb.measure(prompts=None), "prompts is None: give a whole number"),
    (lambda: beb.measure(promts=9), "did you mean 'prompts'"),
    (lambda: beb.measure(prompts=7), "prompts is 7: give a number of at least 8"),
    (lambda: beb.measure(sentences=3), "sentences is 3: give a number of at least 4"),
    (lambda: beb.measure(resamples=49), "resamples is 49: give a number of at least 50"),
    (lambda: beb.measure(eps=2), "eps is 2: give a number below 2"),
    (lambda: beb.measure(delta=1), "delta is 1: give a number below 1"),
    (lambda: beb.measure(floor=0), "floor is 0: give a number below 0"),
    (lambda: beb.measure(floor=-float("inf")), "floor is -inf: give a finite number"),
    (lambda: beb.measure(marks=" "), "marks is empty"),
    (lambda: beb.measure(components={"statements": 5}), "5 is neither a file nor a list of rows"),
    (lambda: beb.measure("world", behavior={"scorer": 3}), "3 is no scorer"),
    (lambda: beb.Behavior(checked=(3, 2, 3, 4)), "none above its total"),
    (lambda: beb.Behavior(answers=0), "answers is 0: give a number of at least 1"),
    (lambda: beb.Fitting(epochs=0), "epochs is 0: give a number above 0"),
    (lambda: beb.Fitting(max_statements=5), "max_statements is 5: give a number of at least 6"),
    (lambda: beb.bound(alpha="x"), "alpha is 'x': give a number"),
    (lambda: beb.bound(gamma=0), "gamma is 0"),
    (lambda: beb.bound(best_of=0), "best_of is 0: give a number of at least 1"),
    (lambda: beb.bound(tokens_per_sentence=-1), "tokens_per_sentence is -1: give a number above 0"),
    (lambda: beb.GuardConfig(lengths="1,2"), "lengths must hold 0"),
    (lambda: beb.GuardConfig(lengths=[0, -2]), "lengths must hold 0"),
    (lambda: beb.PersonasConfig(personas={"a": 3}), "personas.a: 3 is no model"),
    (lambda: beb.CompareConfig(training={"steps": 0}), "TrainingConfig.steps is 0"),
    (lambda: beb.CalibrateConfig(alpha=1.5), "alpha is 1.5: give a number below 1"),
    (lambda: beb.fit_components("reference", "no-such-file"), "no file 'no-such-file'"),
    (lambda: beb.fit_components("reference", [1]), "row 1 is 1: give (statement, answer_matching_behavior)"),
    (lambda: beb.fit_components("reference", [("a",)]), "row 1 has no 'answer_matching_behavior'"),
    (lambda: beb.fit_components("reference", [("a", "maybe")]), "write Yes or No"),
    (lambda: beb.fit_components("reference", [("a", "Yes")]), "there are 1 matching statements"),
])  # fmt: skip
def test_wrong_types_are_one_line(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(InputError) as told:
        make()
    assert reason in str(told.value)
    assert "\n" not in str(told.value)


def test_guards_are_numbers_or_text() -> None:
    assert {beb.GuardConfig(lengths=given).lengths for given in ((0, 2), [0, 2], "0,2")} == {(0, 2)}
