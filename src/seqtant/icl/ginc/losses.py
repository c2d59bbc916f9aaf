"""The loss of a model on documents of GINC, beside the smallest possible one."""

from __future__ import annotations

from jaxtyping import Int
from numpy import ndarray

from seqtant.icl.ginc.bayes import WHOLE, bayes_model, cross_entropy
from seqtant.icl.ginc.parameters import Ginc
from seqtant.lm.interface import CausalLM
from seqtant.progress import Progress
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean

NEAR = 0.05
"""Most nats per symbol above exact Bayes at which a model has learned its documents."""


def record_loss(
    record: Recorder,
    model: CausalLM,
    ginc: Ginc,
    tokens: Int[ndarray, "documents length"],
    *,
    question: str,
    summary: str,
    progress: Progress,
) -> None:
    """Records the cross-entropy of a model and of exact Bayes on the same documents, and the gap between them.

    Args:
        record: Where to.
        model: A model over GINC's symbols.
        ginc: Where the documents come from.
        tokens: The documents.
        question: What the finding answers.
        summary: Its answer; may hold ``{ours}``, ``{best}`` and ``{gap}``, in nats per symbol.
        progress: Told of every batch.
    """
    unit = "nats per symbol"
    ours = cross_entropy(model, tokens, progress=progress)
    best = cross_entropy(bayes_model(ginc, smoothing=0.0), tokens, tokens_per_batch=WHOLE)
    gap = mean(ours - best, unit=unit)
    record.value("cross_entropy", float(ours.mean()))
    record.value("bayes_cross_entropy", float(best.mean()))
    record.value("cross_entropy_gap", gap.value)
    record.finding(
        "cross_entropy",
        question,
        "agrees" if gap.value < NEAR else "disagrees",
        summary.format(ours=ours.mean(), best=best.mean(), gap=gap.value),
        predicted=mean(best, unit=unit),
        measured=mean(ours, unit=unit),
    )
