"""Recognizes a sound file: greedily and by prefix beam search, with time stamps."""

from __future__ import annotations

import torch

from seqtant.ctc.config import DecodeConfig
from seqtant.ctc.decoding.decoders import BeamDecoder, greedy_decode
from seqtant.ctc.inputs import describe_source
from seqtant.ctc.lattice.forced_alignment import Span
from seqtant.ctc.lattice.likelihood import ctc_losses
from seqtant.ctc.lattice.paths import CTCInput
from seqtant.ctc.training import DEMO_WARNING, load_model_and_sound
from seqtant.data.speech import write_ctm
from seqtant.findings import Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(DecodeConfig)
def decode(config: DecodeConfig, context: Context) -> Result:
    """Recognizes a sound greedily and by prefix beam search, with time stamps.

    The beam's score is checked against the exact sum over all alignments. With ``out`` the words are written as
    ``words.ctm``.

    Returns:
        ``words``, ``log_probability`` of the best hypothesis in nats and how much of it the beam lost; the tables
        ``hypotheses`` and ``words``.

    Raises:
        InputError: Sound and recognizer cannot be used, or only one of them is given.

    Example:
        >>> from seqtant import ctc
        >>> recognizer, utterance = ctc.load_model_and_sound()
        >>> result = decode(utterance, recognizer, beam=4)
        >>> [row[0] for row in result.tables[1].rows] == list(utterance.text)
        True
    """
    with Recorder(
        "ctc.decode", f"Words of {describe_source(config.file) or 'made-up tones'}", config, context, papers=(2,)
    ) as record:
        recognizer, utterance = load_model_and_sound(config.model, config.file, context.seed)
        if config.model is None:
            record.warn(DEMO_WARNING)
        labels, log_probs = recognizer.labels, recognizer.log_probs(utterance)
        greedy = greedy_decode(log_probs[None], torch.tensor([len(log_probs)]), blank=labels.blank)[0]
        beam = BeamDecoder(config.beam, labels.blank)
        beam.push(log_probs)
        found = beam.best(config.best)
        glue = " " if labels.units == "word" else ""
        rows: list[tuple[str, str, float | None]] = [
            ("greedy", glue.join(labels.names[span.label] for span in greedy), None)
        ]
        for rank, hypothesis in enumerate(found, start=1):
            text = glue.join(labels.names[label] for label in hypothesis.labels)
            rows.append((f"beam {rank}", text, round(hypothesis.score, 4)))
        record.table("hypotheses", "What was heard", ("decoder", "text", "log-probability, nats"), rows)
        # The beam's score is a lower bound, since a beam drops alignments: the exact sum tells how much is lost.
        best = found[0]
        tokens, frames = torch.tensor([best.labels], dtype=torch.long), torch.tensor([len(log_probs)])
        data = CTCInput.of(log_probs[None], frames, tokens, torch.tensor([len(best.labels)]), blank=labels.blank)
        exact = -float(ctc_losses(data))
        kept = abs(exact - best.score) < 0.05
        record.value("log_probability", best.score)
        record.value("log_probability_lost", exact - best.score)
        record.finding(
            "exact",
            "Did the beam keep the alignments that matter?",
            "agrees" if kept else "disagrees",
            f"The beam's score misses {exact - best.score:.3g} nats of the sum over all alignments.",
            predicted=Estimate.exact(exact, "nats", "sum over all alignments"),
            measured=Estimate.exact(best.score, "nats", "sum over the alignments the beam kept"),
            advice="" if kept else "Widen the beam.",
        )
        # A beam knows when a label begins, not how long it lasts: spans of one frame.
        emitted = zip(best.labels, best.frames, strict=True)
        spans = [Span(label, frame, frame + 1, 0.0) for label, frame in emitted]
        words = labels.words(spans, frame_seconds=recognizer.frame_seconds)
        record.value("words", len(words))
        record.table(
            "words",
            "Words of the best hypothesis",
            ("word", "emitted, s"),
            [(word.word, round(word.start, 3)) for word in words],
        )
        if context.folder is not None:
            context.folder.mkdir(parents=True, exist_ok=True)
            write_ctm(context.folder / "words.ctm", {utterance.id.replace(" ", "_"): words})
            record.artifact(context.folder / "words.ctm", "words")
    return record.result
