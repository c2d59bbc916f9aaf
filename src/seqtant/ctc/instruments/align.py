"""Finds the time of every word of a known text in a sound file."""

from __future__ import annotations

import torch

from seqtant.ctc.config import AlignConfig
from seqtant.ctc.decoding.word_errors import split_words
from seqtant.ctc.inputs import describe_source
from seqtant.ctc.lattice.forced_alignment import forced_align
from seqtant.ctc.training import DEMO_WARNING, load_model_and_sound
from seqtant.data.speech import TimedWord, write_ctm
from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(AlignConfig)
def align(config: AlignConfig, context: Context) -> Result:
    """Finds the time of every word of a known text in a sound, by the likeliest alignment (Viterbi).

    The text may be left out where an utterance in memory holds it. With ``out`` the words are written as
    ``alignment.ctm``.

    Returns:
        ``words``, ``log_probability`` of the alignment in nats; the table ``alignment``.

    Raises:
        InputError: Sound and recognizer cannot be used, a word has no label, or the text does not fit into the sound.

    Example:
        >>> from seqtant import ctc
        >>> recognizer, utterance = ctc.load_model_and_sound()
        >>> result = align(utterance, model=recognizer)
        >>> result.values["words"] == len(utterance.text)
        True
    """
    with Recorder(
        "ctc.align", f"Words in {describe_source(config.file) or 'made-up tones'}", config, context, papers=(2,)
    ) as record:
        recognizer, utterance = load_model_and_sound(
            config.model, config.file, context.seed, text=str(config.text or "")
        )
        if config.model is None:
            record.warn(DEMO_WARNING)
        labels, log_probs = recognizer.labels, recognizer.log_probs(utterance)
        targets = labels.encode(utterance.text)
        lengths, counts = torch.tensor([len(log_probs)]), torch.tensor([len(targets)])
        result = forced_align(log_probs[None], lengths, torch.tensor([targets]), counts, blank=labels.blank)
        spans, seconds = result.spans[0], recognizer.frame_seconds
        if targets and not spans:
            raise InputError(
                f"the text has {len(targets)} labels, the sound only {len(log_probs)} frames: it cannot fit"
            )
        # A word reaches from the first frame of its first label to the last frame of its last.
        words = [
            TimedWord(
                "".join(labels.names[label] for label in word.labels),
                spans[word.positions[0]].start * seconds,
                spans[word.positions[-1]].end * seconds,
            )
            for word in split_words([span.label for span in spans], labels.space)
        ]
        record.value("words", len(words))
        record.value("log_probability", float(result.scores[0]))
        record.table(
            "alignment",
            "The likeliest time of each word",
            ("word", "start, s", "end, s"),
            [(word.word, round(word.start, 3), round(word.end, 3)) for word in words],
            note="Times are those of the model's labels: a peaked CTC model marks a word briefly, somewhere inside it.",
        )
        if utterance.words:
            inside = [
                true.start <= (word.start + word.end) / 2 <= true.end + 0.25
                for word, true in zip(words, utterance.words, strict=True)
            ]
            record.value("words_in_place", sum(inside))
            record.finding(
                "in_place",
                "Is every word found where it is?",
                "agrees" if all(inside) else "disagrees",
                f"{sum(inside)} of {len(inside)} words lie between their true start and 0.25 s after their true end.",
                predicted=Estimate.exact(len(inside), "words", "true times of the made-up utterance"),
                measured=Estimate.exact(sum(inside), "words", "counted"),
            )
        if context.folder is not None:
            context.folder.mkdir(parents=True, exist_ok=True)
            write_ctm(context.folder / "alignment.ctm", {utterance.id.replace(" ", "_"): words})
            record.artifact(context.folder / "alignment.ctm", "alignment")
    return record.result
