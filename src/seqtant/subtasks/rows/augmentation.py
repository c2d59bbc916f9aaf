"""Rows as training data: prompt and completion with the place of every step, and control arms of equal compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seqtant.errors import InputError
from seqtant.subtasks.config import ArmName, ArmSettings
from seqtant.subtasks.rows.layout import Layout, lay_out
from seqtant.subtasks.rows.problem_rows import Row
from seqtant.training.losses import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def arm_layouts(
    rows: Sequence[Row],
    arm: ArmName,
    settings: ArmSettings,
    generator: np.random.Generator,
    *,
    pause: str = ".",
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> list[Layout]:
    """Rows laid out for one arm.

    Args:
        rows: The rows.
        arm: ``steps``; ``answer`` alone; ``pause``: as many pauses as the steps are long, then the answer;
            ``shuffled``: the steps of each row in another order; ``noisy``: some steps taken from other rows.
        settings: Share of wrong steps.
        generator: Source of the order and the wrong steps.
        pause: One pause.
        tokenizer: Lengths are counted in its tokens; by default in characters.

    Raises:
        InputError: The arm does not exist for rows.
    """
    if arm == "partial":
        raise InputError(
            "arm 'partial' needs levels, which rows do not have: use steps, answer, pause, shuffled or noisy"
        )
    pool = [step.written for row in rows for step in row.steps]
    return [_layout(row, arm, settings, generator, pause, tokenizer, pool) for row in rows]


def _layout(
    row: Row,
    arm: ArmName,
    settings: ArmSettings,
    generator: np.random.Generator,
    pause: str,
    tokenizer: PreTrainedTokenizerBase | None,
    pool: Sequence[str],
) -> Layout:
    written: tuple[str, ...] = tuple(step.written for step in row.steps)
    if arm == "answer":
        return lay_out(row, ())
    if arm == "pause":
        return lay_out(row, (), filler=_pauses("\n".join(written), pause, tokenizer))
    if arm == "shuffled":
        written = tuple(written[each] for each in map(int, generator.permutation(len(written))))
    if arm == "noisy":
        wrong = generator.random(len(written)) < settings.noise
        other = [pool[int(each)] for each in generator.integers(max(len(pool), 1), size=len(written))]
        written = tuple(new if bad else own for own, bad, new in zip(written, wrong, other, strict=True))
    return lay_out(row, written)


def _pauses(steps: str, pause: str, tokenizer: PreTrainedTokenizerBase | None) -> str:
    """Pauses that are as long as the steps: a text of its own where the tokenizer glues repeated pauses together."""
    if tokenizer is None:
        return pause * max(1, len(steps) // len(pause))
    wanted = len(tokenizer(steps, add_special_tokens=False)["input_ids"])
    filler = pause
    while len(tokenizer(filler, add_special_tokens=False)["input_ids"]) < wanted:
        filler += f" {pause}"
    return filler


def training_rows(
    layouts: Sequence[Layout],
    form: Literal["causal", "seq2seq"],
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows as JSON data.

    ``causal`` has ``prompt`` and ``completion`` (what TRL's SFTTrainer reads) and ``spans`` of every step and the
    answer in characters of the completion; with a tokenizer also ``input_ids``, ``labels`` and ``completion_mask``
    (what transformers' Trainer reads). ``seq2seq`` has ``source`` and ``target`` and the spans in the target.

    Args:
        layouts: Rows laid out.
        form: Kind of model.
        tokenizer: Turns text into tokens.
    """
    for layout in layouts:
        shift = len(layout.prompt)
        spans = [[start - shift, end - shift] for start, end in layout.pieces]
        if form == "seq2seq":
            yield {"source": layout.prompt.strip(), "target": layout.completion, "spans": spans}
            continue
        row: dict[str, Any] = {"prompt": layout.prompt, "completion": layout.completion, "spans": spans}
        yield row | (_tokens(layout, tokenizer) if tokenizer is not None else {})


def _tokens(layout: Layout, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Tokens of the whole text, learned from the first token that holds a character of the completion on."""
    encoded = tokenizer(layout.text, return_offsets_mapping=True, return_special_tokens_mask=True)
    ids, offsets, special = encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"]
    shift = len(layout.prompt)
    learned = [int(end > shift and not marked) for (_, end), marked in zip(offsets, special, strict=True)]
    if tokenizer.eos_token_id is not None and ids[-1] != tokenizer.eos_token_id:
        ids, learned = [*ids, tokenizer.eos_token_id], [*learned, 1]
    labels = [token if keep else IGNORED for token, keep in zip(ids, learned, strict=True)]
    return {"input_ids": ids, "labels": labels, "completion_mask": learned}
