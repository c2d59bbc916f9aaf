"""Trains a streaming recognizer with plain CTC and measures its errors and delays on held-out utterances."""

from __future__ import annotations

from seqtant.ctc.config import TrainConfig
from seqtant.ctc.recognition.evaluation import blank_share, cramped, outcome, untimed
from seqtant.ctc.recognition.latency import summarize
from seqtant.ctc.recognition.sources import load_corpora
from seqtant.ctc.reporting.report import record_summary, warn_cramped, warn_untimed
from seqtant.ctc.training.training import train_plain
from seqtant.findings import Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


def run(config: TrainConfig, context: Context) -> Result:
    """Trains, measures, and with a folder keeps the recognizer under ``model``."""
    with Recorder("ctc.train", "A streaming recognizer, trained with CTC", config, context, papers=(2,)) as record:
        corpora = load_corpora(config, seed=context.seed, with_development=False)
        if config.data is None:
            record.warn("No data was given: tones stand in for speech, and nothing here says anything of speech.")
        warn_untimed(record, untimed(corpora.test), len(corpora.test))
        recognizer = train_plain(config, corpora, context=context, seed=context.seed, to_zero=True)
        warn_cramped(record, cramped(recognizer, corpora.train), len(corpora.train))
        record_summary(record, summarize(outcome(recognizer, corpora.test), seed=context.seed))
        record.value("blank_share", blank_share(recognizer, corpora.test))
        record.value("parameters", sum(weights.numel() for weights in recognizer.encoder.parameters()))
        record.value("frame_ms", 1000 * recognizer.frame_seconds)
        if context.folder is not None:
            recognizer.save(context.folder / "model")
            record.artifact(context.folder / "model" / "model.safetensors", "recognizer")
            record.artifact(context.folder / "model" / "recognizer.json", "recognizer")
    return record.result
