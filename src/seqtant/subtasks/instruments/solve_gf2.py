"""Recovers the hidden subset of a parity by Gaussian elimination: the baseline that no gradient method reaches."""

from __future__ import annotations

import time

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import describe
from seqtant.subtasks.config import SolveGf2Config
from seqtant.subtasks.oracles import eliminate
from seqtant.subtasks.rows.problem_rows import read_rows
from seqtant.subtasks.tasks.builtin import draw_subset
from seqtant.subtasks.theory import full_rank_probability


@verb(SolveGf2Config)
def solve_gf2(config: SolveGf2Config, context: Context) -> Result:
    """Recovers the hidden subset of a parity by Gaussian elimination modulo two, from samples or from rows.

    Arrays of bits and answers are solved by :func:`seqtant.subtasks.eliminate`.

    Returns:
        Whether one subset fits (``recovered``), the rank of the samples, and the subset as a table.

    Raises:
        InputError: The inputs of the rows are no bits, or an answer is not one bit.

    Example:
        >>> rows = [([1, 0, 1], [], 0), ([0, 1, 1], [], 1), ([0, 0, 1], [], 1)]
        >>> solve_gf2(rows).tables[0].rows
        ((2, '0, 2'),)
    """
    with Recorder("subtasks.solve-gf2", "The hidden subset by elimination", config, context, papers=(5,)) as record:
        subset = None
        if config.rows is not None:
            rows, name = read_rows(config.rows), describe(config.rows)
            if len({row.items for row in rows}) != 1 or any(isinstance(row.input, str) for row in rows):
                raise InputError(f"'{name}': every input must be a list of bits of one length")
            if not all(row.answer in (0, 1) for row in rows):
                raise InputError(f"'{name}': every answer must be one bit, 0 or 1")
            # Items may be numbers of any kind: eliminate checks that they are bits.
            inputs, answers = np.array([row.input for row in rows], dtype=object), np.array([r.answer for r in rows])
        else:
            generator = np.random.default_rng([context.seed, 1])
            subset = tuple(sorted(draw_subset(config.bits, context.seed))) or (0,)  # of one bit, half is none
            inputs = generator.integers(2, size=(config.samples or config.bits + 10, config.bits))
            wrong = generator.random(len(inputs)) < config.noise
            answers = (inputs[:, list(subset)].sum(axis=1) + wrong) % 2
        started = time.perf_counter()
        solution = eliminate(inputs, answers)
        record.value("solve_seconds", time.perf_counter() - started)
        found = solution.subset is not None and (subset is None or solution.subset == subset)
        numbers = {"recovered": int(found), "samples": len(answers), "bits": inputs.shape[1], "rank": solution.rank}
        for key, number in numbers.items():
            record.value(key, number)
        samples, bits = inputs.shape
        full_rank = full_rank_probability(bits, samples)
        clean = config.noise == 0
        fits, article = ("holds", "a") if solution.consistent else ("fails", "no")
        if not solution.consistent:
            sentence = "No subset fits every sample: some answers are wrong, or they are no parity."
        elif found:
            sentence = f"The subset of {len(solution.subset or ())} of {bits} bits is found from {samples} samples."
        else:
            sentence = f"The samples have rank {solution.rank} of {bits}: more than one subset fits."
        record.finding(
            "elimination",
            "Is the hidden subset there to be found, whatever gradients do?",
            "agrees"
            if found == (full_rank > 0.5 and clean)
            else ("disagrees" if clean and full_rank > 0.5 else "vacuous"),
            sentence,
            predicted=Estimate.exact(full_rank if clean else 0.0, unit="probability"),
            measured=Estimate.exact(float(found)),
            assumptions=(
                Assumption(
                    statement="Answers are free of noise.", status=fits, how=f"{article} subset fits all samples"
                ),
            ),
            advice="" if found else "Take more samples; with wrong answers among them elimination has no chance.",
        )
        if solution.subset is not None:
            hidden = solution.subset
            listed = ", ".join(map(str, hidden[:16])) + (f" and {len(hidden) - 16} more" if len(hidden) > 16 else "")
            record.table("subset", "Bits of the subset", ("size", "bits"), [(len(hidden), listed)])
    return record.result
