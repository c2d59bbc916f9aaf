"""What a model would write next given the true text so far: each step of a row apart from the errors before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import next_token_log_probs
from seqtant.lm.text import decode, tokenizer_of
from seqtant.subtasks.rows.layout import Layout
from seqtant.subtasks.training.row_solving import Codec
from seqtant.subtasks.training.scores import Scores


@dataclass(frozen=True)
class Pieces:
    """A row as tokens, and where its steps and its answer are among them."""

    tokens: list[int]
    places: tuple[tuple[int, ...], ...]
    """Positions of the tokens of each piece, its line break included."""


def character_pieces(codec: Codec, layout: Layout) -> Pieces:
    """A row in tokens of one character each."""
    tokens = codec.encode(layout.text).tolist()
    places = tuple(tuple(range(start, min(end + 1, len(tokens)))) for start, end in layout.pieces)
    return Pieces(tokens, places)


def model_pieces(model: CausalLM, layout: Layout) -> Pieces:
    """A row in the tokens of a language model; a token that spans two pieces belongs to both.

    Raises:
        InputError: The tokenizer cannot say where its tokens stand.
    """
    tokenizer = tokenizer_of(model)
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer of '{model.name}' cannot say where its tokens stand: give a tokenizer.json")
    encoded = tokenizer(layout.text, add_special_tokens=False, return_offsets_mapping=True)
    first = [model.bos_id] if model.bos_id is not None else []
    spans = enumerate(encoded["offset_mapping"], start=len(first))
    found = [(place, start, end) for place, (start, end) in spans if end > start]
    places = tuple(
        tuple(place for place, start, end in found if start <= stop and end > begin) for begin, stop in layout.pieces
    )
    return Pieces([*first, *encoded["input_ids"]], places)


def given_true_text(model: CausalLM, rows: Sequence[Pieces], codec: Codec | None = None) -> Scores:
    """Whether the likeliest tokens after the true text are those of each piece.

    A greedy model that is right here on every piece of a row writes that row, so what the two ways of scoring tell
    apart is how errors spread. After the answer anything goes that ends it: white space, or a token without text.

    Args:
        model: The model.
        rows: The rows in its tokens.
        codec: Turns tokens back into text; by default the model's tokenizer.
    """
    pieces = max(len(row.places) for row in rows)
    right, there = np.zeros((2, len(rows), pieces), dtype=bool)
    for length in sorted({len(row.tokens) for row in rows}):
        # Networks of ours read no padding, so rows of one length go together.
        group = [number for number, row in enumerate(rows) if len(row.tokens) == length]
        wanted = [_wanted(rows[number]) for number in group]
        found = next_token_log_probs(model, [rows[number].tokens for number in group], wanted)
        for number, places, scores in zip(group, wanted, found, strict=True):
            chosen = dict(zip(places, scores.argmax(dim=-1).tolist(), strict=True))
            judged = _judged(rows[number], chosen, model, codec)
            right[number, : len(judged) - 1], right[number, -1] = judged[:-1], judged[-1]
            there[number, : len(judged) - 1] = there[number, -1] = True
    return Scores(right, right[:, -1], there)


def _wanted(row: Pieces) -> list[int]:
    """Positions after which something is to be foretold: before every token of a piece, and at the end."""
    return [*sorted({place - 1 for piece in row.places for place in piece}), len(row.tokens) - 1]


def _judged(row: Pieces, chosen: dict[int, int], model: CausalLM, codec: Codec | None) -> list[bool]:
    judged = [all(chosen[place - 1] == row.tokens[place] for place in piece) for piece in row.places]
    last = [chosen[len(row.tokens) - 1]]
    after = codec.decode(last) if codec is not None else decode(model, [last])[0]
    judged[-1] &= not after.strip() or after[0].isspace()
    return judged
