"""What several verbs record alike: accuracies per step, first errors, and the gap between true and own steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seqtant.findings import Assumption, Estimate, Verdict
from seqtant.runs.recorder import Recorder
from seqtant.stats.bootstrap import percentile
from seqtant.stats.intervals import overlap
from seqtant.subtasks.tasks.task import Task
from seqtant.subtasks.theory import chain_accuracy, parity_answer_accuracy
from seqtant.subtasks.training.scores import Scores

INDEPENDENT = Assumption(
    statement="Steps err independently of one another, and as often on the model's own steps as on true ones.",
    how="the comparison itself is the check",
)


def record_steps(record: Recorder, names: Sequence[str], free: Scores, teacher: Scores | None = None) -> None:
    """Records a table of the written pieces and their raw rows.

    Args:
        record: The recorder.
        names: What each piece is called.
        free: On the model's own steps.
        teacher: Given the true steps; None where that was not measured.
    """
    rows = []
    for piece, name in enumerate(names):
        own, first = free.step(piece), free.first_errors[piece]
        given = teacher.step(piece) if teacher is not None else None
        rows.append((name, own.value, own.low, own.high, None if given is None else given.value, first))
        record.measure("own_steps", own.value, step=piece, group=name)
        record.measure("first_errors", first, step=piece, group=name)
        if given is not None:
            record.measure("true_steps", given.value, step=piece, group=name)
    record.table(
        "steps",
        "Accuracy per step",
        ("step", "on own steps", "low", "high", "given true steps", "first errors"),
        rows,
        note=f"{free.first_errors[-1]} of {len(free.answer)} solutions have no error; intervals are Wilson's, 95 %.",
    )


def record_row_steps(record: Recorder, free: Scores, teacher: Scores, seed: int) -> None:
    """Records steps and exposure of rows, whose last piece is the answer."""
    names = [f"step {number}" for number in range(free.right.shape[1] - 1)]
    record_steps(record, [*names, "answer"], free, teacher)
    record_exposure(record, free, teacher, None, seed)


def record_exposure(record: Recorder, free: Scores, teacher: Scores, task: Task | None, seed: int) -> None:
    """Holds solutions on own steps against what the accuracies on true steps predict."""
    measured = free.chain_accuracy
    predicted = _resampled(teacher, _chains(teacher), "product of step accuracies", seed)
    gap = predicted.value - measured.value
    record.value("chain_accuracy", measured.value)
    record.value("chain_predicted", predicted.value)
    record.value("exposure_gap", gap)
    record.finding(
        "exposure",
        "Does the model do on its own steps what it does on true ones?",
        _verdict(measured, predicted, len(free.answer)),
        f"{measured.value:.3f} of the solutions are right from end to end; the accuracies on true steps predict "
        f"{predicted.value:.3f}.",
        predicted=predicted,
        measured=measured,
        assumptions=(INDEPENDENT,),
        advice="" if gap < 0.05 else "Errors breed errors: train on some of the model's own steps, or on noisy ones.",
    )
    if task is not None and task.is_parity_tree:
        _record_piling_up(record, free, teacher, seed)


def _record_piling_up(record: Recorder, free: Scores, teacher: Scores, seed: int) -> None:
    measured = free.answer_accuracy
    predicted = _resampled(teacher, parity_answer_accuracy, "piling-up lemma", seed)
    record.value("answer_predicted", predicted.value)
    record.finding(
        "cancelling",
        "Are wrong answers as rare as errors that cancel say?",
        "agrees" if overlap(measured, predicted) else "disagrees",
        f"{measured.value:.3f} of the answers are right; two wrong steps cancel, which predicts {predicted.value:.3f}.",
        predicted=predicted,
        measured=measured,
        assumptions=(INDEPENDENT,),
    )


def _verdict(measured: Estimate, predicted: Estimate, rows: int) -> Verdict:
    """Whether both agree; vacuous where neither expects a single right solution."""
    if max(measured.value, predicted.value) * rows < 1:
        return "vacuous"
    return "agrees" if overlap(measured, predicted) else "disagrees"


def _chains(scores: Scores) -> Callable[[np.ndarray], float]:
    """Chance that all pieces of a row are right, over rows that have different numbers of them."""
    patterns, counts = np.unique(scores.present, axis=0, return_counts=True)

    def formula(shares: np.ndarray) -> float:
        chains = [chain_accuracy(shares[pattern]) for pattern in patterns]
        return float(np.average(chains, weights=counts))

    return formula


def _resampled(teacher: Scores, formula: Callable[[np.ndarray], float], method: str, seed: int) -> Estimate:
    """A formula of the step accuracies, resampled over rows."""
    rows = len(teacher.answer)
    weights = np.random.default_rng([seed, 8]).multinomial(rows, np.full(rows, 1 / rows), size=400)
    counts = np.maximum(weights @ teacher.present, 1)
    shares = (weights @ (teacher.right & teacher.present)) / counts
    draws = [formula(row) for row in shares]
    return percentile(formula(teacher.per_step), draws, method=f"{method}, bootstrap", n=rows)
