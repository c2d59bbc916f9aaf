"""Trains a streaming recognizer with plain CTC and measures its errors and delays on held-out utterances."""

from __future__ import annotations

from seqtant.ctc.config import TrainConfig
from seqtant.ctc.recognition.latency import summarize
from seqtant.ctc.recognition.recognizer import blank_share, too_short_for_target
from seqtant.ctc.recognition.sources import load_corpora
from seqtant.ctc.reporting import record_summary, warn_too_short, warn_without_timestamps
from seqtant.ctc.training import train_plain
from seqtant.findings import Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


def run(config: TrainConfig, context: Context) -> Result:
    """Trains, measures, and with a folder keeps the recognizer under ``model``."""
    with Recorder("ctc.train", "A streaming recognizer, trained with CTC", config, context, papers=(2,)) as record:
        # Nothing is decided during training: the development recordings are learned from as well.
        corpora = load_corpora(
            config.data,
            config.utterances,
            units=config.units,
            bands=config.network.bands,
            seed=context.seed,
            test_speaker=config.test_speaker,
            with_development=False,
        )
        if config.data is None:
            record.warn("No data was given: tones stand in for speech, and nothing here says anything of speech.")
        warn_without_timestamps(record, corpora.test.without_timestamps, len(corpora.test))
        recognizer = train_plain(
            config.network,
            config.optimization,
            corpora,
            steps=config.base_steps,
            context=context,
            seed=context.seed,
            to_zero=True,
        )
        warn_too_short(record, too_short_for_target(recognizer, corpora.train), len(corpora.train))
        record_summary(record, summarize(recognizer.timings(corpora.test), seed=context.seed))
        record.value("blank_share", blank_share(recognizer, corpora.test))
        record.value("parameters", sum(weights.numel() for weights in recognizer.encoder.parameters()))
        record.value("frame_ms", 1000 * recognizer.frame_seconds)
        if context.folder is not None:
            recognizer.save(context.folder / "model")
            record.artifact(context.folder / "model" / "model.safetensors", "recognizer")
            record.artifact(context.folder / "model" / "recognizer.json", "recognizer")
    return record.result
