"""What is in memory goes in as well as files: models, pairs, items, vectors; and a network comes back as it was."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtant import steering
from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.steering import BehaviorPrompt, ContrastPair, Question, SteeringVector, apply_steering
from seqtant.steering.config import ApplyConfig, ExtractConfig, SweepConfig, parse_strengths
from seqtant.steering.inputs import fact_questions, mood_questions
from tests.steering.samples import random_vector

SMALL: dict[str, Any] = {"device": "cpu", "prompts": 6, "items": 12}


@pytest.fixture(scope="module")
def rows(pairs: list[ContrastPair]) -> dict[str, list[Any]]:
    generator = np.random.default_rng(3)
    return {
        "pairs": pairs,
        "behavior": mood_questions(6, generator),
        "helpfulness": list(fact_questions(12, generator)),
    }


@pytest.fixture(scope="module")
def files(rows: dict[str, list[Any]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("rows")
    paths = {name: place / f"{name}.jsonl" for name in rows}
    for name, path in paths.items():
        lines = [{key: value for key, value in asdict(row).items() if value is not None} for row in rows[name]]
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return {name: str(path) for name, path in paths.items()}


@pytest.fixture
def in_training(model: HuggingFaceLM) -> tuple[Any, Any]:
    """A network as it is in the middle of a training, with its tokenizer."""
    return copy.deepcopy(model.model).train().requires_grad_(True), model.tokenizer


VERBS: dict[str, tuple[Callable[..., Result], dict[str, Any]]] = {
    "sweep": (steering.sweep, {**SMALL, "strengths": (-4, -2, 0, 2, 4), "coherence_prompts": 1, "reply_tokens": 3}),
    "choose": (steering.choose_strength, {**SMALL, "resamples": 100, "budget": 0.02}),
    "diagnose": (steering.diagnose, {**SMALL, "strengths": [1.0, 2.0, 4.0]}),
    "layers": (steering.compare_layers, {**SMALL, "layers": [1, 2]}),
}


@pytest.mark.parametrize("verb", VERBS)
def test_objects_give_the_numbers_of_files(
    verb: str, folder: Path, in_training: tuple[Any, Any], rows: dict[str, list[Any]], files: dict[str, str]
) -> None:
    ask, settings = VERBS[verb]
    network = in_training[0]
    network.model.norm.requires_grad_(False)
    from_memory = ask(in_training, **rows, **settings)
    assert from_memory.values == ask(str(folder), **files, **settings).values
    assert network.model.training
    assert [p.requires_grad for p in network.model.norm.parameters()] == [False]
    assert all(p.requires_grad for name, p in network.model.named_parameters() if name != "norm.weight")
    assert str(from_memory.config["pairs"]).startswith("<12 rows in memory, sha256 ")
    assert "LlamaForCausalLM" in str(from_memory.config["model"])
    assert from_memory.command == ""


def test_a_network_comes_back_whole_as_it_was(in_training: tuple[Any, Any], pairs: list[ContrastPair]) -> None:
    network = in_training[0]
    network.lm_head.requires_grad_(False)
    steering.evaluate_vector(in_training, pairs=pairs, device="cpu")
    assert network.training
    assert network.lm_head.training
    assert not network.lm_head.weight.requires_grad


def test_replies_and_evaluation_from_memory(
    model: HuggingFaceLM, folder: Path, rows: dict[str, list[Any]], files: dict[str, str], tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"prompt": "talk : how are you ?", "strength": 30, "tokens": 5, "device": "cpu"}
    said = steering.generate_side_by_side(model, pairs=rows["pairs"], prompts_file=["talk :"], **asked)
    (tmp_path / "prompts.txt").write_text("talk :\n", encoding="utf-8")
    again = steering.generate_side_by_side(
        folder, pairs=files["pairs"], prompts_file=str(tmp_path / "prompts.txt"), **asked
    )
    assert said.tables[0].rows == again.tables[0].rows
    assert len(said.tables[0].rows) == 2
    tuples = [(pair.positive, pair.negative) for pair in rows["pairs"]]
    found = steering.evaluate_vector(model, pairs=tuples, out=tmp_path / "run")
    assert found.values == steering.evaluate_vector(str(folder), pairs=files["pairs"], device="cpu").values
    assert SteeringVector.load(tmp_path / "run" / "vector.safetensors").layers == (0, 1, 2, 3)


def test_a_vector_in_memory_is_the_vector_of_its_file(
    model: HuggingFaceLM, folder: Path, rows: dict[str, list[Any]], tmp_path: Path
) -> None:
    vector = SteeringVector.extract(model, rows["pairs"], layers="0:1.0")
    vector.save(tmp_path / "v.safetensors")
    common: dict[str, Any] = {**SMALL, "layers": "1,2", "resamples": 100}
    items = {name: rows[name] for name in ("behavior", "helpfulness")}
    first = steering.choose_strength(model, vector, **items, **common)
    second = steering.choose_strength(str(folder), str(tmp_path / "v.safetensors"), **items, **common)
    assert first.values == second.values
    assert first.config["vector"] == "<SteeringVector in memory>"


def test_rows_may_be_tuples_dictionaries_or_texts(
    model: HuggingFaceLM, rows: dict[str, list[Any]], vector: SteeringVector
) -> None:
    settings: dict[str, Any] = {**SMALL, "strengths": "-2:2:1", "coherence_prompts": 0}
    plain = steering.sweep(model, vector, behavior=rows["behavior"], helpfulness=rows["helpfulness"], **settings)
    other = steering.sweep(
        model,
        vector,
        behavior=[(item.prompt, item.good, list(item.bad)) for item in rows["behavior"]],
        helpfulness=[asdict(item) for item in rows["helpfulness"]],
        **settings,
    )
    assert other.values == plain.values
    texts = steering.sweep(
        model, vector, behavior=rows["behavior"], helpfulness=["book : tom lives in paris .", "talk :"], **settings
    )
    assert texts.values["format_rate_at_zero"] == 1.0


def test_a_scorer_may_be_a_function(model: HuggingFaceLM, rows: dict[str, list[Any]], vector: SteeringVector) -> None:
    def always(item: BehaviorPrompt, reply: str) -> float:
        return 1.0

    found = steering.sweep(
        model,
        vector,
        behavior=rows["behavior"],
        helpfulness=rows["helpfulness"],
        scorer=always,
        strengths=np.arange(-2.0, 3.0),
        coherence_prompts=1,
        reply_tokens=2,
        **SMALL,
    )
    assert {row.value for row in found.series("hard_alignment")} == {0.5}


def test_training_takes_reviews_and_documents_in_memory(tmp_path: Path) -> None:
    reviews = [(f"a {word} film about a {noun} and more words than that", label)
               for noun in ("lamp", "river", "room", "table", "hill", "lake", "road", "sun", "chair", "door")
               for word, label in (("lovely", "pos"), ("grim", "neg"))]  # fmt: skip
    documents = [" ".join(["one lamp stands under some tall tree near that long road there"] * 3)] * 20
    (tmp_path / "reviews.jsonl").write_text(
        "\n".join(json.dumps({"text": text, "label": label}) for text, label in reviews), encoding="utf-8"
    )
    lines = "\n".join(json.dumps({"text": document}) for document in documents)
    (tmp_path / "text.jsonl").write_text(lines, encoding="utf-8")
    sizes: dict[str, Any] = {"words": 4, "passage_words": 8, "pairs": 8, "vocabulary": 300, "width": 16, "depth": 1}
    sizes |= {"heads": 1, "context": 16, "rows": 2, "steps": 2, "options": 2, "device": "cpu"}
    found = steering.train(reviews, text=[documents], **sizes)
    read = steering.train(str(tmp_path / "reviews.jsonl"), text=[str(tmp_path / "text.jsonl")], **sizes)
    assert found.values == read.values


def test_the_shipped_model_in_memory_is_asked_its_own_questions() -> None:
    from seqtant.lm import load

    loaded = load("reference", device="cpu")
    settings: dict[str, Any] = {"tokens": 2, "strength": 20.0, "max_pairs": 4, "device": "cpu"}
    expected = steering.generate_side_by_side("reference", **settings).tables[0].rows
    assert steering.generate_side_by_side(loaded, **settings).tables[0].rows == expected
    pair = (loaded.model, loaded.tokenizer)
    assert steering.evaluate_vector(pair, max_pairs=4).values["pairs"] == 4


@pytest.mark.parametrize(("make", "reason"), [
    (lambda: steering.choose_strength(3), "3 is no model"),
    (lambda: steering.choose_strength(None), "None is no model"),
    (lambda: steering.choose_strength("reference", 5, max_pairs=4), "5 is no steering vector"),
    (lambda: steering.choose_strength(budget="lots"), "budget is 'lots': give a number"),
    (lambda: steering.choose_strength(budget=None), "budget is None: give a number"),
    (lambda: steering.choose_strength(budgets=0.1), "budgets"),
    (lambda: steering.choose_strength(side=0), "side is 0"),
    (lambda: steering.choose_strength(score="ful"), "score is 'ful'"),
    (lambda: steering.choose_strength(pairs=7), "7 is neither a file nor a list of rows"),
    (lambda: steering.choose_strength(pairs="no such file"), "no file 'no such file'"),
    (lambda: steering.evaluate_vector(pairs=[("a",), ("b",)]), "row 1 has no 'negative'"),
    (lambda: steering.evaluate_vector(pairs=[1, 2]), "row 1 is 1: give (positive, negative, prompt)"),
    (lambda: ExtractConfig(max_pairs="many"), "max_pairs is 'many': give a whole number"),
    (lambda: ExtractConfig(max_pairs=1), "max_pairs is 1: give a number of at least 2"),
    (lambda: ExtractConfig(layers=[]), "are no blocks"),
    (lambda: ExtractConfig(layers=[1.5]), "are no blocks"),
    (lambda: ExtractConfig(template="say it"), "has no place for {text}"),
    (lambda: SweepConfig(strengths=3), "strengths"),
    (lambda: SweepConfig(strengths="1:2"), "cannot be read"),
    (lambda: SweepConfig(strengths=(0, 1, 2, 3)), "at least four others"),
    (lambda: SweepConfig(strengths=(0, 1, 2, 3, float("inf"))), "strengths"),
    (lambda: ApplyConfig(strength="hard"), "strength is 'hard'"),
    (lambda: SteeringVector.extract(3, [("a", "b")] * 2), "no transformers model"),
])  # fmt: skip
def test_wrong_types_are_one_line(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(InputError) as told:
        make()
    assert reason in str(told.value)
    assert "\n" not in str(told.value)


def test_layers_are_the_same_as_numbers_and_as_text() -> None:
    assert {ExtractConfig(layers=given).layers for given in ([2, 3], (2, 3), range(2, 4), "2,3")} == {"2,3"}
    assert ExtractConfig(layers=2).layers == "2"


def test_strengths_are_numbers_arrays_or_text() -> None:
    expected = (-2.0, -1.0, 0.0, 1.0, 2.0)
    for given in (expected, list(expected), np.arange(-2.0, 3.0), "-2:2:1", "-2,-1,0,1,2"):
        assert SweepConfig(strengths=given).strengths == expected


def test_a_range_of_strengths_never_goes_beyond_what_was_asked() -> None:
    assert parse_strengths("-1.2:1:0.6") == (-1.2, -0.6, 0.0, 0.6)
    assert parse_strengths("0:1:0.6") == (0.0, 0.6)
    # Steps that divide the range reach its end although 0.3 / 0.1 is below 3 in floating point.
    assert parse_strengths("0:0.3:0.1") == (0.0, 0.1, 0.2, 0.3)
    assert parse_strengths("1:-1:-0.75") == (1.0, 0.25, -0.5)


def test_the_second_fifth_of_the_depth_is_steered_by_default(model: HuggingFaceLM, pairs: list[ContrastPair]) -> None:
    assert SteeringVector.extract(model, pairs).layers == (0, 1)


def test_a_vector_steers_a_plain_network(in_training: tuple[Any, Any], model: HuggingFaceLM, pairs: list[Any]) -> None:
    network, tokenizer = in_training
    vector = SteeringVector.extract(in_training, [(pair.positive, pair.negative) for pair in pairs], layers=[1, 2])
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    same = SteeringVector.extract(model, pairs, layers=[1, 2])
    assert all(torch.equal(vector.directions[k], same.directions[k]) for k in (1, 2))
    network.eval()
    ids = torch.tensor([[1, 5, 9, 12], [1, 6, 7, 8]])
    with torch.no_grad(), apply_steering(model, vector, [0.0, 7.0]):
        expected = model.forward(ids).logits
    before = network(ids).logits.detach()
    for source in (network, in_training, HuggingFaceLM(network, tokenizer)):
        with torch.no_grad(), vector.apply(source, [0.0, 7.0]):
            assert torch.equal(network(ids).logits, expected)
    assert torch.equal(network(ids).logits.detach(), before)
    with vector.apply(network, 7.0):
        tokens = network.generate(ids, max_new_tokens=3, do_sample=False)
    assert tokens.shape == (2, 7)
    with torch.no_grad():
        network.lm_head.weight.add_(1.0)
    with pytest.raises(InputError, match="other weights than 'LlamaForCausalLM' has"), vector.apply(network):
        pass


def test_sums_and_multiples_steer_as_their_parts_do_at_once(model: HuggingFaceLM, tmp_path: Path) -> None:
    first, second = random_vector([1, 2], seed=1), random_vector([2, 3], seed=2)
    both = first - 0.5 * second
    assert both.layers == (1, 2, 3)
    assert torch.equal(both.directions[1], first.directions[1])
    assert torch.allclose(both.directions[2], first.directions[2] - 0.5 * second.directions[2])
    assert torch.allclose(both.directions[3], -0.5 * second.directions[3])
    ids = torch.tensor([[1, 5, 9, 12]])
    with torch.no_grad():
        with first.apply(model, 4.0), second.apply(model, -2.0):
            expected = model.forward(ids).logits
        with both.apply(model, 4.0):
            assert torch.allclose(model.forward(ids).logits, expected, atol=1e-5)
    both.save(str(tmp_path / "both.safetensors"))
    read = SteeringVector.load(str(tmp_path / "both.safetensors"))
    assert all(torch.equal(read.directions[k], both.directions[k]) for k in both.layers)
    assert torch.allclose(both.at([3]).directions[3].norm(), torch.tensor(0.5)), "a part keeps its length"
    assert torch.allclose((-first).directions[1], -first.directions[1])
    assert (-first).unit
    with pytest.raises(InputError, match="not zero"):
        _ = first - first


def test_vectors_of_two_models_are_not_added(model: HuggingFaceLM, pairs: list[ContrastPair]) -> None:
    from dataclasses import replace

    vector = SteeringVector.extract(model, pairs, layers=[1])
    total = vector + random_vector([1])
    assert total.origin.model_hash == vector.origin.model_hash
    assert total.hidden_norm == (random_vector([1]) + vector).hidden_norm == vector.hidden_norm
    other = replace(vector, origin=replace(vector.origin, model_hash="another"))
    with pytest.raises(InputError, match="different models"):
        _ = vector + other
    with pytest.raises(InputError, match="different models"):
        _ = vector + random_vector([1], width=8)
    kept, turned = (2 * vector).facts[1], (-vector).facts[1]
    assert kept.held_out_accuracy == vector.facts[1].held_out_accuracy
    assert turned.held_out_accuracy is None
    assert turned.raw_norm == vector.facts[1].raw_norm


def test_items_keep_their_kind(rows: dict[str, list[Any]]) -> None:
    from seqtant.steering.data.items import Passage, read_behavior, read_helpfulness, read_pairs

    assert read_pairs(rows["pairs"]) == rows["pairs"]
    assert read_behavior(rows["behavior"], limit=3) == rows["behavior"][:3]
    assert read_helpfulness(rows["helpfulness"]) == rows["helpfulness"]
    assert read_helpfulness(["one", "two"]) == [Passage("one"), Passage("two")]
    assert read_helpfulness([("2 + 2 =", (" 4", " 5"), " 4")] * 2) == [Question("2 + 2 =", (" 4", " 5"), 0)] * 2
    with pytest.raises(InputError, match="holds 1 item"):
        read_behavior(rows["behavior"][:1])
