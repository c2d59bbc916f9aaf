"""A model solves inputs of a task: on its own steps, greedily and with a cache, or given the true ones."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int

from seqtant.lm.generation import generate
from seqtant.lm.interface import CausalLM
from seqtant.lm.sampling import Sampling
from seqtant.subtasks.config import Decoding
from seqtant.subtasks.tasks.arms import Arm, sequences
from seqtant.subtasks.tasks.task import Task
from seqtant.subtasks.training.scores import Scores

ROWS_AT_ONCE = 512
"""Rows of one forward pass given the true steps."""


def solve(
    model: CausalLM,
    task: Task,
    arm: Arm,
    inputs: Int[np.ndarray, "rows d"],
    *,
    decode: Decoding = "free",
    generator: torch.Generator | None = None,
) -> Scores:
    """Lets a model write and scores what it wrote; only tokens of the alphabet can be written.

    Args:
        model: A model over the task's tokens.
        task: The task.
        arm: What is written.
        inputs: Inputs to solve.
        decode: ``free`` takes the likeliest token after its own ones, ``sample`` draws it, ``teacher`` gives the truth.
        generator: Source of chance of ``sample``.
    """
    truth = arm.target(task, inputs)
    written = (
        _teacher(model, task, arm, inputs) if decode == "teacher" else _own(model, task, arm, inputs, decode, generator)
    )
    right = written == truth
    return Scores(right, right[:, list(arm.answer)].all(axis=1))


def _own(
    model: CausalLM, task: Task, arm: Arm, inputs: np.ndarray, decode: Decoding, generator: torch.Generator | None
) -> np.ndarray:
    prompts = list(torch.from_numpy(arm.prompt(task, inputs)))
    sampling = Sampling(temperature=0.0 if decode == "free" else 1.0, allowed_ids=tuple(range(task.alphabet)))
    made = generate(model, prompts, max_tokens=len(arm.written), sampling=sampling, generator=generator, stop_ids=[])
    return np.array([each.tokens for each in made])


def _teacher(model: CausalLM, task: Task, arm: Arm, inputs: np.ndarray) -> np.ndarray:
    tokens, _ = sequences(task, arm, inputs)
    first = task.inputs + arm.pauses - 1
    places = torch.arange(first, first + len(arm.written))
    found = []
    for rows in torch.from_numpy(tokens).split(ROWS_AT_ONCE):
        logits = model.forward(rows[:, :-1].to(model.device), keep=places).logits
        found.append(logits[..., : task.alphabet].argmax(dim=-1).cpu().numpy())
    return np.concatenate(found)
