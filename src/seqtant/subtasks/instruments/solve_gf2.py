"""Recovers the hidden subset of a parity by Gaussian elimination: the baseline that no gradient method reaches."""

from __future__ import annotations

import time

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.subtasks.config import SolveGf2Config
from seqtant.subtasks.rows.problem_rows import Row, read_rows
from seqtant.subtasks.tasks.parity import draw_subset
from seqtant.subtasks.theory import full_rank_probability
from seqtant.subtasks.training.gf2 import Solution, solve_gf2


def run(config: SolveGf2Config, context: Context) -> Result:
    """Solves random samples, or rows that are given.

    Raises:
        InputError: The rows are no bits with one bit as their answer.
    """
    with Recorder("subtasks.solve-gf2", "The hidden subset by elimination", config, context, papers=(5,)) as record:
        if config.rows is not None:
            inputs, answers = _bits_of(read_rows(config.rows), config.rows)
            wanted = None
        else:
            inputs, answers, wanted = _drawn(config, context.seed)
        started = time.perf_counter()
        solution = solve_gf2(inputs, answers)
        record.value("solve_seconds", time.perf_counter() - started)
        found = solution.subset is not None and (wanted is None or solution.subset == wanted)
        record.value("recovered", int(found))
        record.value("samples", len(answers))
        record.value("bits", inputs.shape[1])
        record.value("rank", solution.rank)
        _conclude(record, config, solution, found, inputs.shape)
        if solution.subset is not None:
            record.table("subset", "Bits of the subset", ("size", "bits"), [(len(solution.subset), _listed(solution))])
    return record.result


def _drawn(config: SolveGf2Config, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    generator = np.random.default_rng([seed, 1])
    subset = tuple(sorted(draw_subset(config.bits, seed))) or (0,)
    inputs = generator.integers(2, size=(config.samples or config.bits + 10, config.bits))
    wrong = generator.random(len(inputs)) < config.noise
    return inputs, (inputs[:, list(subset)].sum(axis=1) + wrong) % 2, subset


def _bits_of(rows: list[Row], name: str) -> tuple[np.ndarray, np.ndarray]:
    shapes = {row.items for row in rows}
    if len(shapes) != 1 or any(isinstance(row.input, str) for row in rows):
        raise InputError(f"'{name}': every input must be a list of bits of one length")
    answers = [row.answer for row in rows]
    if not all(answer in (0, 1) for answer in answers):
        raise InputError(f"'{name}': every answer must be one bit, 0 or 1")
    return np.array([row.input for row in rows], dtype=object), np.array(answers)


def _listed(solution: Solution) -> str:
    bits = list(solution.subset or ())
    return ", ".join(map(str, bits[:16])) + (f" and {len(bits) - 16} more" if len(bits) > 16 else "")


def _conclude(
    record: Recorder, config: SolveGf2Config, solution: Solution, found: bool, shape: tuple[int, ...]
) -> None:
    samples, bits = shape
    chance = full_rank_probability(bits, samples)
    clean = config.noise == 0
    if not solution.consistent:
        told = "No subset fits every sample: some answers are wrong, or they are no parity."
    elif found:
        told = f"The subset of {len(solution.subset or ())} of {bits} bits is found from {samples} samples."
    else:
        told = f"The samples have rank {solution.rank} of {bits}: more than one subset fits."
    record.finding(
        "elimination",
        "Is the hidden subset there to be found, whatever gradients do?",
        "agrees" if found == (chance > 0.5 and clean) else ("disagrees" if clean and chance > 0.5 else "vacuous"),
        told,
        predicted=Estimate.exact(chance if clean else 0.0, unit="probability"),
        measured=Estimate.exact(float(found)),
        assumptions=(
            Assumption(
                statement="Answers are free of noise.",
                status="holds" if solution.consistent else "fails",
                how="a subset fits all samples" if solution.consistent else "no subset fits all samples",
            ),
        ),
        advice="" if found else "Take more samples; with wrong answers among them elimination has no chance.",
    )
