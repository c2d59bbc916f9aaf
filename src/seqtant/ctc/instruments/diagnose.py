"""Looks into a CTC model: how peaked, sure, silent and late it is, and whether its loss has the right gradient."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seqtant.ctc.config import DiagnoseConfig, Utterances
from seqtant.ctc.lattice.likelihood import check_ctc_gradient, unnormalized_ctc_losses
from seqtant.ctc.lattice.paths import CTCInput
from seqtant.ctc.recognition.dataset import Corpus
from seqtant.ctc.recognition.latency import summarize
from seqtant.ctc.recognition.recognizer import Peakiness, Recognizer, peakiness
from seqtant.ctc.recognition.sources import load_speech
from seqtant.ctc.reporting import interval_cells, record_summary, warn_without_timestamps
from seqtant.ctc.theory import expected_removable, first_emission
from seqtant.ctc.training import DEMO_WARNING, load_recognizer
from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import mean

SAMPLES = 16
"""Paths drawn per utterance."""


@verb(DiagnoseConfig)
def diagnose(config: DiagnoseConfig, context: Context) -> Result:
    """Measures how peaked, sure, silent and late a CTC model is, and whether the gradient of its loss is right.

    Closed forms of the first emission and of the loss's gradient are checked on the model's own posteriors.

    Returns:
        ``frames_per_token``, ``blank_share``, ``entropy_nats``, ``removable_share``, ``first_emission_ms``, gradient
        errors, word errors and delays.

    Raises:
        InputError: Recognizer or speech cannot be used, or only one of them is given.

    Example:
        >>> from seqtant import ctc
        >>> result = diagnose(ctc.load_recognizer(), ctc.load_speech().test[:4])
        >>> result.values["gradient_error_normalized"] < 1e-6 < result.values["gradient_error_unnormalized"]
        True
    """
    if (config.model is None) != (config.data is None):
        raise InputError("model and data belong together: give both, or neither for a demonstration")

    def pytorch(scores: Tensor, lengths: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        return functional.ctc_loss(scores.transpose(0, 1), targets, lengths, counts, reduction="sum")

    with Recorder("ctc.diagnose", "What the model's output looks like", config, context, papers=(2,)) as record:
        recognizer = load_recognizer(config.model, context.seed)
        if config.model is None:
            record.warn(DEMO_WARNING)
        utterances = Utterances(train=1, development=1, test=config.utterances)
        speech = load_speech(config.data, utterances, seed=context.seed, test_speaker=config.test_speaker)
        corpus = Corpus.of(speech.test[: config.utterances], recognizer.labels, recognizer.log_mel)
        _record_output(record, recognizer, corpus, context.seed)
        # PyTorch's gradient where it is right and where it is wrong, and the exact form where that is wrong.
        checks = {
            "PyTorch on log-softmax": check_ctc_gradient(pytorch),
            "PyTorch on scores that are not normalized": check_ctc_gradient(pytorch, normalized=False),
            "unnormalized_ctc_losses on the same": check_ctc_gradient(
                lambda *batch: unnormalized_ctc_losses(CTCInput.of(*batch)).sum(), normalized=False
            ),
        }
        record.value("gradient_error_normalized", checks["PyTorch on log-softmax"].error)
        record.value("gradient_error_unnormalized", checks["PyTorch on scores that are not normalized"].error)
        record.table(
            "gradients",
            "Gradient of the CTC loss against the exact one",
            ("loss", "largest error", "largest component", "right"),
            [(name, check.error, round(check.scale, 4), check.is_right) for name, check in checks.items()],
            note="A bonus, penalty or prior added to log-probabilities makes them unnormalized.",
        )
        right = checks["PyTorch on log-softmax"].is_right
        record.finding(
            "gradient",
            "Has PyTorch's CTC loss the right gradient for a log-softmax?",
            "agrees" if right else "disagrees",
            "It has; for scores that are not normalized it has not, and unnormalized_ctc_losses should be used."
            if right
            else "It has not, on this build of PyTorch.",
            predicted=Estimate.exact(0, method="posteriors of the lattice"),
            measured=Estimate.exact(checks["PyTorch on log-softmax"].error, method="largest difference"),
        )
        warn_without_timestamps(record, corpus.without_timestamps, len(corpus))
        record_summary(record, summarize(recognizer.timings(corpus), seed=context.seed))
    return record.result


def _record_output(record: Recorder, recognizer: Recognizer, corpus: Corpus, seed: int) -> None:
    """Measures how peaked, sure and silent the posteriors are; checks the closed form of the first emission on them."""
    generator = torch.Generator().manual_seed(seed)
    blank = recognizer.labels.blank
    found: list[Peakiness] = []
    predicted: list[float] = []
    removable: list[float] = []
    for _, log_probs, lengths in recognizer.score(corpus):
        for row, length in zip(log_probs, lengths.tolist(), strict=True):
            found.append(peakiness(row[:length], blank=blank, samples=SAMPLES, generator=generator))
            posterior = row[:length].double().exp().numpy()
            removable.append(expected_removable(posterior, blank=blank) / max(length, 1))
            predicted.append(first_emission(posterior, blank=blank)[0])
    spans = [each.frames_per_token for each in found if each.frames_per_token is not None]
    numbers = {
        "frames_per_token": mean(spans) if spans else None,
        "blank_share": mean([each.blank for each in found]),
        "entropy_nats": mean([each.entropy for each in found], unit="nats"),
        "removable_share": mean(removable),
    }
    for name, estimate in numbers.items():
        record.value(name, None if estimate is None else estimate.value)
    record.table(
        "output",
        "Posteriors of held-out utterances",
        ("quantity", "mean", "low", "high"),
        [(name, *interval_cells(estimate, digits=4)) for name, estimate in numbers.items()],
        note="A peaked model spends about one frame on a token: its word times mark words, they do not span them.",
    )
    # First emissions of sampled paths against their expectation, utterance by utterance; silent paths have none.
    milliseconds = 1000 * recognizer.frame_seconds
    pairs = [
        (np.mean([frame for frame in each.first if frame >= 0]), expected)
        for each, expected in zip(found, predicted, strict=True)
        if any(frame >= 0 for frame in each.first)
    ]
    differences = mean([float(measured - expected) * milliseconds for measured, expected in pairs], unit="ms")
    holds = differences.low is None or differences.low <= 0 <= (differences.high or 0)
    record.value("first_emission_ms", milliseconds * (1 + float(np.mean([expected for _, expected in pairs]))))
    record.finding(
        "emission",
        "Do sampled paths begin when the closed form says?",
        "agrees" if holds else "disagrees",
        "Measured is the mean difference between the first emission of sampled paths and its expectation.",
        predicted=Estimate.exact(0, "ms", "closed form on the same posteriors"),
        measured=differences,
    )
