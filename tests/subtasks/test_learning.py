"""Training, solving and scoring: a network that knows, one that learns, one that diverges, one that goes on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtant import subtasks
from seqtant.errors import InputError, TrainingError
from seqtant.lm.interface import CausalLM, LMOutput
from seqtant.runs.recorder import Context
from seqtant.subtasks.config import ArmSettings, NetworkConfig, OptimizationConfig
from seqtant.subtasks.networks.checkpoint import TrainedNetwork, load_trained, save_trained
from seqtant.subtasks.networks.networks import NetworkLM, build_network
from seqtant.subtasks.tasks.arms import TaskBatches, arm_of, sequences
from seqtant.subtasks.tasks.builtin import addition, parity
from seqtant.subtasks.tasks.splits import SPLITS, draw_distinct, draw_inputs, split_of, split_rows
from seqtant.subtasks.training.decoding import Scores, solve
from seqtant.subtasks.training.fitting import Point, RowBatches, final_scores, fit_network

SETTINGS = ArmSettings(noise=0.25, level=2)
CPU = Context(device="cpu")


class Knowing(CausalLM):
    """Computes the steps itself, and errs at one of them if told so."""

    name = "knowing"

    def __init__(self, task, wrong=None):
        self.task, self.wrong, self.vocabulary_size = task, wrong, task.alphabet

    def forward(self, input_ids, attention_mask=None, *, cache=None, keep=None, use_cache=False):
        seen = input_ids if cache is None else torch.cat([cache, input_ids], dim=1)
        logits = torch.zeros(*input_ids.shape, self.vocabulary_size)
        for offset in range(input_ids.shape[1]):
            place = seen.shape[1] - input_ids.shape[1] + offset + 1
            number = place - self.task.inputs
            if 0 <= number < self.task.length:
                step = self.task.steps[number]
                index = torch.zeros(len(seen), dtype=torch.long)
                for read in step.reads:
                    index = index * self.task.alphabet + seen[:, read]
                value = torch.tensor(step.table)[index]
                value = (value + (number == self.wrong)) % self.task.alphabet
                logits[torch.arange(len(seen)), offset, value] = 5.0
        kept = logits[:, -keep:] if isinstance(keep, int) else logits if keep is None else logits[:, keep]
        return LMOutput(kept, cache=seen if use_cache else None)

    def select_rows(self, cache, rows):
        return cache[rows]


@pytest.mark.parametrize("task", [parity(16), addition(3)], ids=["parity", "addition"])
@pytest.mark.parametrize("decode", ["free", "teacher"])
def test_a_model_that_knows_the_steps_makes_no_error(task, decode):
    inputs = draw_inputs(task, "test", 50, np.random.default_rng(0))
    scores = solve(Knowing(task), task, arm_of("steps", task, SETTINGS, 0), inputs, decode=decode)
    assert scores.answer.all()
    assert scores.chain.all()


def test_an_error_at_a_leaf_flips_the_root_on_own_steps_but_not_given_the_truth():
    task = parity(16)
    inputs = draw_inputs(task, "test", 64, np.random.default_rng(0))
    arm = arm_of("steps", task, SETTINGS, 0)
    own = solve(Knowing(task, wrong=1), task, arm, inputs)
    given = solve(Knowing(task, wrong=1), task, arm, inputs, decode="teacher")
    assert own.per_step.tolist() == [1, 0, 1, 1, 0, 1, 0]
    assert given.per_step.tolist() == [1, 0, 1, 1, 1, 1, 1]
    assert own.first_errors == [0, 64, 0, 0, 0, 0, 0, 0]


def test_scores_of_ragged_rows_count_what_is_there():
    right = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 0]], dtype=bool)
    there = np.array([[1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=bool)
    scores = Scores(right, right[:, -1], there)
    assert scores.per_step.tolist() == [1.0, 0.5, pytest.approx(1 / 3)]
    assert scores.chain.tolist() == [True, False, False]
    assert scores.first_errors == [0, 1, 1, 1]
    alone = Scores(right, right[:, -1], np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0]], dtype=bool))
    assert alone.per_step.tolist() == [pytest.approx(2 / 3), 1.0, 1.0], "one row is enough"


def test_arms_write_what_they_say():
    task, inputs = parity(16), np.random.default_rng(3).integers(2, size=(400, 16))
    truth = task.labels(inputs)
    pause = arm_of("pause", task, SETTINGS, 0)
    steps = arm_of("steps", task, SETTINGS, 0)
    assert sequences(task, pause, inputs)[0].shape == sequences(task, steps, inputs)[0].shape, "equal compute"
    assert (pause.prompt(task, inputs)[:, 16:] == 2).all()
    assert arm_of("answer", task, SETTINGS, 0).prompt(task, inputs).shape == (400, 16)
    shuffled = arm_of("shuffled", task, SETTINGS, 1)
    assert sorted(shuffled.written) == list(range(7))
    assert shuffled.written[-1] == 6
    assert shuffled.written != steps.written
    partial = arm_of("partial", task, SETTINGS, 0)
    assert partial.written == (4, 5, 6)
    noisy = arm_of("noisy", task, SETTINGS, 0)
    written = noisy.target(task, inputs, np.random.default_rng(0))
    assert (written[:, :-1] != truth[:, :-1]).mean() == pytest.approx(0.25, abs=0.03)
    assert (written[:, -1] == truth[:, -1]).all()
    assert (noisy.target(task, inputs) == truth).all(), "tests are never noisy"
    with pytest.raises(InputError, match="drops no step"):
        arm_of("partial", task, ArmSettings(level=1), 0)


def test_addition_at_once_is_written_as_people_do():
    task = addition(2)
    arm = arm_of("answer", task, SETTINGS, 0)
    assert arm.target(task, np.array([[7, 9, 5, 2]])).tolist() == [[1, 2, 2]]


def test_streams_never_leave_their_split():
    task = parity(8)
    batches = TaskBatches(task, arm_of("steps", task, SETTINGS, 0), rows=64, seed=1)
    rows = np.concatenate([batches.batch(step)["input_ids"][:, :8].numpy() for step in range(20)])
    assert set(split_rows(rows)) == {"train"}
    held_out = {tuple(row) for row in draw_inputs(task, "test", 100, np.random.default_rng(0)).tolist()}
    assert not held_out & {tuple(row) for row in rows.tolist()}


def test_too_few_inputs_are_told():
    with pytest.raises(InputError, match="in the split 'train', not 300"):
        draw_distinct(parity(8), "train", 300, np.random.default_rng(0))


def fit(folder=None, *, updates=40, arm="steps", **optimization):
    task = parity(8)
    return fit_network(
        task,
        arm_of(arm, task, SETTINGS, 0),
        NetworkConfig(width=128),
        OptimizationConfig(**optimization),
        updates=updates,
        evaluate_every=20,
        seed=0,
        context=Context(device="cpu", folder=folder),
    )


def test_eight_bits_are_learned_with_the_recurrent_matrix_alone():
    fitted = fit(updates=300)
    free, teacher = final_scores(fitted, 200, 0)
    assert free.answer_accuracy.value > 0.95
    assert teacher.per_step.min() > 0.95
    assert 0 < fitted.weight_change < 0.3
    assert fitted.updates_to(0.9) is not None


def test_a_run_that_goes_on_has_the_whole_curve(tmp_path):
    whole = fit(tmp_path / "whole")
    import shutil

    shutil.copytree(tmp_path / "whole", tmp_path / "resumed")
    again = fit(tmp_path / "resumed")
    assert again.curve == whole.curve
    assert again.weight_change == pytest.approx(whole.weight_change)


def test_a_loss_that_is_no_number_stops_the_run_with_a_clear_message():
    with pytest.raises(TrainingError, match="lower the learning rate"):
        fit(updates=200, learning_rate=1e30, clip=1e30)


@pytest.mark.parametrize("kind", ["elman", "lstm", "decoder", "masked"])
def test_a_trained_network_is_kept_and_read_back(tmp_path, kind):
    config = NetworkConfig(kind=kind, width=8, depth=1, heads=2)
    task = parity(8)
    arm = arm_of("pause", task, SETTINGS, 0)
    network = build_network(config, vocabulary=3, context=11, seed=4)
    kept = TrainedNetwork(
        network=network, config=config, vocabulary=3, context=11, arm_name="pause", task=task, arm=arm
    )
    save_trained(kept, tmp_path)
    back = load_trained(tmp_path)
    tokens = torch.randint(3, (2, 11))
    assert torch.equal(back.network(tokens), network(tokens))
    assert back.task.fingerprint == task.fingerprint
    assert back.arm == arm
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="damaged"):
        load_trained(tmp_path)


def test_padding_is_refused():
    network = build_network(NetworkConfig(width=4), vocabulary=2, context=4, seed=0)
    with pytest.raises(InputError, match="reads no padding"):
        NetworkLM(network, 2).forward(torch.zeros(1, 2, dtype=torch.long), torch.tensor([[0, 1]]))


def test_position_vectors_can_be_long_from_the_start():
    config = NetworkConfig(kind="decoder", width=64, depth=1, heads=2, embedding_scale=1.0)
    network = build_network(config, vocabulary=2, context=50, seed=0)
    assert float(network.get_parameter("positions.weight").detach().std()) == pytest.approx(1.0, rel=0.05)
    with pytest.raises(InputError, match="embedding_scale"):
        NetworkConfig(kind="decoder", embedding_scale=0.0)


def test_what_is_known_of_a_parity_says_whether_it_can_be_learned_by_heart():
    """4 x 2^8 rows seen is the limit: 16 updates of 64 rows reach it, 17 pass it."""
    settings = {"arms": "answer", "seeds": 1, "network": NetworkConfig(width=8), "test_rows": 20, "device": "cpu"}
    for updates, status in ((16, "holds"), (17, "fails")):
        result = subtasks.compare(subtasks.parity(8), updates=updates, **settings)
        (without,) = result.findings
        assert without.assumptions[0].status == status
        assert without.assumptions[0].how == f"{updates * 64} rows seen of 2^8 inputs; 70 possible subsets"
    result = subtasks.compare(subtasks.modular_sum(3, 5), updates=4, **settings)
    assert result.findings[0].assumptions[0].status == "not checked"


def test_a_curve_reaches_an_accuracy_at_the_first_point_that_has_it():
    fitted = fit(updates=1)
    fitted.curve = [Point(10, 0.5, 0.4), Point(20, 0.9, 0.8), Point(30, 0.95, 0.9)]
    assert fitted.updates_to(0.9) == 20
    assert fitted.updates_to(0.91) == 30
    assert fitted.updates_to(0.96) is None


def test_only_the_completion_of_a_row_is_learned_and_padding_is_not():
    batches = RowBatches((([1, 2, 3, 4], 2), ([5, 6], 1)), size=2, seed=0)
    made = batches.batch(0)
    rows = sorted(zip(made["input_ids"].tolist(), made["labels"].tolist(), strict=True))
    assert rows == [([1, 2, 3, 4], [-100, -100, 3, 4]), ([5, 6, 0, 0], [-100, 6, -100, -100])]
    every = [batches.batch(step)["input_ids"][:, 0].tolist() for step in range(6)]
    assert {tuple(each) for each in every} == {(1, 5), (5, 1)}, "a new order every epoch"


def test_splits_are_tenths_of_a_hash_that_never_change():
    """Rows that were written before must stay in their split."""
    splits = [split_of(str(number).encode()) for number in range(1000)]
    assert [number for number in range(40) if splits[number] == "test"] == [0, 15, 21, 34]
    assert [number for number in range(40) if splits[number] == "validation"] == [8, 11, 16, 19, 32, 39]
    assert {split: splits.count(split) for split in SPLITS} == {"train": 791, "validation": 103, "test": 106}
