"""Draws prompts: whole sentences from a model's own distribution, token ids kept, never cut by characters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from seqtant.beb.prompts.sentences import SentenceEnds
from seqtant.errors import InputError
from seqtant.lm.generation import generate
from seqtant.lm.interface import CausalLM

CHUNK = 8
"""Tokens drawn per sentence that is missing, before looking again where sentences end."""

LONGEST = 256
"""Tokens per sentence after which a model without a context length is not asked to go on."""


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
        """The prompt's first sentences, after the opening."""
        return self.ids[: self.ends[sentences - 1] + 1 if sentences else self.start]


@dataclass(frozen=True)
class Drawn:
    """Prompts, and what became of those that did not fit."""

    prompts: tuple[Prompt, ...]
    """In the order of their openings."""
    rows: tuple[int, ...]
    """Number of the opening of each."""
    lost: int
    """Prompts that the context could not hold: what remains leans to shorter sentences."""


def draw_prompts(
    model: CausalLM,
    openings: Sequence[Sequence[int]],
    sentences: int,
    splitter: SentenceEnds,
    *,
    generator: torch.Generator,
    room: int | None = None,
) -> Drawn:
    """Draws one prompt after each opening.

    The model's own distribution, temperature 1, nothing cut off, except that the text may not end: what is drawn is the
    model's distribution given that it goes on.

    Args:
        model: Who speaks.
        openings: Token ids before each prompt, at least one token each.
        sentences: Sentences of each prompt.
        splitter: Tells where sentences end.
        generator: Source of chance.
        room: Most tokens that opening and prompt may have; None is the model's context.

    Raises:
        InputError: More than half of the prompts do not fit into the context.
    """
    endless = max(map(len, openings)) + LONGEST * sentences
    most = min((limit for limit in (room, model.context_length) if limit is not None), default=endless)
    lines = [list(opening) for opening in openings]
    ends: list[list[int]] = [[] for _ in lines]
    open_rows = list(range(len(lines)))
    while open_rows:
        wanted = CHUNK * max(sentences - len(ends[row]) for row in open_rows)
        by_room: dict[int, list[int]] = defaultdict(list)
        for row in open_rows:
            by_room[min(wanted, most - len(lines[row]))].append(row)
        for chunk, rows in by_room.items():
            if chunk > 0:
                _extend(model, lines, rows, chunk, generator)
        for row in open_rows:
            begin = ends[row][-1] + 1 if ends[row] else len(openings[row])
            ends[row] = [*ends[row], *splitter.ends(lines[row], start=begin)][:sentences]
        open_rows = [row for row in open_rows if not _settled(ends[row], sentences, len(lines[row]), most)]
        for row in open_rows:
            # A sentence at the very edge counts once something follows it: "3." may go on as "3.5".
            ends[row] = [end for end in ends[row] if end + 1 < len(lines[row])]
    whole = [row for row, found in enumerate(ends) if len(found) == sentences]
    made = [Prompt(tuple(lines[row][: ends[row][-1] + 1]), len(openings[row]), tuple(ends[row])) for row in whole]
    lost = len(lines) - len(made)
    if lost * 2 > len(lines):
        raise InputError(
            f"{lost} of {len(lines)} prompts of {sentences} sentences do not fit into the {most} tokens that "
            f"'{model.name}' and the others read: ask for fewer sentences, or set marks to what ends a sentence there"
        )
    return Drawn(tuple(made), tuple(whole), lost)


def _settled(ends: Sequence[int], sentences: int, length: int, most: int) -> bool:
    return length >= most or (len(ends) == sentences and ends[-1] + 1 < length)


def _extend(
    model: CausalLM, lines: list[list[int]], rows: Sequence[int], chunk: int, generator: torch.Generator
) -> None:
    """Goes on with some rows by so many tokens."""
    made = generate(model, [lines[row] for row in rows], max_tokens=chunk, min_tokens=chunk, generator=generator)
    for row, new in zip(rows, made, strict=True):
        lines[row] += new.tokens
