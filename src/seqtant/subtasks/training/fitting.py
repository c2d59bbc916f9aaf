"""Training one network on one arm of a task, watched on its own steps as it learns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from seqtant.runs.context import Context
from seqtant.subtasks.config import NetworkConfig, OptimizationConfig
from seqtant.subtasks.networks.networks import NetworkLM, build_network, schedule_of
from seqtant.subtasks.tasks.arms import Arm
from seqtant.subtasks.tasks.splits import draw_inputs
from seqtant.subtasks.tasks.streaming import TaskBatches
from seqtant.subtasks.tasks.task import Task
from seqtant.subtasks.training.scores import Scores
from seqtant.subtasks.training.solving import solve
from seqtant.training import train

WATCHED = 512
"""Validation inputs behind each point of a learning curve."""


@dataclass(frozen=True)
class Point:
    """One look at a network under training."""

    update: int
    answer: float
    """Share of right answers on its own steps."""
    chain: float
    """Share of rows without any error."""
    steps: tuple[float, ...]
    """Accuracy of each written piece given the true earlier ones."""


@dataclass
class Fitted:
    """A trained network and how it got there."""

    network: nn.Module
    model: NetworkLM
    task: Task
    arm: Arm
    curve: list[Point] = field(default_factory=list)
    weight_change: float = 0.0
    """Length of the change of the trained weights over their initial length."""
    cpu_seconds: float = 0.0
    """Processor time of the training, looks at the validation rows included."""

    def updates_to(self, accuracy: float) -> int | None:
        """Updates at the first look at which the answer accuracy was at least this high; None if never."""
        return next((point.update for point in self.curve if point.answer >= accuracy), None)


def fit_network(
    task: Task,
    arm: Arm,
    network: NetworkConfig,
    optimization: OptimizationConfig,
    *,
    updates: int,
    evaluate_every: int,
    seed: int,
    context: Context,
) -> Fitted:
    """Trains a fresh network.

    Args:
        task: What it learns.
        arm: What is written.
        network: Its kind and shape.
        optimization: How it is trained.
        updates: Number of updates.
        evaluate_every: Updates between two looks.
        seed: Seed of the weights and the data.
        context: Device, folder of the checkpoints, progress.

    Raises:
        TrainingError: The loss or the gradient is not finite.
    """
    vocabulary = arm.vocabulary(task)
    length = task.inputs + arm.pauses + len(arm.written)
    fresh = build_network(network, vocabulary=vocabulary, context=length, seed=seed)
    fitted = Fitted(fresh, NetworkLM(fresh, vocabulary, length), task, arm)
    start = _trained_weights(fresh)
    watched = draw_inputs(task, "validation", WATCHED, np.random.default_rng([seed, 2]))
    started = time.process_time()

    def look(_: nn.Module) -> dict[str, float]:
        return _look(fitted, watched)

    history = train(
        fresh,
        TaskBatches(task, arm, optimization.batch, seed),
        schedule_of(fresh, optimization, updates, evaluate_every),
        context=replace(context, seed=seed),
        evaluate=look,
    )
    fitted.curve = [_point(update, numbers) for update, numbers in sorted(history.evaluations.items())]
    fitted.cpu_seconds = time.process_time() - started
    fitted.weight_change = relative_change(start, _trained_weights(fresh))
    return fitted


def final_scores(fitted: Fitted, rows: int, seed: int) -> tuple[Scores, Scores]:
    """A trained network on fresh inputs of the test split: on its own steps, and given the true ones."""
    inputs = draw_inputs(fitted.task, "test", rows, np.random.default_rng([seed, 3]))
    fitted.network.eval()
    fitted.model.device = next(fitted.network.parameters()).device
    free = solve(fitted.model, fitted.task, fitted.arm, inputs)
    return free, solve(fitted.model, fitted.task, fitted.arm, inputs, decode="teacher")


def relative_change(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> float:
    """Length of a change of weights over their length before.

    Example:
        >>> relative_change([torch.tensor([3.0, 4.0])], [torch.tensor([3.0, 4.5])])
        0.1
    """
    change = sum(float((new.cpu() - old).square().sum()) for old, new in zip(before, after, strict=True))
    return (change / sum(float(old.square().sum()) for old in before)) ** 0.5


def _trained_weights(network: nn.Module) -> list[torch.Tensor]:
    return [each.detach().cpu().clone() for each in network.parameters() if each.requires_grad]


def _look(fitted: Fitted, inputs: np.ndarray) -> dict[str, float]:
    """What the training loop keeps in its history, so that a resumed run has the whole curve."""
    fitted.model.device = next(fitted.network.parameters()).device
    free = solve(fitted.model, fitted.task, fitted.arm, inputs)
    teacher = solve(fitted.model, fitted.task, fitted.arm, inputs, decode="teacher")
    steps = {f"step {place}": float(accuracy) for place, accuracy in enumerate(teacher.per_step)}
    return {"answer": float(free.answer.mean()), "chain": float(free.chain.mean())} | steps


def _point(update: int, numbers: Mapping[str, float]) -> Point:
    steps = tuple(numbers[f"step {place}"] for place in range(len(numbers) - 2))
    return Point(update, numbers["answer"], numbers["chain"], steps)
