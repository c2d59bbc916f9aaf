"""Verbs on what is in memory: the same values as from files, networks left as they were, wrong types in one line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from seqtant import architecture, lm
from seqtant.architecture.experiments.depth_law import LossRow, simulate_losses
from seqtant.architecture.theory import FITTED
from seqtant.errors import InputError
from seqtant.findings import Result
from tests.architecture.networks import build_network

CONFIGS = sorted((Path(__file__).parent / "configs").glob("*.json"))


def question(result: Result, key: str) -> str:
    return next(each.question for each in result.findings if each.key == key)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_object_has_the_shape_of_its_file(path: Path) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    config = transformers.AutoConfig.for_model(**data)
    result = architecture.audit(config)
    assert result.values == architecture.audit(path).values
    assert result.config["model"].startswith(f"<{type(config).__name__} in memory, sha256 ")
    assert result.command == ""


@pytest.fixture(scope="module", params=["LlamaForCausalLM", "GPT2LMHeadModel", "BertForMaskedLM"])
def network(request: pytest.FixtureRequest) -> Any:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    family = {"L": "llama", "G": "gpt2", "B": "bert"}[request.param[0]]
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 20} if family == "gpt2" else sizes
    config = {"model_type": family, "vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return build_network(config | sizes, request.param, device="cpu")


@pytest.mark.parametrize("verb", [architecture.audit, architecture.embedding_rank])
def test_a_network_in_memory_is_what_its_folder_is(verb: Callable[[Any], Result], network: Any, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    saved = verb(str(tmp_path))
    for model in (network, (network, None)):
        result = verb(model)
        assert result.values == saved.values
        assert {each.key: each.verdict for each in result.findings} == {
            each.key: each.verdict for each in saved.findings
        }
    assert type(network).__name__ in result.title


def test_our_wrapper_is_unpacked() -> None:
    model = lm.load("reference")
    assert architecture.audit(model).values == architecture.audit("reference").values
    assert architecture.embedding_rank(model).values == architecture.embedding_rank().values


def test_weights_in_memory_are_called_so(network: Any) -> None:
    assert question(architecture.audit(network), "weights").startswith("Do the weights in memory have")
    assert question(architecture.audit(), "weights").startswith("Do the weights on disk have")


def test_the_class_that_was_built_is_counted() -> None:
    with torch.device("meta"):
        bare = transformers.GPT2Model(transformers.GPT2Config(architectures=["GPT2LMHeadModel"], n_layer=2))
    result = architecture.audit(bare)
    assert result.values["parameters"] == sum(each.numel() for each in bare.parameters())
    with pytest.raises(InputError, match="on the device meta, without numbers"):
        architecture.embedding_rank(bare)


def test_a_head_is_tied_where_it_is_the_table() -> None:
    config = transformers.GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=40)
    model = transformers.GPT2LMHeadModel(config)
    assert architecture.audit(model).values["head_parameters"] == 0
    model.lm_head.weight = torch.nn.Parameter(torch.zeros(40, 16))
    result = architecture.audit(model)
    assert result.values["head_parameters"] == 40 * 16
    assert next(each for each in result.findings if each.key == "weights").verdict == "agrees"


def test_a_network_without_numbers_is_tied_as_it_was_built() -> None:
    with torch.device("meta"):
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=40))
        assert architecture.audit(model).values["head_parameters"] == 0
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(40, 16))
    assert architecture.audit(model).values["head_parameters"] == 40 * 16


def test_a_network_comes_back_in_the_mode_it_came_in(network: Any) -> None:
    network.train()
    weight = network.get_input_embeddings().weight
    weight.requires_grad_(False)
    before = weight.clone()
    architecture.audit(network)
    architecture.embedding_rank(network)
    assert network.training
    assert not weight.requires_grad
    assert torch.equal(weight, before)


def losses() -> list[LossRow]:
    return simulate_losses(FITTED, (6, 12, 18, 24), spread=0.003, generator=np.random.default_rng(5))


def test_losses_in_memory_make_the_law_of_their_file(tmp_path: Path) -> None:
    rows = losses()
    path = tmp_path / "losses.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "depth", "loss", "seed"])
        writer.writerows([row.size, row.depth, row.loss, row.seed] for row in rows)
    columns = {name: [getattr(row, name) for row in rows] for name in ("size", "depth", "seed", "loss")}
    by_network: dict[tuple[float, int], list[float]] = {}
    for row in rows:
        by_network.setdefault((row.size, row.depth), []).append(row.loss)
    given: list[Any] = [
        rows,
        [(row.size, row.depth, row.loss, row.seed) for row in rows],
        [vars(row) | {"embedding": "plain"} for row in rows] + [vars(rows[0]) | {"embedding": "control"}],
        columns,
        by_network,
    ]
    expected = architecture.fit(path)
    assert expected.values["crossings"] == 3
    for each in given:
        result = architecture.fit(each)
        assert result.values == expected.values
        assert result.title == "Depth law of losses in memory"
        assert "rows in memory, sha256" in result.config["losses"]


@pytest.mark.parametrize("rows", [list, lambda texts: [{"text": text} for text in texts]], ids=["texts", "rows"])
def test_texts_in_memory_are_trained_on(rows: Callable[[list[str]], list[Any]], tmp_path: Path) -> None:
    texts = [f"line {number} of this text, again and again" for number in range(60)]
    path = tmp_path / "text.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    sizes: dict[str, Any] = {"sizes": [3000], "depths": [1, 4], "embeddings": ["control"], "heads": 2, "context": 16}
    short: dict[str, Any] = {"steps": 2, "warmup": 0, "learning_rates": [0.01], "seeds": 2, "validation_windows": 4}
    values = architecture.sweep(rows(texts), **sizes, **short, rows=2, device="cpu").values
    assert values == architecture.sweep(str(path), **sizes, **short, rows=2, device="cpu").values


Call = Callable[[], object]
WRONG: dict[str, tuple[Call, str]] = {
    "number as a model": (lambda: architecture.audit(3), "3 is no model"),  # type: ignore[arg-type]
    "None as a model": (lambda: architecture.audit(None), "None is no model"),  # type: ignore[arg-type]
    "list as a model": (lambda: architecture.audit([1]), "is no model"),  # type: ignore[arg-type]
    "number as weights": (lambda: architecture.embedding_rank(3), "3 is no model"),  # type: ignore[arg-type]
    "layer as a model": (lambda: architecture.audit(torch.nn.Linear(2, 2)), "Linear"),  # type: ignore[arg-type]
    "layer as weights": (lambda: architecture.embedding_rank(torch.nn.Linear(2, 2)), "is no model"),  # type: ignore[arg-type]
    "configuration without weights": (
        lambda: architecture.embedding_rank(transformers.GPT2Config()),  # type: ignore[arg-type]
        "GPT2Config is a configuration without weights",
    ),
    "wrong field": (lambda: architecture.plan(parms=1e9), "unknown key 'parms'"),  # type: ignore[call-arg]
    "no budget": (architecture.plan, "params"),
    "text as a budget": (lambda: architecture.plan("many"), "'many' is not a size"),  # type: ignore[arg-type]
    "None as a budget": (lambda: architecture.plan(params=None), "params is None"),  # type: ignore[arg-type]
    "truth as a budget": (lambda: architecture.plan(params=True), "give a number"),
    "text as a depth": (lambda: architecture.bounds(depth="six"), "depth is 'six'"),  # type: ignore[arg-type]
    "half a depth": (lambda: architecture.match(depth=2.5), "depth is 2.5"),  # type: ignore[arg-type]
    "too deep": (lambda: architecture.rank(depth=11), "up to depth 10"),
    "number as losses": (lambda: architecture.fit(3), "neither a CSV file nor rows"),  # type: ignore[arg-type]
    "text as rows": (lambda: architecture.fit("losses"), "no file 'losses'"),
    "rows without a loss": (lambda: architecture.fit([(1e6, 6)]), "row 1 has no 'loss'"),
    "row of another kind": (lambda: architecture.fit([1.0]), "row 1 is 1.0"),
    "half a layer": (lambda: architecture.fit([(1e6, 6.5, 3.0)]), "row 1: 6.5 is not a whole number"),
    "loss of text": (lambda: architecture.fit([(1e6, 6, "low")]), "row 1: could not convert"),
    "no rows": (lambda: architecture.fit([]), "there are no rows: give at least one, or a CSV"),
    "columns of two lengths": (lambda: architecture.fit({"size": [1e6], "depth": []}), "all of one length"),
    "no pair": (lambda: architecture.fit({6: [3.0]}), "6 is no (size, depth)"),  # type: ignore[arg-type]
    "number as text": (lambda: architecture.sweep(3), "neither a file nor a list of rows"),  # type: ignore[arg-type]
    "texts of numbers": (lambda: architecture.sweep([3] * 30), "row 1 is 3: give (text)"),
    "one depth": (lambda: architecture.sweep(depths=[2]), "at least two, rising"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_types_end_in_one_line(name: str) -> None:
    call, says = WRONG[name]
    with pytest.raises(InputError) as caught:
        call()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
