"""Every verb end to end: what it records, the folder it writes, and bad input refused in one line with exit code 2."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seqtant import cli, subtasks
from seqtant.errors import InputError, NothingToSayError
from seqtant.instruments import figures
from seqtant.runs.recorder import Context
from seqtant.subtasks.checks import check
from seqtant.subtasks.config import CompareConfig, NetworkConfig, OptimizationConfig, TrainConfig
from seqtant.subtasks.instruments.compare import median_updates
from seqtant.subtasks.rows.problem_rows import arithmetic_rows, write_rows

CPU = Context(device="cpu")
DECODER = NetworkConfig(kind="decoder", width=16, depth=1, heads=2)


def test_checkup_solves_the_reference_models_sums_with_and_without_steps():
    result = check("reference", CPU)
    assert result.instrument == "subtasks.eval"
    assert result.values["accuracy_with_steps"] > result.values["accuracy_without_steps"] + 0.3
    table = next(table for table in result.tables if table.name == "problems")
    assert [row[0] for row in table.rows] == list(range(1, 8))
    problems = [row.value for row in result.measurements if row.key == "right_on_own_steps"]
    assert np.mean(problems) == pytest.approx(result.values["accuracy_with_steps"]), "kept one by one, for pairs"


def test_checkup_solves_a_users_rows_and_says_what_it_needs_without_them(tmp_path, tiny_model):
    with pytest.raises(NothingToSayError, match="--tasks FILE"):
        check("some/other-model", CPU)
    rows = tmp_path / "rows.jsonl"
    write_rows(rows, arithmetic_rows(60, np.random.default_rng(0), longest=2))
    result = check(str(tiny_model), CPU, rows=rows)
    assert {"accuracy", "accuracy_direct", "exposure_gap"} <= result.values.keys()
    assert result.series("right_on_own_steps")


def test_train_then_eval_on_a_task(tmp_path):
    config = TrainConfig(bits=8, network=NetworkConfig(width=64), updates=30, evaluate_every=15, test_rows=64)
    trained = subtasks.train.run(config, Context(device="cpu", folder=tmp_path))
    again = subtasks.evaluate(str(tmp_path / "model"), test_rows=64, device="cpu")
    assert again.values["accuracy"] == trained.values["accuracy"]
    assert again.values["chain_accuracy"] == trained.values["chain_accuracy"]
    drawn = subtasks.evaluate(str(tmp_path / "model"), test_rows=64, decode="sample", device="cpu")
    assert drawn.values.keys() == again.values.keys()


def test_train_then_eval_on_rows(tmp_path):
    config = TrainConfig(
        task="arithmetic",
        network=DECODER,
        optimization=OptimizationConfig(batch=8),
        updates=6,
        evaluate_every=6,
        test_rows=8,
    )
    trained = subtasks.train.run(config, Context(device="cpu", folder=tmp_path))
    again = subtasks.evaluate(str(tmp_path / "model"), rows="arithmetic", test_rows=8, device="cpu")
    assert again.values["accuracy"] == trained.values["accuracy"]
    with pytest.raises(InputError, match="give --rows"):
        subtasks.evaluate(str(tmp_path / "model"), device="cpu")


def test_a_small_decoder_can_learn_rows_by_heart(tmp_path):
    """Ten rows, many updates: the loss on what is learned must fall to where the text is written again."""
    from seqtant.subtasks.rows.layout import arm_layouts
    from seqtant.subtasks.training.fitting import fit_rows

    rows = arithmetic_rows(6, np.random.default_rng(0), longest=2)
    fitted = fit_rows(
        {"train": rows, "validation": rows, "test": rows},
        "steps",
        NetworkConfig(kind="decoder", width=32, depth=1, heads=2),
        OptimizationConfig(batch=6, learning_rate=0.01, warmup=10),
        noise=0.0,
        updates=120,
        evaluate_every=120,
        seed=0,
        context=CPU,
    )
    scores = fitted.solve(rows, arm_layouts(rows, "steps", np.random.default_rng(0)))
    assert scores.chain.all()


def test_language_models_are_adapted_with_lora(tmp_path, tiny_model):
    pytest.importorskip("peft", reason="the extra 'peft' is not installed")
    config = TrainConfig(
        task="arithmetic",
        base=str(tiny_model),
        updates=3,
        test_rows=4,
        optimization=OptimizationConfig(batch=4),
        lora_rank=2,
    )
    result = subtasks.train.run(config, Context(device="cpu", folder=tmp_path))
    # Rank 2, inputs plus outputs of q, k, v, o (16 to 16), gate and up (16 to 32) and down (32 to 16).
    assert result.values["trained_parameters"] == 2 * (4 * 32 + 2 * 48 + 48)
    again = subtasks.evaluate(str(tmp_path / "model"), rows="arithmetic", test_rows=4, device="cpu")
    assert again.values["accuracy"] == result.values["accuracy_after"]


def test_a_comparison_draws_curves_times_and_steps():
    config = CompareConfig(
        bits=8, network=NetworkConfig(width=32), seeds=2, updates=20, evaluate_every=10, test_rows=20
    )
    result = subtasks.compare.run(config, CPU)
    drawn = {figure.name: figure for figure in figures(result)}
    assert set(drawn) == {"curves", "times", "steps"}
    assert len(drawn["times"].table.rows) == 4
    assert {row[3] for row in drawn["times"].table.rows} == {False}, "nothing reaches 90 % in 20 updates"
    assert result.values["updates_to_99"] is None


def test_a_median_beyond_the_budget_is_none():
    assert median_updates([100, 200, None]) == 200
    assert median_updates([100, None, None]) is None


def test_rows_are_compared_too():
    config = CompareConfig(
        task="arithmetic",
        arms=("steps", "pause"),
        network=DECODER,
        optimization=OptimizationConfig(batch=4),
        seeds=1,
        updates=2,
        evaluate_every=2,
        test_rows=4,
    )
    assert {"accuracy_with_steps", "accuracy_without_steps", "chance"} <= subtasks.compare.run(
        config, CPU
    ).values.keys()


def test_commands_speak_json(tmp_path, capsys):
    assert (
        cli.call(
            [
                "subtasks",
                "make",
                "parity",
                "--bits",
                "12",
                "--rows",
                "64",
                "--seed",
                "7",
                "--out",
                str(tmp_path),
                "--json",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["values"]["train_rows"] == 64
    assert len(json.loads((tmp_path / "manifest.json").read_text())["subset"]) == 6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("make", "parity", "--bits", "10"), "multiple of 4"),
        (("make", "parity", "--bits", "8", "--rows", "9999"), "ask for fewer rows"),
        (("make", "parity", "--rows", "1e12"), "rows is 1000000000000: of 16 items each at most 16777216 fit"),
        (("compare", "parity", "--set", "test_rows=1000000000000"), "test_rows is 1000000000000"),
        (("make", "paritty"), "unknown task 'paritty' (did you mean 'parity'?)"),
        (("make", "missing.json"), "no file 'missing.json'"),
        (("check", "missing.jsonl"), "no file 'missing.jsonl'"),
        (("augment", "missing.jsonl"), "no file 'missing.jsonl'"),
        (("augment", "--arm", "partial"), 'Choose from: "steps", "answer", "pause", "shuffled", "noisy"'),
        (("train", "parity", "--network", "decoder", "--width", "30", "--set", "network.heads=4"), "divide the width"),
        (("train", "arithmetic"), "give --network decoder"),
        (("train", "parity", "--base", "reference"), "give a .jsonl file"),
        (("eval", "missing-folder"), "is not what 'subtasks train' wrote"),
        (("eval", "reference", "--decode", "teacher"), "rows are solved on the model's own steps"),
        (("probe", "arithmetic"), "'arithmetic' holds rows, not a task"),
        (("probe", "rows.jsonl"), "'rows.jsonl' holds rows, not a task"),
        (("probe", "paritty"), "give addition, parity, sum or a circuit.json"),
        (("compare", "parity", "--arm", "steps", "--arm", "steps"), "name each arm once"),
        (("compare", "parity", "--bits", "0"), "bits is 0"),
        (("one-step", "--subset-size", "24"), "power of two"),
        (("one-step", "--samples", "1e12"), "of 64 items each at most 4194304 fit"),
        (("solve-gf2", "--bits", "0"), "bits is 0"),
        (("solve-gf2", "--samples", "1e12"), "of 512 items each at most 524288 fit"),
        (("solve-gf2", "--rows", "missing.jsonl"), "no file 'missing.jsonl'"),
    ],
)
def test_bad_input_ends_in_one_line_and_exit_code_2(arguments, says, capsys):
    assert cli.call(["subtasks", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len([line for line in captured.err.splitlines() if line.strip()]) == 1
    assert says in captured.err
