"""What the published code does wrong, one test each: ours must not do it."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtant.lm.interface import CausalLM, LMOutput
from seqtant.runs.recorder import Context
from seqtant.subtasks.config import ArmSettings, NetworkConfig, OptimizationConfig
from seqtant.subtasks.networks.networks import build_network
from seqtant.subtasks.tasks.arms import TaskBatches, arm_of, sequences
from seqtant.subtasks.tasks.builtin import parity
from seqtant.subtasks.tasks.splits import draw_distinct, draw_inputs
from seqtant.subtasks.training.decoding import solve
from seqtant.subtasks.training.fitting import training_schedule
from seqtant.training import train

SETTINGS = ArmSettings()
PUBLISHED = json.loads(Path(__file__).with_name("published_rows.json").read_text(encoding="utf-8"))["tasks"]


class Scripted(CausalLM):
    """Prefers one token at every position, whatever it reads."""

    name = "scripted"

    def __init__(self, vocabulary, favorite):
        self.vocabulary_size, self.favorite = vocabulary, favorite

    def forward(self, input_ids, attention_mask=None, *, cache=None, keep=None, use_cache=False):
        logits = torch.zeros(*input_ids.shape, self.vocabulary_size)
        logits[..., self.favorite] = 9.0
        return LMOutput(logits[:, -1:] if keep is not None else logits, cache=0 if use_cache else None)

    def select_rows(self, cache, rows):
        return cache


def test_a_rows_are_told_apart_by_row_and_never_shared_by_two_splits():
    """There: duplicates were removed along columns, which also sorted the bits."""
    task, generator = parity(8), np.random.default_rng(0)
    drawn = {split: draw_distinct(task, split, 20, generator) for split in ("train", "validation", "test")}
    rows = [tuple(row) for each in drawn.values() for row in each.tolist()]
    assert len(set(rows)) == 60
    columns = [tuple(column) for column in drawn["train"].T.tolist()]
    assert columns != sorted(columns)


def test_b_the_answer_is_the_last_written_step_and_not_the_first():
    task = parity(8, subset=(0, 1, 2, 3))
    arm = arm_of("steps", task, SETTINGS, 0)
    inputs = np.array([[1, 0, 1, 0, 0, 0, 0, 0]])  # first step 1, answer 0
    assert not solve(Scripted(2, 1), task, arm, inputs).answer[0]
    assert solve(Scripted(2, 0), task, arm, inputs).answer[0]


@pytest.mark.parametrize("bits", [256, 512])
def test_c_the_largest_sizes_are_learned_from_in_parts_as_at_once(bits):
    """There: 256 bits were tested for twice, so that 512 never ran, nor ran in four parts of eight rows."""
    task = parity(bits)
    batches = TaskBatches(task, arm_of("steps", task, SETTINGS, 0), rows=8, seed=0)
    trained = {}
    for parts in (1, 4):
        network = build_network(
            NetworkConfig(kind="masked", width=2, depth=1), vocabulary=2, context=bits + task.length, seed=0
        )
        settings = OptimizationConfig(batch=8, accumulation=parts, warmup=1)
        train(network, batches, training_schedule(network, settings, 2, 2), context=Context(device="cpu"))
        trained[parts] = network(batches.batch(5)["input_ids"])
    assert trained[1].shape == (8, bits + bits // 2 - 1, 2)
    assert torch.allclose(trained[1], trained[4], atol=1e-5)


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda each: f"{each['bits']} bits")
def test_d_current_libraries_build_the_rows_of_the_published_code(published):
    """There: numpy.long and Trainer.add_argparse_args are gone, so that it runs in its pinned environment only.

    The rows are what its data set gave in numpy 1.23: subset, steps and answers must be the same bit for bit.
    """
    task = parity(published["bits"], seed=published["seed"])
    assert task.facts["subset"] == published["subset"]
    inputs = np.array([[int(bit) for bit in row["input"]] for row in published["rows"]])
    labels = task.labels(inputs)
    assert ["".join(map(str, row)) for row in labels.tolist()] == [row["steps"] for row in published["rows"]]
    alone = arm_of("answer", task, SETTINGS, 0).target(task, inputs)
    assert alone[:, 0].tolist() == [row["answer"] for row in published["rows"]]


def test_e_only_bits_are_written():
    """There: an untrained network could write a token that is no bit."""
    task = parity(8)
    arm = arm_of("pause", task, SETTINGS, 0)
    inputs = np.zeros((3, 8), dtype=np.int64)
    model = Scripted(arm.vocabulary(task), favorite=2)
    free = solve(model, task, arm, inputs)
    assert free.answer.all(), "of the two bits, both equally likely, the first is taken: the true answer of zeros"


def test_f_any_batch_can_be_asked_for_and_nothing_is_stored():
    """There: 64 million rows of 32 bits were made before the first update."""
    task = parity(32)
    batches = TaskBatches(task, arm_of("steps", task, SETTINGS, 0), rows=64, seed=0)
    tracemalloc.start()
    batch = batches.batch(10**6)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6
    assert torch.equal(batch["input_ids"], batches.batch(10**6)["input_ids"])
    assert not torch.equal(batch["input_ids"], batches.batch(0)["input_ids"])


def test_g_every_step_is_scored_on_own_steps():
    """There: only the accuracy of the last bit was kept."""
    task = parity(16)
    arm = arm_of("steps", task, SETTINGS, 0)
    inputs = draw_inputs(task, "test", 200, np.random.default_rng(0))
    scores = solve(Scripted(2, 0), task, arm, inputs)
    assert scores.per_step == pytest.approx(1 - task.labels(inputs).mean(axis=0))
    assert sum(scores.first_errors) == 200


def test_the_first_label_is_predicted_from_the_last_input_bit():
    task = parity(8)
    tokens, labels = sequences(task, arm_of("steps", task, SETTINGS, 0), np.zeros((1, 8), dtype=np.int64))
    assert (labels[0] != -100).tolist() == [False] * 8 + [True] * 3
    assert tokens.shape == (1, 11)
