"""Trains a streaming recognizer with plain CTC and measures its errors and delays on held-out utterances."""

from __future__ import annotations

from seqtant.ctc.config import TrainConfig
from seqtant.ctc.recognition.latency import summarize
from seqtant.ctc.recognition.recognizer import blank_share, too_short_for_target
from seqtant.ctc.recognition.sources import load_corpora
from seqtant.ctc.reporting import record_summary, warn_too_short, warn_without_data, warn_without_timestamps
from seqtant.ctc.training import train_recognizer
from seqtant.findings import Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(TrainConfig)
def train(config: TrainConfig, context: Context) -> Result:
    """Trains a streaming recognizer with plain CTC and measures its errors and delays on held-out utterances.

    With ``out`` the recognizer is kept in its folder ``model``; in memory,
    :func:`seqtant.ctc.train_recognizer` gives it back.

    Returns:
        ``wer`` in percent, delays in ms (``mean_delay_ms``, ``p50_ms``, ``p90_ms``, ``last_token_ms``), counts of
        errors, the share of blank frames, the number of weights.

    Raises:
        InputError: The data cannot be used.
        MissingExtraError: The extra ``speech`` is not installed.

    Example:
        >>> few = {"train": 32, "development": 4, "test": 8}
        >>> result = train(utterances=few, network={"channels": 8, "dilations": (1,), "bands": 8}, base_steps=2)
        >>> result.values["frame_ms"], 0 <= result.values["blank_share"] <= 1
        (30.0, True)
    """
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
            warn_without_data(record)
        warn_without_timestamps(record, corpora.test.without_timestamps, len(corpora.test))
        recognizer = train_recognizer(
            corpora, config.network, config.optimization, steps=config.base_steps, seed=context.seed, context=context
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
