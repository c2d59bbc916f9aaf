"""Streams a sound file as it would arrive and shows when each word comes out, from one model or two."""

from __future__ import annotations

import time

import torch

from seqtant.ctc.config import StreamConfig
from seqtant.ctc.decoding.decoders import greedy_decode
from seqtant.ctc.inputs import describe_source
from seqtant.ctc.recognition.recognizer import StreamingRecognizer
from seqtant.ctc.reporting import write_timeline
from seqtant.ctc.training import DEMO_WARNING, load_model_and_sound, load_recognizer
from seqtant.data.speech import TimedWord
from seqtant.findings import Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

ENVELOPE_POINTS = 400
"""Points of the waveform's outline kept for the figure."""


@verb(StreamConfig)
def stream(config: StreamConfig, context: Context) -> Result:
    """Streams a sound as it would arrive and shows when each word comes out, from one recognizer or two.

    The labels and log-probabilities of the stream must be those of the whole recording. With ``out`` a page is written
    that plays the sound with its words.

    Returns:
        ``first_word_ms``, ``last_word_ms``, ``stream_difference`` in nats, ``compute_seconds_per_second``; the table
        ``emissions``.

    Raises:
        InputError: Sound and recognizer cannot be used, or only one of them is given.

    Example:
        >>> stream().findings[0].verdict
        'agrees'
    """
    with Recorder(
        "ctc.stream", f"Streaming {describe_source(config.file) or 'made-up tones'}", config, context, papers=(2,)
    ) as record:
        recognizer, utterance = load_model_and_sound(config.model, config.file, context.seed)
        if config.model is None:
            record.warn(DEMO_WARNING)
        models = {"first model": recognizer}
        if config.against is not None:
            models["second model"] = load_recognizer(config.against)
        tracks: dict[str, list[TimedWord]] = {}
        for name, model in models.items():
            # In chunks, then labels and log-probabilities beside those of the whole.
            suffix = "" if name == "first model" else "_against"
            sound = utterance.recording.at(model.log_mel.rate).samples
            chunk = max(round(config.chunk_ms / 1000 * model.log_mel.rate), 1)
            streaming, started = StreamingRecognizer(model), time.process_time()
            pieces = [streaming.push(sound[at : at + chunk]) for at in range(0, len(sound), chunk)]
            seconds = time.process_time() - started
            whole = model.log_probs(utterance)
            difference = float((torch.cat(pieces) - whole).abs().max()) if len(whole) else 0.0
            same = [span.label for span in streaming.spans] == [
                span.label
                for span in greedy_decode(whole[None], torch.tensor([len(whole)]), blank=model.labels.blank)[0]
            ]
            tracks[name] = words = streaming.words
            record.value(f"words{suffix}", len(words))
            record.value(f"first_word_ms{suffix}", 1000 * words[0].start if words else None)
            record.value(f"last_word_ms{suffix}", 1000 * words[-1].start if words else None)
            record.value(f"stream_difference{suffix}", difference)
            record.value(f"compute_seconds_per_second{suffix}", seconds / utterance.recording.seconds)
            record.finding(
                f"same{suffix}",
                f"Does the stream say what the whole recording says{', by the second model' if suffix else ''}?",
                "agrees" if same and difference < 1e-3 else "disagrees",
                f"Chunks of {config.chunk_ms:g} ms give {'the same' if same else 'OTHER'} labels.",
                predicted=Estimate.exact(0, "nats", "the network is causal"),
                measured=Estimate.exact(difference, "nats", "largest difference of any log-probability"),
            )
        emissions = [(name, word) for name, words in tracks.items() for word in words]
        for name, word in emissions:
            record.measure(f"emitted {word.word}", 1000 * word.start, unit="ms", group=name)
        emissions.sort(key=lambda pair: pair[1].start)
        rows = [(name, word.word, round(1000 * word.start, 1)) for name, word in emissions]
        record.table("emissions", "When each word came out", ("model", "word", "emitted, ms"), rows)
        # For the figure: the waveform's outline, and the true word times where they are known.
        samples, rate = utterance.recording.samples, utterance.recording.rate
        step = max(len(samples) // ENVELOPE_POINTS, 1)
        for at in range(0, len(samples), step):
            record.measure("outline", float(abs(samples[at : at + step]).max()), step=1000 * at / rate)
        for word in utterance.words:
            record.measure(f"true start {word.word}", 1000 * word.start, unit="ms", group="truth")
        if context.folder is not None:
            context.folder.mkdir(parents=True, exist_ok=True)
            record.artifact(write_timeline(context.folder / "timeline.html", utterance, tracks), "page")
    return record.result
