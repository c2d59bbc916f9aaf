"""Measures which steps the gradients of a fresh network depend on, and whether they depend on the whole task at all."""

from __future__ import annotations

import math

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.subtasks.config import ProbeConfig
from seqtant.subtasks.networks.gradient_signal import Signal, step_signal, whole_signal
from seqtant.subtasks.networks.networks import build_network
from seqtant.subtasks.tasks.builtin import choose_task
from seqtant.subtasks.tasks.task import Task
from seqtant.subtasks.theory import gradient_variance_bound

UPDATES_PER_UNIT = 10
"""Updates to learn a target, in units of the updates that show it at all: see benchmarks/subtasks_probe."""


@verb(ProbeConfig)
def probe(config: ProbeConfig, context: Context) -> Result:
    """Measures how much of a fresh network's gradient depends on each step, and on the whole task without steps.

    Signal is the variance of the gradient from target to target, at most 4 F^2 / |H|; visibility is the mean over
    weights of signal over noise, and its inverse the number of inputs that show the target.

    Returns:
        Predicted updates with and without steps, the number of learnable steps, and a verdict for each target.

    Raises:
        InputError: The task cannot be used, or asks for more than memory holds.

    Example:
        >>> from seqtant.subtasks import NetworkConfig, parity
        >>> result = probe(parity(8), network=NetworkConfig(width=16), candidates=6, samples=512)
        >>> result.values["learnable_steps"]
        3
    """
    task = choose_task(config, context.seed)
    with Recorder("subtasks.probe", f"What gradients see of the {task.name}", config, context, papers=(5,)) as record:
        generator = np.random.default_rng([context.seed, 13])
        length = task.inputs + task.length
        if config.samples * length > 2**28:
            raise InputError(f"{config.samples} samples of {length} tokens do not fit: lower samples")
        if task.alphabet**task.inputs <= config.samples:
            # All inputs there are, so that nothing is left to sampling.
            inputs = np.indices((task.alphabet,) * task.inputs).reshape(task.inputs, -1).T.astype(np.int64)
        else:
            inputs = generator.integers(task.alphabet, size=(config.samples, task.inputs), dtype=np.int64)
        network = build_network(config.network, vocabulary=task.alphabet, context=length, seed=context.seed)
        bar = context.progress.task("probing", task.length + 1)
        steps: list[Signal] = []
        for step in range(task.length):
            steps.append(step_signal(network, task, step, inputs, config.candidates, generator))
            bar.advance()
        whole = whole_signal(network, task, inputs, config.candidates, generator)
        bar.close()
        verdicts = [verdict(each, config.batch, config.budget, bounded=task.is_parity_tree) for each in (*steps, whole)]
        _record(record, config, task, steps, whole, verdicts)
        _conclude(record, task, steps, whole, verdicts)
        if len(inputs) < task.alphabet**task.inputs:
            record.warn(f"Gradients are means over {len(inputs)} drawn inputs, not over all there are.")
    return record.result


def updates_for(visibility: float, batch: int) -> float:
    """Predicts the updates until a target is learned; infinite where no signal was seen.

    ``1 / visibility`` inputs show the target, which is at least one update of ``batch`` rows.
    """
    return UPDATES_PER_UNIT * max(1.0, 1 / (visibility * batch)) if visibility > 0 else math.inf


def verdict(signal: Signal, batch: int, budget: float, *, bounded: bool) -> str:
    """Decides between ``learnable in about N updates``, ``not by gradients`` and ``inconclusive``.

    ``budget`` is the most updates that anybody would pay for; ``bounded`` says that the theorem's bound holds.
    """
    seen = signal.visibility
    # The most updates belong to the least visibility.
    most, fewest = updates_for(seen.low or 0.0, batch), updates_for(seen.high or 0.0, batch)
    if most <= budget:
        value = updates_for(seen.value, batch)
        # One significant digit: no more is known.
        size = 10 ** math.floor(math.log10(value))
        return f"learnable in about {round(value / size) * size} updates"
    # The bound holds weight by weight, so it also holds for F^2 over noise: an upper end of the visibility.
    bound = gradient_variance_bound(signal.square_over_noise, signal.targets)
    proven = bounded and updates_for(bound, batch) > budget
    if proven or (math.isfinite(fewest) and fewest > budget):
        return "not by gradients"
    return "inconclusive"


def _bound(signal: Signal, task: Task) -> float | None:
    """Computes the theorem's bound, where its targets are pairwise orthogonal."""
    return gradient_variance_bound(signal.gradient_square, signal.targets) if task.is_parity_tree else None


def _record(
    record: Recorder, config: ProbeConfig, task: Task, steps: list[Signal], whole: Signal, verdicts: list[str]
) -> None:
    """Records the signals of all targets; ``verdicts`` are those of the steps and, last, of the whole task."""
    rows = []
    for signal, found in zip((*steps, whole), verdicts, strict=True):
        bound, variance, seen = _bound(signal, task), signal.variance, signal.visibility.value
        level = task.depth if signal is whole else task.levels[int(signal.name)]
        rows.append((signal.name, level, variance.value, variance.low, variance.high, bound, seen, found))
        numbers = {"signal": variance.value, "noise": signal.noise, "visibility": seen, "bound": bound}
        for key, value in numbers.items():
            if value is not None:
                record.measure(key, value, step=level, group=signal.name)
    columns = ("target", "level", "signal", "low", "high", "bound", "visibility", "verdict")
    note = (
        "Signal: variance of the gradient from target to target, summed over weights. Visibility: mean over weights of "
        "that variance over the one from input to input."
    )
    record.table("signals", "Gradient signal of each step and of the whole task", columns, rows, note=note)
    slowest = max(updates_for(signal.visibility.value, config.batch) for signal in steps)
    alone = updates_for(whole.visibility.value, config.batch)
    record.value("updates_with_steps", slowest if math.isfinite(slowest) else None)
    record.value("updates_without_steps", alone if math.isfinite(alone) else None)
    record.value("weakest_step_signal", min(signal.variance.value for signal in steps))
    record.value("whole_signal", whole.variance.value)
    record.value("learnable_steps", sum(each.startswith("learnable") for each in verdicts[:-1]))


def _conclude(record: Recorder, task: Task, steps: list[Signal], whole: Signal, verdicts: list[str]) -> None:
    *of_steps, of_whole = verdicts
    every = all(text.startswith("learnable") for text in of_steps)
    weakest = min(steps, key=lambda signal: signal.visibility.value)
    share = sum(text.startswith("learnable") for text in of_steps) / len(of_steps)
    record.finding(
        "steps",
        "Can gradients see every step?",
        "agrees" if every else "inconclusive",
        f"Every step: the weakest is step {weakest.name}, {of_steps[steps.index(weakest)]}."
        if every
        else f"Step {weakest.name} is the weakest: {of_steps[steps.index(weakest)]}.",
        predicted=Estimate(value=1.0, method="every step reads a few earlier tokens"),
        measured=Estimate(value=share, method="share of steps"),
        assumptions=(
            Assumption(
                statement="Learning takes about ten times the updates that show the target in a fresh gradient.",
                how="so it was on parities of few bits, within a factor of four in the median; see the page",
            ),
        ),
        advice="" if every else f"Split step {weakest.name} further, or give more samples.",
    )
    bound = _bound(whole, task)
    held = bound is None or (whole.variance.low or 0.0) <= bound
    orthogonal = Assumption(
        statement="The possible targets are pairwise orthogonal.",
        status="holds" if task.is_parity_tree else "not checked",
        how="parities of different subsets are" if task.is_parity_tree else "",
    )
    method = "upper bound 4 F^2 / |H|"
    elimination = " Gaussian elimination would need about as many samples as bits." if task.is_parity_tree else ""
    record.finding(
        "whole",
        "Can gradients see the whole task without its steps?",
        ("agrees" if held else "disagrees") if bound is not None else "inconclusive",
        f"The whole task: {of_whole}.{elimination}",
        predicted=None if bound is None else Estimate(value=bound, low=0.0, high=bound, method=method),
        measured=whole.variance,
        assumptions=(orthogonal,),
        advice="Write the steps out." if of_whole != of_steps[-1] and every else "",
    )
