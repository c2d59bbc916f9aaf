"""Where sentences end, told on token ids: prompts are never decoded, cut and tokenized again."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seqtant.lm.interface import CausalLM
from seqtant.lm.text import tokenizer_of

_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|cf|vs|mr|mrs|ms|dr|st|prof|fig|no|approx)|(?:^|\s)[A-Z])\.$", re.IGNORECASE
)
_WIDE = "。！？"
_CLOSING = "\"'”’»)]"


class SentenceEnds:
    """Finds the last token of each sentence.

    A sentence ends with a line break, with a mark that white space (or the end) follows, closing quotes between them
    allowed, or with a mark of East Asian scripts. Abbreviations, initials and the points inside numbers end nothing;
    stretches without a word are no sentence.

    Args:
        model: A model whose tokenizer reads the ids.
        marks: Characters that end a sentence.

    Example:
        >>> from seqtant.reference import WorldLM, reference_world
        >>> oracle = WorldLM(reference_world())
        >>> ids = oracle.world.encode("talk : we love the road . how are you ? glad .")
        >>> SentenceEnds(oracle, ".!").ends(ids, start=3)
        [7, 13]
    """

    def __init__(self, model: CausalLM, marks: str) -> None:
        self.marks = marks
        self._tokenizer = tokenizer_of(model)
        self._wide = "".join(mark for mark in marks if mark in _WIDE)
        self._end = re.compile(f"[{re.escape(marks)}][{re.escape(_CLOSING)}]*$")
        # A token can end a sentence only if it holds such a character, or a part of one.
        self._telling = re.compile(f"[{re.escape(marks + _CLOSING)}\n\ufffd]")
        self._may_end: dict[int, bool] = {}

    def ends(self, ids: Sequence[int], *, start: int = 0) -> list[int]:
        """Positions of the tokens that end a sentence, from a position on; an open sentence at the end has none."""
        found, begin = [], start
        for place in range(start, len(ids)):
            if not self._telling_token(ids[place]):
                continue
            text = self._text(ids[begin : place + 1])
            if self._over(text, ids, begin, place):
                begin = place + 1
                if any(letter.isalnum() for letter in text):
                    found.append(place)
        return found

    def _over(self, text: str, ids: Sequence[int], begin: int, place: int) -> bool:
        said = text.rstrip()
        if "\n" in text[len(said) :]:
            return True
        if not said or not self._end.search(said):
            return False
        if said.rstrip(_CLOSING).endswith(tuple(self._wide)):
            return True
        if _ABBREVIATION.search(said):
            return False
        if text != said or place + 1 == len(ids):
            return True
        after = self._text(ids[begin : place + 2])[len(text) :]
        return not after or after[0].isspace()

    def _telling_token(self, token: int) -> bool:
        if token not in self._may_end:
            self._may_end[token] = bool(self._telling.search(self._text([token])))
        return self._may_end[token]

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
