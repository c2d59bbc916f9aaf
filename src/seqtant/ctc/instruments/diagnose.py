"""Looks into a CTC model: how peaked, sure, silent and late it is, and whether its loss has the right gradient."""

from __future__ import annotations

import numpy as np
import torch

from seqtant.ctc.config import DiagnoseConfig, Utterances
from seqtant.ctc.lattice.ctc_loss import unnormalized_ctc_losses
from seqtant.ctc.lattice.inputs import CTCInput
from seqtant.ctc.recognition.dataset import Corpus
from seqtant.ctc.recognition.diagnosis import Peakiness, check_ctc_gradient, peakiness, pytorch_ctc
from seqtant.ctc.recognition.evaluation import outcome, untimed
from seqtant.ctc.recognition.latency import summarize
from seqtant.ctc.recognition.recognizer import Recognizer
from seqtant.ctc.recognition.sources import load_speech
from seqtant.ctc.reporting.report import record_summary, warn_untimed
from seqtant.ctc.theory import expected_removable, first_emission
from seqtant.ctc.training.model_source import MADE_UP, Listener, listener
from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean

SAMPLES = 16
"""Paths drawn per utterance."""


def run(config: DiagnoseConfig, context: Context) -> Result:
    """Measures the posteriors of held-out utterances, and checks closed forms and gradients on them.

    Raises:
        InputError: Model or speech cannot be used, or only one of them is given.
    """
    if (config.model is None) != (config.data is None):
        raise InputError("model and data belong together: give both, or neither for a demonstration")
    with Recorder("ctc.diagnose", "What the model's output looks like", config, context, papers=(2,)) as record:
        chosen = listener(config.model, context)
        if chosen.is_made_up:
            record.warn(MADE_UP)
        corpus = _corpus(config, chosen, context.seed)
        _record_output(record, chosen.recognizer, corpus, context.seed)
        _record_gradients(record)
        warn_untimed(record, untimed(corpus), len(corpus))
        record_summary(record, summarize(outcome(chosen.recognizer, corpus), seed=context.seed))
    return record.result


def _corpus(config: DiagnoseConfig, chosen: Listener, seed: int) -> Corpus:
    utterances = Utterances(train=1, development=1, test=config.utterances)
    speech = load_speech(config.data, utterances, seed=seed, test_speaker=config.test_speaker)
    return Corpus.of(speech.test[: config.utterances], chosen.recognizer.labels, chosen.recognizer.log_mel)


def _record_output(record: Recorder, recognizer: Recognizer, corpus: Corpus, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    found: list[Peakiness] = []
    predicted: list[float] = []
    removable: list[float] = []
    for _, log_probs, lengths in recognizer.scored(corpus):
        for row, length in zip(log_probs, lengths.tolist(), strict=True):
            blank = recognizer.labels.blank
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
    _record_emission(record, recognizer, found, predicted)
    record.table(
        "output",
        "Posteriors of held-out utterances",
        ("quantity", "mean", "low", "high"),
        [
            (name, None, None, None) if e is None else (name, round(e.value, 4), _round(e.low), _round(e.high))
            for name, e in numbers.items()
        ],
        note="A peaked model spends about one frame on a token: its word times mark words, they do not span them.",
    )


def _round(number: float | None) -> float | None:
    return None if number is None else round(number, 4)


def _record_emission(record: Recorder, recognizer: Recognizer, found: list[Peakiness], predicted: list[float]) -> None:
    """First emission of sampled paths against the closed form on the same posteriors."""
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


def _record_gradients(record: Recorder) -> None:
    """PyTorch's CTC where it is right, where it is wrong, and the exact form."""

    def exact(scores: torch.Tensor, lengths: torch.Tensor, targets: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        return unnormalized_ctc_losses(CTCInput.of(scores, lengths, targets, counts)).sum()

    checks = {
        "PyTorch on log-softmax": check_ctc_gradient(pytorch_ctc),
        "PyTorch on scores that are not normalized": check_ctc_gradient(pytorch_ctc, normalized=False),
        "unnormalized_ctc_losses on the same": check_ctc_gradient(exact, normalized=False),
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
