"""How much of the gradient depends on what is to be learned: the signal that gradient descent has to find a target by.

A step's target is told from others of its kind: the same table read at other places. What varies from target to target
is signal; what varies from input to input is noise. The signal of a whole task is told from the same task with its
inputs in another order.

The theorem bounds the variance summed over weights. Whether training sees a target is another matter: a few weights
with large gradients may hold most of the noise and none of the signal, and an optimizer that scales every weight does
not mind them. Therefore the visibility is a mean over weights of signal over noise, weight by weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqtant.findings import Estimate
from seqtant.stats.bootstrap import percentile
from seqtant.subtasks.tasks.task import Step, Task

RESAMPLES = 400
SIGNS = 16
"""Random signs per input behind the noise of each weight."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """The gradient signal of one target."""

    name: str
    """``whole`` or the number of the step."""
    targets: float
    """Number of targets of this kind."""
    variance: Estimate
    """Variance of the gradient from target to target, summed over weights; unbiased, so it may come out below zero."""
    noise: float
    """Variance of the gradient from input to input, summed over weights."""
    gradient_square: float
    """Mean over inputs of the squared length of the output's gradient, F^2."""
    visibility: Estimate
    """Mean over weights of signal over noise: the inverse is the number of inputs that show the target."""
    square_over_noise: float
    """Mean over weights of F^2 over noise, which bounds the visibility as F^2 bounds the variance."""


def whole_signal(
    network: nn.Module, task: Task, inputs: np.ndarray, candidates: int, generator: np.random.Generator
) -> Signal:
    """Signal of the answer without steps, among tasks with permuted inputs.

    Args:
        network: A fresh network over the task's tokens.
        task: The task.
        inputs: Inputs, (n, d); if these are all inputs there are, nothing is left to sampling.
        candidates: Number of permutations, the task itself not counted.
        generator: Source of the permutations and signs.
    """
    orders = [np.arange(task.inputs), *(generator.permutation(task.inputs) for _ in range(candidates))]
    labels = [task.labels(inputs[:, order])[:, task.answer[-1]] for order in orders]
    count = _subsets(task) if task.is_parity_tree else float(math.factorial(min(task.inputs, 170)))
    return _signal(network, task, inputs, labels, "whole", count, generator, all_inputs=_is_all(task, inputs))


def step_signal(
    network: nn.Module, task: Task, step: int, inputs: np.ndarray, candidates: int, generator: np.random.Generator
) -> Signal:
    """Signal of one step given the true earlier ones, among the same table read elsewhere.

    Args:
        network: A fresh network over the task's tokens.
        task: The task.
        step: Number of the step.
        inputs: Inputs, (n, d).
        candidates: Number of other places to read, the true ones not counted.
        generator: Source of the places and signs.
    """
    earlier = task.inputs + step
    true = task.steps[step]
    places = [true.reads, *(_draw_reads(earlier, len(true.reads), generator) for _ in range(candidates))]
    labels = [_with_reads(task, step, reads).labels(inputs)[:, step] for reads in places]
    context = np.concatenate([inputs, task.labels(inputs)[:, :step]], axis=1)
    table = np.reshape(true.table, (task.alphabet,) * len(true.reads))
    symmetric = all(np.array_equal(table, np.swapaxes(table, 0, axis)) for axis in range(1, table.ndim))
    count = math.comb(earlier, len(true.reads)) * (1 if symmetric else math.factorial(len(true.reads)))
    return _signal(network, task, context, labels, str(step), float(count), generator, all_inputs=_is_all(task, inputs))


def _signal(
    network: nn.Module,
    task: Task,
    context: np.ndarray,
    labels: Sequence[np.ndarray],
    name: str,
    targets: float,
    generator: np.random.Generator,
    *,
    all_inputs: bool,
) -> Signal:
    weights = [each for each in network.parameters() if each.requires_grad]
    targets_of = torch.from_numpy(np.stack(labels))
    halves = [np.arange(len(context))] * 2 if all_inputs else np.array_split(np.arange(len(context)), 2)
    sides = [
        _gradients(network, weights, task, context[half], targets_of[:, half])
        for half in halves[: 1 if all_inputs else 2]
    ]
    square, noise = _scatter(network, weights, task, context, targets_of[0], generator)
    moved = noise > 0
    scale = (noise[moved] * moved.sum()).sqrt()
    # Dividing by a sum of n squares of normal numbers overstates a ratio by n / (n - 2).
    correction = (SIGNS - 2) / SIGNS
    first, second = (side[:, moved] / scale * correction**0.5 for side in (sides[0], sides[-1]))
    return Signal(
        name=name,
        targets=targets,
        variance=_variance(sides[0], sides[-1], generator),
        noise=float(noise.sum()),
        gradient_square=float(square.sum()),
        visibility=_variance(first, second, generator),
        square_over_noise=float((square[moved] / noise[moved]).mean()) * correction,
    )


def _gradients(
    network: nn.Module, weights: Sequence[Tensor], task: Task, context: np.ndarray, labels: Tensor
) -> Tensor:
    """Gradient of the loss for each target, (targets, weights)."""
    outputs = _outputs(network, task, context)
    found = []
    for label in labels:
        gradient = torch.autograd.grad(_loss(outputs, label, task).mean(), weights, retain_graph=True)
        found.append(torch.cat([each.flatten() for each in gradient]).double())
    return torch.stack(found)


def _outputs(network: nn.Module, task: Task, context: np.ndarray) -> Tensor:
    """Scores of the next token's values; of the second over the first for bits."""
    logits = network(torch.from_numpy(context))[:, -1, : task.alphabet]
    return logits[:, 1] - logits[:, 0] if task.alphabet == 2 else logits


def _loss(outputs: Tensor, labels: Tensor, task: Task) -> Tensor:
    """Squared loss of +-1 for bits, as in the theorem; cross-entropy for larger alphabets. One number per input."""
    if task.alphabet == 2:
        return (outputs - (2.0 * labels - 1.0)).square()
    return functional.cross_entropy(outputs, labels, reduction="none")


def _scatter(
    network: nn.Module,
    weights: Sequence[Tensor],
    task: Task,
    context: np.ndarray,
    labels: Tensor,
    generator: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Mean squared gradient of output and loss by each weight, input by input.

    With random signs in front of the inputs, the square of a sum is the sum of squares on average.
    """
    outputs = _outputs(network, task, context)
    losses = _loss(outputs, labels, task)
    scores = outputs if outputs.ndim == 1 else outputs.gather(1, labels[:, None])[:, 0]
    found = torch.zeros(2, sum(each.numel() for each in weights), dtype=torch.float64)
    for _ in range(SIGNS):
        signs = torch.from_numpy(generator.choice([-1.0, 1.0], size=len(context))).float()
        for place, values in enumerate((scores, losses)):
            gradient = torch.autograd.grad((signs * values).sum(), weights, retain_graph=True)
            flat = torch.cat([each.flatten() for each in gradient]).double()
            found[place] += flat.square() / len(context) / SIGNS
    return found[0], found[1]


def _variance(first: Tensor, second: Tensor, generator: np.random.Generator) -> Estimate:
    """Variance over targets without the noise of sampling: products of independent halves; bootstrap over targets."""
    one, two = (side - side.mean(dim=0) for side in (first, second))
    products = (one @ two.T).numpy()
    count = len(products)
    value = float(np.trace(products)) / (count - 1)
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
    means = np.einsum("ri,ij,rj->r", drawn, products, drawn)
    draws = (drawn @ np.diagonal(products) - means) * count / (count - 1)
    found = percentile(value, draws, method="bootstrap over targets", n=count)
    return replace(found, low=min(found.low or value, value), high=max(found.high or value, value))


def _draw_reads(earlier: int, arity: int, generator: np.random.Generator) -> tuple[int, ...]:
    return tuple(generator.choice(earlier, size=arity, replace=False).tolist())


def _with_reads(task: Task, step: int, reads: tuple[int, ...]) -> Task:
    steps = (*task.steps[:step], Step(reads, task.steps[step].table))
    return replace(task, steps=steps, answer=(-1,))


def _subsets(task: Task) -> float:
    size = sum(read < task.inputs for step in task.steps for read in step.reads)
    return float(math.comb(task.inputs, size))


def _is_all(task: Task, inputs: np.ndarray) -> bool:
    return len(inputs) == task.alphabet**task.inputs
