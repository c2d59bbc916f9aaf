"""Records that several verbs share: accuracies per step, first errors, and the exposure gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seqtant.findings import Assumption, Estimate
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import overlap, percentile
from seqtant.subtasks.tasks.task import Task
from seqtant.subtasks.theory import chain_accuracy, parity_answer_accuracy
from seqtant.subtasks.training.decoding import Scores

INDEPENDENT = Assumption(
    statement="Steps err independently of one another, and as often on the model's own steps as on true ones.",
    how="the comparison itself is the check",
)


def record_steps(record: Recorder, names: Sequence[str], free: Scores, teacher: Scores) -> None:
    """Records the accuracy and the first errors of each named piece: ``free`` is on own steps, ``teacher`` forced."""
    rows = []
    first_errors = free.first_errors
    for piece, name in enumerate(names):
        own, given, first = free.step_accuracy(piece), teacher.step_accuracy(piece), first_errors[piece]
        rows.append((name, own.value, own.low, own.high, given.value, first))
        for key, value in (("own_steps", own.value), ("first_errors", first), ("true_steps", given.value)):
            record.measure(key, value, step=piece, group=name)
    columns = ("step", "on own steps", "low", "high", "given true steps", "first errors")
    note = f"{first_errors[-1]} of {len(free.answer)} solutions have no error; intervals are Wilson's, 95 %."
    record.table("steps", "Accuracy per step", columns, rows, note=note)


def record_row_steps(record: Recorder, free: Scores, teacher: Scores, seed: int) -> None:
    """Records steps and exposure of rows, whose last piece is the answer."""
    names = [f"step {number}" for number in range(free.correct.shape[1] - 1)]
    record_steps(record, [*names, "answer"], free, teacher)
    record_exposure(record, free, teacher, None, seed)


def record_exposure(record: Recorder, free: Scores, teacher: Scores, task: Task | None, seed: int) -> None:
    """Records the exposure gap: right solutions predicted from teacher-forced steps minus those on own steps."""
    # Rows have different numbers of steps: the product of accuracies is averaged over the patterns that occur.
    patterns, counts = np.unique(teacher.present, axis=0, return_counts=True)
    predicted = _resampled(
        teacher,
        lambda shares: float(np.average([chain_accuracy(shares[pattern]) for pattern in patterns], weights=counts)),
        "product of step accuracies",
        seed,
    )
    measured = free.chain_accuracy
    gap = predicted.value - measured.value
    # Where neither expects a single right solution, two zeros agree on nothing.
    vacuous = max(measured.value, predicted.value) * len(free.answer) < 1
    record.value("chain_accuracy", measured.value)
    record.value("chain_predicted", predicted.value)
    record.value("exposure_gap", gap)
    record.finding(
        "exposure",
        "Does the model do on its own steps what it does on true ones?",
        "vacuous" if vacuous else ("agrees" if overlap(measured, predicted) else "disagrees"),
        f"{measured.value:.3f} of the solutions are right from end to end; the accuracies on true steps predict "
        f"{predicted.value:.3f}.",
        predicted=predicted,
        measured=measured,
        assumptions=(INDEPENDENT,),
        advice="" if gap < 0.05 else "Errors breed errors: train on some of the model's own steps, or on noisy ones.",
    )
    if task is None or not task.is_parity_tree:
        return
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


def _resampled(teacher: Scores, formula: Callable[[np.ndarray], float], method: str, seed: int) -> Estimate:
    """Evaluates a formula of the step accuracies, with a bootstrap interval over rows."""
    rows = len(teacher.answer)
    weights = np.random.default_rng([seed, 8]).multinomial(rows, np.full(rows, 1 / rows), size=400)  # [resamples, rows]
    # Accuracy of every piece in every resample, [resamples, pieces].
    counts = np.maximum(weights @ teacher.present, 1)
    shares = (weights @ (teacher.correct & teacher.present)) / counts
    draws = [formula(row) for row in shares]
    return percentile(formula(teacher.per_step), draws, method=f"{method}, bootstrap", n=rows)
