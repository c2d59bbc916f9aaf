"""What is in memory gives the values that a path to it gives; a user's network comes back as it was."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import seqtant
from seqtant import subtasks
from seqtant.errors import InputError, NothingToSayError
from seqtant.lm import load
from seqtant.runs.recorder import Context
from seqtant.settings import config_hash
from seqtant.subtasks.checks import check
from seqtant.subtasks.config import CompareConfig, NetworkConfig, OptimizationConfig, TrainConfig
from seqtant.subtasks.rows.problem_rows import arithmetic_rows, load_rows, read_rows, write_rows

ROWS = arithmetic_rows(120, np.random.default_rng(0), longest=2)
SMALL = {"network": NetworkConfig(width=16), "updates": 4, "evaluate_every": 4, "test_rows": 20, "device": "cpu"}
DECODER = {
    "network": NetworkConfig(kind="decoder", width=16, depth=1, heads=2),
    "optimization": OptimizationConfig(batch=4),
    "updates": 2,
    "test_rows": 4,
    "device": "cpu",
}


@pytest.fixture
def rows_file(tmp_path):
    write_rows(tmp_path / "rows.jsonl", ROWS)
    return tmp_path / "rows.jsonl"


@pytest.fixture
def network(tiny_model):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)


def untimed(result):
    return {key: value for key, value in result.values.items() if "seconds" not in key}


def test_rows_of_every_kind_are_the_same_rows(rows_file):
    wanted = [row.to_json() for row in read_rows(rows_file)]
    records = [row.to_json() for row in ROWS]
    triples = [(row.input, row.steps, row.answer) for row in ROWS]
    for given in (ROWS, records, triples, tuple(records), iter(triples)):
        assert [row.to_json() for row in read_rows(given)] == wanted
    bits = read_rows([(np.array([1, 0]), [{"value": np.int64(1), "reads": np.array([0, 1])}], np.int64(1))])[0]
    assert bits.to_json() == {"input": (1, 0), "steps": [{"value": 1, "reads": (0, 1)}], "answer": 1}
    assert read_rows([("a", [{"text": None, "value": 2, "reads": None}], 2)])[0].steps[0].written == "2"
    assert read_rows(ROWS)[4].place == "row 5"


def test_a_data_frame_and_a_dataset_are_rows():
    pandas = pytest.importorskip("pandas", reason="the extra 'data' is not installed")
    frame = pandas.DataFrame([row.to_json() for row in ROWS])
    assert [row.to_json() for row in read_rows(frame)] == [row.to_json() for row in ROWS]
    with pytest.raises(InputError, match="holds rows, not a task"):
        subtasks.make(frame)


def test_splits_are_a_mapping_or_a_folder(tmp_path):
    subtasks.make("parity", bits=8, rows=20, out=tmp_path, seed=3)
    made = subtasks.make_rows(subtasks.parity(8, seed=3), 20, seed=3)
    read = load_rows(tmp_path)
    assert {split: [row.to_json() for row in rows] for split, rows in made.items()} == {
        split: [row.to_json() for row in rows] for split, rows in read.items()
    }
    assert subtasks.check(made).values == subtasks.check(tmp_path).values
    assert load_rows({"train": ROWS[:2]})["train"][1].place == "train, row 2"
    assert load_rows({"train": ROWS[:2]})["test"] == []
    mixed = subtasks.check({"train": tmp_path / "train.jsonl", "test": made["test"]})
    assert (mixed.values["rows"], mixed.values["violations"]) == (25, 0)
    with pytest.raises(InputError, match="unknown split 'tset'"):
        subtasks.check({"train": ROWS, "tset": ROWS})
    with pytest.raises(InputError, match="there are no rows"):
        subtasks.check({"train": []})


def test_equal_rows_in_two_splits_are_found_in_memory():
    result = subtasks.check({"train": [*ROWS[:3], ROWS[0]], "test": ROWS[1:2]})
    assert (result.values["duplicate"], result.values["split_overlap"]) == (1, 1)
    table = next(table for table in result.tables if table.name == "examples")
    assert table.rows[1] == ("split_overlap", "test, row 1", "same input as train, row 2 (train)")


def test_rows_in_memory_give_the_values_of_their_file(rows_file, network, tiny_model):
    assert subtasks.check(ROWS, tokenizer=network[1]).values == subtasks.check(rows_file, tokenizer=tiny_model).values
    assert (
        subtasks.augment(ROWS, tokenizer=network).values
        == subtasks.augment(str(rows_file), tokenizer=str(tiny_model)).values
    )
    assert untimed(subtasks.train(ROWS, **DECODER)) == untimed(subtasks.train(rows_file, **DECODER))
    settings = DECODER | {"arms": "steps,answer", "seeds": 1}
    assert untimed(subtasks.compare(iter(ROWS), **settings)) == untimed(subtasks.compare(rows_file, **settings))
    bits = subtasks.make_rows(subtasks.parity(8), 40)["train"]
    write_rows(rows_file, bits)
    assert untimed(subtasks.solve_gf2(bits)) == untimed(subtasks.solve_gf2(rows_file))


def test_a_task_object_is_the_task_of_that_name():
    task = subtasks.parity(8)
    named = {"bits": 8}
    assert subtasks.make(task, rows=20).values == subtasks.make("parity", rows=20, **named).values
    assert untimed(subtasks.train(task, **SMALL)) == untimed(subtasks.train("parity", **named, **SMALL))
    looks = {"network": NetworkConfig(width=8), "candidates": 3, "samples": 64}
    assert subtasks.probe(task, **looks).values == subtasks.probe("parity", **named, **looks).values
    pair = subtasks.compare(task, seeds=1, **SMALL), subtasks.compare("parity", seeds=1, **named, **SMALL)
    assert untimed(pair[0]) == untimed(pair[1])
    assert [finding.assumptions for finding in pair[0].findings] == [
        finding.assumptions for finding in pair[1].findings
    ]


def test_what_was_trained_is_evaluated_without_a_folder(tmp_path):
    task = subtasks.parity(8)
    fitted = subtasks.fit_network(task, "steps", SMALL["network"], updates=4, context=Context(device="cpu"))
    files = subtasks.save_trained(fitted.trained, tmp_path / "kept")
    assert [file.name for file in files] == ["model.safetensors", "subtasks.json"]
    by_path = subtasks.evaluate(tmp_path / "kept", test_rows=20, device="cpu")
    fitted.network.train()
    for model in (fitted, fitted.trained, subtasks.load_trained(tmp_path / "kept")):
        assert subtasks.evaluate(model, test_rows=20, device="cpu").values == by_path.values
    assert fitted.network.training
    splits = load_rows(ROWS)
    settings = {"network": DECODER["network"], "optimization": DECODER["optimization"], "updates": 2}
    written = subtasks.fit_rows(splits, "pause", **settings, context=Context(device="cpu"))
    subtasks.save_trained(written.trained, tmp_path / "rows")
    by_path = subtasks.evaluate(tmp_path / "rows", ROWS, test_rows=4, device="cpu")
    assert subtasks.evaluate(written, splits, test_rows=4, device="cpu").values == by_path.values
    with pytest.raises(InputError, match="'<FittedRows in memory>' was trained on rows: give --rows"):
        subtasks.evaluate(written)


def test_a_language_model_in_memory_gives_the_values_of_its_folder(network, tiny_model, rows_file):
    result = subtasks.evaluate(network, ROWS, test_rows=4, device="cpu")
    assert result.values == subtasks.evaluate(tiny_model, rows_file, test_rows=4, device="cpu").values
    assert result.command == ""
    assert str(result.config["rows"]).startswith("<120 rows in memory, sha256 ")


def test_a_base_in_memory_is_adapted_as_a_copy(network, tiny_model):
    pytest.importorskip("peft", reason="the extra 'peft' is not installed")
    before = {name: value.clone() for name, value in network[0].state_dict().items()}
    settings = {"updates": 2, "test_rows": 4, "optimization": OptimizationConfig(batch=4), "lora_rank": 2}
    result = subtasks.train(ROWS, base=network, **settings, device="cpu")
    assert untimed(result) == untimed(subtasks.train(ROWS, base=str(tiny_model), **settings, device="cpu"))
    after = network[0].state_dict()
    assert list(after) == list(before), "no LoRA matrices are left behind"
    assert all(torch.equal(after[name], value) for name, value in before.items())


def modes(network):
    trained = [parameter.requires_grad for parameter in network.parameters()]
    return [module.training for module in network.modules()], trained


@pytest.mark.parametrize("verb", ["evaluate", "train"])
def test_a_network_in_training_comes_back_in_training(verb, network):
    """The decoder inside: weights that learned learn again, others stay frozen."""
    network[0].train()
    network[0].model.norm.weight.requires_grad_(False)
    wanted = modes(network[0].model)
    run_on(verb, network)
    assert modes(network[0].model) == wanted


@pytest.mark.parametrize("verb", ["evaluate", "train"])
def test_so_does_its_head(verb, network):
    network[0].train()
    wanted = modes(network[0])
    run_on(verb, network)
    assert modes(network[0]) == wanted


def run_on(verb, network):
    if verb == "evaluate":
        subtasks.evaluate(network, ROWS, test_rows=2, device="cpu")
        return
    pytest.importorskip("peft", reason="the extra 'peft' is not installed")
    subtasks.train(
        ROWS, base=network, updates=1, test_rows=2, optimization=OptimizationConfig(batch=2), lora_rank=1, device="cpu"
    )


def test_the_reference_model_loaded_is_the_reference_model(network):
    loaded = load("reference", device="cpu")
    assert check(loaded, Context(device="cpu")).values == check("reference", Context(device="cpu")).values
    with pytest.raises(NothingToSayError, match="--tasks FILE"):
        check(network, Context(device="cpu"))
    with pytest.raises(InputError, match="for a language model give --rows"):
        subtasks.evaluate(network)


def test_a_record_names_what_was_in_memory():
    task = subtasks.parity(8, seed=1)
    other = subtasks.parity(8, seed=2)
    assert config_hash(TrainConfig(task)) != config_hash(TrainConfig(other))
    assert config_hash(CompareConfig(ROWS)) != config_hash(CompareConfig(ROWS[1:]))
    assert config_hash(CompareConfig({"train": ROWS})) != config_hash(CompareConfig({"test": ROWS}))
    result = subtasks.make(task, rows=8)
    assert result.config["task"] == f"<parity of 4 of 8 bits in memory, {task.fingerprint}>"
    assert result.command == ""


def test_stored_records_hash_as_they_did():
    """The hash of the default settings of each verb, and of the GPU presets, as version 0.1 wrote it."""
    assert config_hash(TrainConfig()) == "72318fefd0b9fb54"
    assert config_hash(TrainConfig.gpu()) == "88dfb078dd88d3d3"
    assert config_hash(CompareConfig()) == "5007b7c344c31521"
    assert config_hash(CompareConfig.smoke()) == "317cd55e838eaf1f"
    assert config_hash(CompareConfig.gpu()) == "92451b56d6a9bd95"
    assert config_hash(subtasks.EvalConfig.smoke()) == "8a2fa0c982b67e96"
    assert config_hash(subtasks.OneStepConfig()) == "c8674e4be7ea0557"
    assert config_hash(subtasks.SolveGf2Config()) == "4ffd6f241542a341"


@dataclasses.dataclass
class Half:
    """A user's row without an answer."""

    input: str = "1+2"
    steps: tuple[str, ...] = ("1+2=3",)


@pytest.mark.parametrize(
    ("verb", "arguments", "settings", "says"),
    [
        ("evaluate", (3,), {}, "3 is no model"),
        ("evaluate", (None,), {}, "None is no model"),
        ("evaluate", ("reference", 7), {}, "7 is neither a file nor a list of rows"),
        ("check", (5,), {}, "5 is neither a file nor a list of rows"),
        ("check", (None,), {}, "None is neither a file"),
        ("check", ("a text",), {}, "no file 'a text'"),
        ("check", ([3],), {}, "row 1 is 3: give (input, steps, answer)"),
        ("check", ([Half()],), {}, "row 1 has no 'answer': it has input, steps"),
        ("check", ([],), {}, "there are no rows"),
        ("check", ([("a", "b", 1)],), {}, "row 1: 'steps' must be a list"),
        ("check", (ROWS,), {"tokenizer": 5}, "give one, or a CausalLM"),
        ("check", (ROWS,), {"max_arity": "two"}, "max_arity is 'two': give a whole number"),
        ("check", (ROWS,), {"max_arty": 2}, "unknown key 'max_arty' (did you mean 'max_arity'?)"),
        ("augment", (ROWS,), {"arms": "partial"}, "arms.0 is 'partial'"),
        ("augment", (ROWS,), {"arms": ()}, "give at least one of"),
        ("make", (ROWS,), {}, "rows in memory, sha256"),
        ("make", (5,), {}, "5 is no task: give a name, a file, a Task or a list of rows"),
        ("train", (None,), {}, "None is no task"),
        ("train", ("parity",), {"bits": "many"}, "bits is 'many': give a whole number"),
        ("train", ("parity",), {"bits": None}, "bits is None: give a whole number"),
        ("train", ("parity",), {"network": "lstm"}, "network: Input should be a dictionary or an instance of"),
        ("train", ("parity",), {"base": 5}, "5 is no model"),
        ("probe", (ROWS,), {}, "holds rows, not a task"),
        ("compare", ("parity",), {"seeds": 0}, "seeds is 0: give a number of at least 1"),
        ("one_step", (), {"bits": float("nan")}, "NaN is no setting"),
        ("solve_gf2", ([("text", [], 1)],), {}, "every input must be a list of bits of one length"),
        ("solve_gf2", ([([0, 1], [], 2)],), {}, "every answer must be one bit, 0 or 1"),
    ],
)
def test_wrong_types_end_in_one_line(verb, arguments, settings, says):
    with pytest.raises(InputError) as caught:
        getattr(subtasks, verb)(*arguments, **settings)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_importing_the_package_loads_nothing_heavy():
    import subprocess
    import sys

    heavy = "import sys, seqtant.subtasks; print({'numpy', 'torch', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert set(subtasks.__all__) >= {"evaluate", "train", "Row", "Task", "parity"}
    assert seqtant.subtasks.train.name == "subtasks.train"
