"""Contrast pairs: two texts that differ in what a vector shall steer, read from JSON lines and made into tokens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from seqtant.data.json_lines import read_lines, text_of
from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM
from seqtant.lm.text import encode, tokenizer_of


@dataclass(frozen=True)
class ContrastPair:
    """One pair."""

    positive: str
    """Text that shows the behavior."""
    negative: str
    """Text that shows its opposite."""
    prompt: str | None = None
    """What both answer; it goes in front of them, or to the user's turn of a chat."""


def read_pairs(path: str, *, limit: int) -> list[ContrastPair]:
    """Reads pairs from JSON lines.

    Args:
        path: File with ``positive``, ``negative`` and optionally ``prompt`` on each line.
        limit: Most pairs to read.

    Raises:
        InputError: The file or a line cannot be used.
    """
    pairs = []
    for place, record in read_lines(path):
        prompt = text_of(record, "prompt", place) if "prompt" in record else None
        pairs.append(ContrastPair(text_of(record, "positive", place), text_of(record, "negative", place), prompt))
        if len(pairs) == limit:
            break
    return pairs


def check_pairs(pairs: Sequence[ContrastPair]) -> None:
    """Refuses pairs that hold no direction.

    Raises:
        InputError: There are fewer than two, or all pairs have two equal sides.
    """
    if len(pairs) < 2:
        raise InputError(
            f"{len(pairs)} contrast pair(s): one pair cannot tell the behavior from its own words; give at least two, "
            "better a hundred"
        )
    same = sum(pair.positive == pair.negative for pair in pairs)
    if same:
        raise InputError(
            f"{same} of {len(pairs)} pairs have the same text on both sides: they hold no direction, remove them"
        )


def pairs_hash(pairs: Sequence[ContrastPair], template: str) -> str:
    """SHA-256 of the pairs and their template, 16 hexadecimal digits."""
    text = json.dumps([[pair.prompt, pair.positive, pair.negative] for pair in pairs] + [template])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def pair_tokens(model: CausalLM, pairs: Sequence[ContrastPair], template: str) -> list[list[int]]:
    """Token ids of all positive texts, then of all negative ones.

    Args:
        model: The model, with its tokenizer.
        pairs: The pairs.
        template: ``chat``, or a text with ``{text}``.

    Raises:
        InputError: There is no tokenizer, or no chat template where one is asked for.
    """
    sides = [(pair.prompt, pair.positive) for pair in pairs] + [(pair.prompt, pair.negative) for pair in pairs]
    if template == "chat":
        return [_chat(model, prompt, text) for prompt, text in sides]
    return encode(model, [template.replace("{text}", (prompt or "") + text) for prompt, text in sides])


def _chat(model: CausalLM, prompt: str | None, text: str) -> list[int]:
    tokenizer = tokenizer_of(model)
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(f"the tokenizer of '{model.name}' has no chat template: give a template with {{text}} instead")
    turns = [{"role": "user", "content": text if prompt is None else prompt}]
    if prompt is not None:
        turns.append({"role": "assistant", "content": text})
    rendered = tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=prompt is None, continue_final_message=prompt is not None
    )
    # The template writes the special tokens itself.
    return list(tokenizer(str(rendered), add_special_tokens=False)["input_ids"])
