"""Samples prompts of whole sentences from a model's own distribution; token ids are kept, never cut by characters."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from seqtant.errors import InputError
from seqtant.lm.generation import generate
from seqtant.lm.interface import CausalLM, tokenizer_of

CHUNK = 8
"""Tokens sampled per missing sentence before sentence ends are looked for again."""
MAX_SENTENCE_TOKENS = 256
"""Tokens per sentence after which a model without a context length is not asked to go on."""

_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|cf|vs|mr|mrs|ms|dr|st|prof|fig|no|approx)|(?:^|\s)[A-Z])\.$", re.IGNORECASE
)
_WIDE = "。！？"
_CLOSING = "\"'”’»)]"


class SentenceEnds:
    """Finds the last token of each sentence, on token ids.

    A sentence ends with a line break, with a mark that white space (or the end) follows, closing quotes between them
    allowed, or with a mark of East Asian scripts. Abbreviations, initials and the points inside numbers end nothing;
    stretches without a word are no sentence.
    """

    def __init__(self, model: CausalLM, marks: str) -> None:
        self.marks = marks
        self._tokenizer = tokenizer_of(model)
        self._wide = "".join(mark for mark in marks if mark in _WIDE)
        self._end = re.compile(f"[{re.escape(marks)}][{re.escape(_CLOSING)}]*$")
        # A token can end a sentence only if it holds such a character, or a part of one (U+FFFD).
        self._candidate = re.compile(f"[{re.escape(marks + _CLOSING)}\n\ufffd]")
        self._may_end: dict[int, bool] = {}

    def ends(self, ids: Sequence[int], *, start: int = 0) -> list[int]:
        """Positions of the tokens that end a sentence, from a position on; an unfinished last sentence has none."""
        found, begin = [], start
        for position in range(start, len(ids)):
            token = ids[position]
            # Most tokens cannot end a sentence: one cached look at the token alone saves decoding the whole stretch.
            if token not in self._may_end:
                self._may_end[token] = bool(self._candidate.search(self._decode([token])))
            if not self._may_end[token]:
                continue
            text = self._decode(ids[begin : position + 1])
            if self._is_over(text, ids, begin, position):
                begin = position + 1
                # Stretches of marks and spaces alone are no sentence.
                if any(letter.isalnum() for letter in text):
                    found.append(position)
        return found

    def _is_over(self, text: str, ids: Sequence[int], begin: int, position: int) -> bool:
        stripped = text.rstrip()
        if "\n" in text[len(stripped) :]:
            return True
        if not stripped or not self._end.search(stripped):
            return False
        if stripped.rstrip(_CLOSING).endswith(tuple(self._wide)):
            return True
        if _ABBREVIATION.search(stripped):
            return False
        if text != stripped or position + 1 == len(ids):
            return True
        # The next token decides: "3." may go on as "3.5". It is decoded in context, since tokens may share a character.
        after = self._decode(ids[begin : position + 2])[len(text) :]
        return not after or after[0].isspace()

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


@dataclass(frozen=True)
class Prompt:
    """An opening and some whole sentences."""

    ids: tuple[int, ...]
    """Token ids, opening included."""
    start: int
    """Number of tokens of the opening."""
    ends: tuple[int, ...]
    """Position of the last token of each sentence."""

    def upto(self, sentences: int) -> tuple[int, ...]:
        """Token ids of the opening and the first sentences after it."""
        return self.ids[: self.ends[sentences - 1] + 1 if sentences else self.start]


@dataclass(frozen=True)
class SampledPrompts:
    """Prompts that fit the context, and the number of those that did not."""

    prompts: tuple[Prompt, ...]
    """In the order of their openings."""
    rows: tuple[int, ...]
    """Index of the opening of each."""
    dropped: int
    """Prompts that the context could not hold: what remains leans to shorter sentences."""


def sample_prompts(
    model: CausalLM,
    openings: Sequence[Sequence[int]],
    sentences: int,
    splitter: SentenceEnds,
    *,
    generator: torch.Generator,
    max_tokens: int | None = None,
) -> SampledPrompts:
    """Samples one prompt of whole sentences after each opening.

    Temperature 1, no truncation, except that the text may not end: the distribution is the model's own, given that the
    text goes on.

    Args:
        model: The model that is sampled.
        openings: Token ids before each prompt, at least one token each.
        sentences: Sentences of each prompt.
        splitter: Finds sentence ends.
        generator: Random generator.
        max_tokens: Most tokens of opening and prompt together; None is the model's context length.

    Raises:
        InputError: More than half of the prompts do not fit into the context.
    """
    endless = max(map(len, openings)) + MAX_SENTENCE_TOKENS * sentences
    most = min((limit for limit in (max_tokens, model.context_length) if limit is not None), default=endless)
    texts = [list(opening) for opening in openings]
    ends: list[list[int]] = [[] for _ in texts]
    unfinished = list(range(len(texts)))
    while unfinished:
        # Rows that are near the limit get shorter chunks; rows with chunks of one size are sampled as one batch.
        wanted = CHUNK * max(sentences - len(ends[row]) for row in unfinished)
        by_chunk: dict[int, list[int]] = defaultdict(list)
        for row in unfinished:
            by_chunk[min(wanted, most - len(texts[row]))].append(row)
        for chunk, rows in by_chunk.items():
            if chunk > 0:
                heads = [texts[row] for row in rows]
                # With min_tokens equal to max_tokens no stop token can be drawn: the text goes on.
                added = generate(model, heads, max_tokens=chunk, min_tokens=chunk, generator=generator)
                for row, new in zip(rows, added, strict=True):
                    texts[row] += new.tokens
        for row in unfinished:
            begin = ends[row][-1] + 1 if ends[row] else len(openings[row])
            ends[row] = [*ends[row], *splitter.ends(texts[row], start=begin)][:sentences]
        # A row is finished once something follows its last sentence, or the context is full.
        unfinished = [
            row
            for row in unfinished
            if len(texts[row]) < most and (len(ends[row]) < sentences or ends[row][-1] + 1 == len(texts[row]))
        ]
        for row in unfinished:
            # A sentence at the very edge counts once something follows it: "3." may go on as "3.5".
            ends[row] = [end for end in ends[row] if end + 1 < len(texts[row])]
    whole = [row for row, found in enumerate(ends) if len(found) == sentences]
    made = [Prompt(tuple(texts[row][: ends[row][-1] + 1]), len(openings[row]), tuple(ends[row])) for row in whole]
    dropped = len(texts) - len(made)
    if dropped * 2 > len(texts):
        raise InputError(
            f"{dropped} of {len(texts)} prompts of {sentences} sentences do not fit into the {most} tokens that "
            f"'{model.name}' and the others read: ask for fewer sentences, or set marks to what ends a sentence there"
        )
    return SampledPrompts(tuple(made), tuple(whole), dropped)
