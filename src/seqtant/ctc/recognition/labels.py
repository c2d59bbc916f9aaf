"""From words to labels and back: whole words as labels, or letters with a space between words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from seqtant.ctc.decoding.word_errors import split_words
from seqtant.ctc.lattice.forced_alignment import Span
from seqtant.data.timed_words import TimedWord
from seqtant.errors import InputError, suggest

Units = Literal["word", "letter"]
BLANK = "<blank>"


@dataclass(frozen=True)
class Labels:
    """The labels of a model, the blank first.

    Args:
        names: Name of each label; index 0 is the blank.
        units: Whether a label is a word or a letter.

    Example:
        >>> labels = Labels.of([("one", "two"), ("two",)], "word")
        >>> labels.encode(("two", "one")), labels.names
        ([2, 1], ('<blank>', 'one', 'two'))
        >>> Labels.of([("ab", "a")], "letter").encode(("ab", "a"))
        [2, 3, 1, 2]
    """

    names: tuple[str, ...]
    units: Units
    blank: int = 0

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], units: Units) -> Labels:
        """All labels that some texts need.

        Raises:
            InputError: The texts hold no word.
        """
        words = {word for text in texts for word in text}
        if not words:
            raise InputError("the texts hold no word: there is nothing to recognize")
        if units == "word":
            return cls((BLANK, *sorted(words)), units)
        return cls((BLANK, " ", *sorted({letter for word in words for letter in word})), units)

    @property
    def space(self) -> int | None:
        """Label between words; None where every label is a word."""
        return 1 if self.units == "letter" else None

    def encode(self, words: Sequence[str]) -> list[int]:
        """Labels of a text.

        Raises:
            InputError: A word or letter has no label.
        """
        index = {name: number for number, name in enumerate(self.names)}
        parts = list(words) if self.units == "word" else list(" ".join(words))
        for part in parts:
            if part not in index or part == BLANK:
                raise InputError(
                    f"the model has no label '{part}'{suggest(part, self.names)}: it cannot learn or say it"
                )
        return [index[part] for part in parts]

    def words(self, spans: Sequence[Span], *, frame_seconds: float) -> list[TimedWord]:
        """Words of decoded labels; a word is emitted when its last label first appears.

        Args:
            spans: Decoded labels on the time axis.
            frame_seconds: Seconds per model frame; a frame is known at its end.

        Returns:
            Words whose ``start`` is the time of emission and whose ``end`` is the end of their last frame.
        """
        found = split_words([span.label for span in spans], self.space)
        return [
            TimedWord(
                "".join(self.names[label] for label in word.labels),
                (spans[word.positions[-1]].start + 1) * frame_seconds,
                max(spans[word.positions[-1]].end, spans[word.positions[-1]].start + 1) * frame_seconds,
            )
            for word in found
        ]
