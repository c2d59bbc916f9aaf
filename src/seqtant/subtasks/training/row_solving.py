"""A model writes the solutions of rows; its steps are compared line by line, its answer behind the mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from seqtant.lm.generation import generate
from seqtant.lm.interface import CausalLM
from seqtant.lm.sampling import Sampling
from seqtant.subtasks.rows.layout import Layout, read_answer, read_steps
from seqtant.subtasks.rows.problem_rows import Row
from seqtant.subtasks.training.scores import Scores


class Codec(Protocol):
    """Text to tokens and back."""

    separator: int

    def encode(self, text: str) -> np.ndarray:
        """Tokens of a text."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of some tokens."""
        ...


def solve_rows(
    model: CausalLM, codec: Codec, rows: Sequence[Row], layouts: Sequence[Layout], *, longest: int
) -> Scores:
    """Lets a model of ours complete each prompt greedily; prompts of one length go together.

    Args:
        model: The model.
        codec: Its tokens.
        rows: The rows.
        layouts: How each should be written.
        longest: Most tokens of a completion.
    """
    prompts = [codec.encode(layout.prompt).tolist() for layout in layouts]
    written = [""] * len(rows)
    for length in sorted({len(prompt) for prompt in prompts}):
        group = [number for number, prompt in enumerate(prompts) if len(prompt) == length]
        room = longest if model.context_length is None else min(longest, model.context_length - length)
        made = generate(
            model,
            [prompts[number] for number in group],
            max_tokens=room,
            sampling=Sampling(temperature=0.0),
            stop_ids=[codec.separator],
        )
        for number, each in zip(group, made, strict=True):
            written[number] = codec.decode(each.tokens)
    return score_texts(written, rows, layouts)


def score_texts(written: Sequence[str], rows: Sequence[Row], layouts: Sequence[Layout]) -> Scores:
    """Scores completions: a step is right if its line is the true one, character by character.

    Args:
        written: One completion per row.
        rows: The rows, for their answers.
        layouts: How each should be written.
    """
    wanted = [read_steps(layout.completion) for layout in layouts]
    pieces = max(len(steps) for steps in wanted) + 1
    right, there = np.zeros((2, len(rows), pieces), dtype=bool)
    for line, (text, row, steps) in enumerate(zip(written, rows, wanted, strict=True)):
        own = read_steps(text)
        for number, step in enumerate(steps):
            right[line, number] = number < len(own) and own[number].strip() == step.strip()
        right[line, -1] = read_answer(text) == row.answer_text
        there[line, : len(steps)] = there[line, -1] = True
    return Scores(right, right[:, -1], there)
