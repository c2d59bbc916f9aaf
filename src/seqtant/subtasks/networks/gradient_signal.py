"""The gradient signal: how much of a fresh network's gradient depends on the target that is to be learned.

A target is compared with others of its kind. A step: the same table read at other positions. A whole task: the same
task with its inputs permuted. The variance of the gradient from target to target is signal, the variance from input to
input is noise.

The theorem bounds the variance summed over weights. Whether training sees a target is another matter: a few weights
with large gradients may hold most of the noise and none of the signal, and an optimizer that scales every weight does
not mind them. Therefore the visibility is a mean over weights of signal over noise, weight by weight:
(1 / W) sum_w Var_targets(g_w) / E_inputs(g_w^2).
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
from seqtant.stats.intervals import percentile
from seqtant.subtasks.tasks.task import Step, Task

RESAMPLES = 400
SIGNS = 16
"""Random sign vectors behind the noise of each weight."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """The gradient signal of one target."""

    name: str
    """``whole`` or the number of the step."""
    targets: float
    """Number of targets of this kind, |H|."""
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
    """Measures the signal of the answer without steps, among tasks with permuted inputs, ``candidates`` of them.

    If ``inputs`` [n, d] are all inputs of the task, the means over them are exact.
    """
    exact = len(inputs) == task.alphabet**task.inputs
    # The first candidate is the task itself.
    orders = [np.arange(task.inputs), *(generator.permutation(task.inputs) for _ in range(candidates))]
    labels = [task.labels(inputs[:, order])[:, task.answer[-1]] for order in orders]
    if task.is_parity_tree:
        # Permuted parities are the parities of all subsets of the same size: C(d, k) targets.
        size = sum(read < task.inputs for step in task.steps for read in step.reads)
        count = float(math.comb(task.inputs, size))
    else:
        # Capped at 170!, the largest factorial that a float holds.
        count = float(math.factorial(min(task.inputs, 170)))
    return measure_signal(network, task, inputs, labels, "whole", count, generator, exact=exact)


def step_signal(
    network: nn.Module, task: Task, step: int, inputs: np.ndarray, candidates: int, generator: np.random.Generator
) -> Signal:
    """Measures the signal of one step given the true earlier ones, among the same table read at other positions.

    The arguments are those of :func:`whole_signal`; ``candidates`` is the number of other choices of positions.
    """
    exact = len(inputs) == task.alphabet**task.inputs
    true = task.steps[step]
    arity, earlier = len(true.reads), task.inputs + step
    positions = [true.reads]
    positions += [tuple(generator.choice(earlier, size=arity, replace=False).tolist()) for _ in range(candidates)]
    labels = [
        replace(task, steps=(*task.steps[:step], Step(reads, true.table)), answer=(-1,)).labels(inputs)[:, step]
        for reads in positions
    ]
    # Teacher forcing: the true earlier steps are part of the context, [n, d + step].
    context = np.concatenate([inputs, task.labels(inputs)[:, :step]], axis=1)
    # A symmetric table gives one target per set of positions, any other one per ordered choice.
    table = np.reshape(true.table, (task.alphabet,) * arity)
    # Exchanges of the first axis with each other one generate all permutations.
    symmetric = all(np.array_equal(table, np.swapaxes(table, 0, axis)) for axis in range(1, table.ndim))
    count = float(math.comb(earlier, arity) * (1 if symmetric else math.factorial(arity)))
    return measure_signal(network, task, context, labels, str(step), count, generator, exact=exact)


def measure_signal(
    network: nn.Module,
    task: Task,
    context: np.ndarray,
    labels: Sequence[np.ndarray],
    name: str,
    targets: float,
    generator: np.random.Generator,
    *,
    exact: bool,
) -> Signal:
    """Measures the signal of the first of several targets of one kind, of which there are ``targets``.

    ``context`` [n, tokens] stands before the target, ``labels`` hold the target token of every row for each target;
    ``exact`` says that the rows are all inputs there are.
    """
    weights = [each for each in network.parameters() if each.requires_grad]
    all_labels = torch.from_numpy(np.stack(labels))  # [targets, n]
    # Products of two independent halves have no bias from sampling the inputs; all inputs have no sampling error.
    halves = [np.arange(len(context))] if exact else np.array_split(np.arange(len(context)), 2)
    gradients = []
    for half in halves:
        outputs = _outputs(network, task, context[half])
        of_targets = [_flat_gradient(_loss(outputs, each, task).mean(), weights) for each in all_labels[:, half]]
        gradients.append(torch.stack(of_targets))  # [targets, weights]
    first, second = gradients[0], gradients[-1]
    # Mean over inputs of the squared gradient of output and loss: E_s (sum_i s_i g_i)^2 = sum_i g_i^2 for random signs
    # s, so that no gradient of a single input is ever computed.
    outputs = _outputs(network, task, context)
    losses = _loss(outputs, all_labels[0], task)
    scores = outputs if outputs.ndim == 1 else outputs.gather(1, all_labels[0][:, None])[:, 0]
    squares = torch.zeros(2, sum(each.numel() for each in weights), dtype=torch.float64)
    for _ in range(SIGNS):
        signs = torch.from_numpy(generator.choice([-1.0, 1.0], size=len(context))).float()
        for row, values in enumerate((scores, losses)):
            squares[row] += _flat_gradient((signs * values).sum(), weights).square() / len(context) / SIGNS
    square, noise = squares
    # Weights without any gradient (an unused embedding) say nothing about visibility.
    moved = noise > 0
    # Both factors of a product are divided by this root: noise divides the product, the sum becomes a mean.
    scale = (noise[moved] * moved.sum()).sqrt()
    # The noise of a weight is a mean of n = SIGNS squares of normal numbers: its inverse is n / (n - 2) too large.
    correction = (SIGNS - 2) / SIGNS
    return Signal(
        name=name,
        targets=targets,
        variance=_variance(first, second, generator),
        noise=float(noise.sum()),
        gradient_square=float(square.sum()),
        visibility=_variance(
            first[:, moved] / scale * correction**0.5, second[:, moved] / scale * correction**0.5, generator
        ),
        square_over_noise=float((square[moved] / noise[moved]).mean()) * correction,
    )


def _outputs(network: nn.Module, task: Task, context: np.ndarray) -> Tensor:
    """Computes the logits of the next token; for bits the difference of the two."""
    logits = network(torch.from_numpy(context))[:, -1, : task.alphabet]
    return logits[:, 1] - logits[:, 0] if task.alphabet == 2 else logits


def _loss(outputs: Tensor, labels: Tensor, task: Task) -> Tensor:
    """Computes the loss of each input: squared error of +-1 for bits, as in the theorem, else cross-entropy."""
    if task.alphabet == 2:
        return (outputs - (2.0 * labels - 1.0)).square()
    return functional.cross_entropy(outputs, labels, reduction="none")


def _flat_gradient(scalar: Tensor, weights: Sequence[Tensor]) -> Tensor:
    gradient = torch.autograd.grad(scalar, weights, retain_graph=True)
    return torch.cat([each.flatten() for each in gradient]).double()


def _variance(first: Tensor, second: Tensor, generator: np.random.Generator) -> Estimate:
    """Estimates the variance over targets from two halves of the inputs, [targets, weights]; bootstrap over targets."""
    one, two = (side - side.mean(dim=0) for side in (first, second))
    products = (one @ two.T).numpy()  # [targets, targets]
    count = len(products)
    # Unbiased over targets: count - 1; over inputs: the two factors come from different halves.
    value = float(np.trace(products)) / (count - 1)
    # A resample with shares w has the variance sum_i w_i P_ii - w' P w: only the small matrix P is resampled.
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
    means = np.einsum("ri,ij,rj->r", drawn, products, drawn)
    draws = (drawn @ np.diagonal(products) - means) * count / (count - 1)
    found = percentile(value, draws, method="bootstrap over targets", n=count)
    low, high = (value if end is None else end for end in (found.low, found.high))
    return replace(found, low=min(low, value), high=max(high, value))
