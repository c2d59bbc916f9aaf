"""Models solve tasks and rows, on their own steps or with teacher forcing, and every written piece is scored.

A piece is a step or the answer. Tasks are solved token by token; rows are text, compared line by line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from seqtant.data.tokens import CharacterTokens
from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.lm.generation import Sampling, generate
from seqtant.lm.interface import CausalLM, decode, encode, tokenizer_of
from seqtant.lm.scoring import next_token_log_probs
from seqtant.stats.intervals import share
from seqtant.subtasks.config import Decoding
from seqtant.subtasks.rows.layout import ANSWER_MARK, Layout, read_answer, read_steps
from seqtant.subtasks.rows.problem_rows import Row
from seqtant.subtasks.tasks.arms import Arm, sequences
from seqtant.subtasks.tasks.task import Task

ROWS_AT_ONCE = 512
"""Rows of one teacher-forced forward pass."""


@dataclass(frozen=True)
class Scores:
    """Which written pieces of which rows are right."""

    correct: Bool[np.ndarray, "rows pieces"]
    """Whether each written piece is the true one."""
    answer: Bool[np.ndarray, " rows"]
    """Whether the whole answer is right."""
    present: Bool[np.ndarray, "rows pieces"]
    """Which pieces a row has: rows have different numbers of steps."""

    @property
    def per_step(self) -> Float[np.ndarray, " pieces"]:
        """Accuracy of each piece among the rows that have it."""
        return (self.correct & self.present).sum(axis=0) / np.maximum(self.present.sum(axis=0), 1)

    def step_accuracy(self, piece: int) -> Estimate:
        """Estimates the accuracy of one piece, with its binomial interval."""
        has = self.present[:, piece]
        return share(int((self.correct[:, piece] & has).sum()), int(has.sum()))

    @property
    def answer_accuracy(self) -> Estimate:
        """Share of right answers."""
        return share(int(self.answer.sum()), len(self.answer))

    @property
    def chain(self) -> Bool[np.ndarray, " rows"]:
        """Whether every piece of a row is right."""
        return np.all(self.correct | ~self.present, axis=1)

    @property
    def chain_accuracy(self) -> Estimate:
        """Share of rows without any error."""
        return share(int(self.chain.sum()), len(self.answer))

    @property
    def first_errors(self) -> list[int]:
        """Number of rows whose first wrong piece is this one; the last entry counts rows without an error."""
        wrong = self.present & ~self.correct
        pieces = self.correct.shape[1]
        # argmax of booleans is the first True; a row without an error counts as piece number ``pieces``.
        first = np.where(wrong.any(axis=1), wrong.argmax(axis=1), pieces)
        return np.bincount(first, minlength=pieces + 1).tolist()


def solve(
    model: CausalLM,
    task: Task,
    arm: Arm,
    inputs: Int[np.ndarray, "rows d"],
    *,
    decode: Decoding = "free",
    generator: torch.Generator | None = None,
) -> Scores:
    """Solves inputs of a task and scores the written tokens; only tokens of the alphabet can be written.

    Args:
        model: A model over the task's tokens.
        task: The task.
        arm: What is written.
        inputs: Inputs to solve.
        decode: ``free`` decodes greedily, ``sample`` samples, both on the model's own tokens; ``teacher`` is teacher
            forcing: the most likely token after the true ones.
        generator: Random generator of ``sample``.
    """
    if decode == "teacher":
        tokens, _ = sequences(task, arm, inputs)
        # The last token of the prompt predicts the first written one.
        first = task.inputs + arm.pauses - 1
        positions = torch.arange(first, first + len(arm.written))
        found = []
        for rows in torch.from_numpy(tokens).split(ROWS_AT_ONCE):
            logits = model.forward(rows[:, :-1].to(model.device), keep=positions).logits
            found.append(logits[..., : task.alphabet].argmax(dim=-1).cpu().numpy())
        written = np.concatenate(found)
    else:
        prompts = list(torch.from_numpy(arm.prompt(task, inputs)))
        # The pause token is no value: it may not be written.
        sampling = Sampling(temperature=0.0 if decode == "free" else 1.0, allowed_ids=tuple(range(task.alphabet)))
        length = len(arm.written)
        made = generate(model, prompts, max_tokens=length, sampling=sampling, generator=generator, stop_ids=[])
        written = np.array([each.tokens for each in made])
    correct = written == arm.target(task, inputs)
    return Scores(correct, correct[:, list(arm.answer)].all(axis=1), np.ones_like(correct))


def solve_rows(
    model: CausalLM, tokens: CharacterTokens, rows: Sequence[Row], layouts: Sequence[Layout], *, longest: int
) -> Scores:
    """Completes the prompt of each layout greedily with a network trained here, and scores the text.

    A completion has at most ``longest`` tokens.
    """
    prompts = [tokens.encode(layout.prompt).tolist() for layout in layouts]
    written = [""] * len(rows)
    # The networks read no padding, so prompts of one length go together.
    for length in sorted({len(prompt) for prompt in prompts}):
        group = [number for number, prompt in enumerate(prompts) if len(prompt) == length]
        made = generate(
            model,
            [prompts[number] for number in group],
            max_tokens=longest if model.context_length is None else min(longest, model.context_length - length),
            sampling=Sampling(temperature=0.0),
            stop_ids=[tokens.separator],
        )
        for number, each in zip(group, made, strict=True):
            written[number] = tokens.decode(each.tokens)
    return score_texts(written, rows, layouts)


def solve_with(model: CausalLM, rows: Sequence[Row], layouts: Sequence[Layout]) -> Scores:
    """Completes the prompt of each layout greedily with a language model, and scores the text."""
    prompts = encode(model, [layout.prompt for layout in layouts])
    wholes = encode(model, [layout.text for layout in layouts])
    # Without line breaks or the mark in the vocabulary every answer would be wrong, however well the model reasons.
    wanted = layouts[0].completion
    kept = decode(model, encode(model, [wanted], start=False))[0]
    if (read_answer(kept), len(read_steps(kept))) != (read_answer(wanted), len(read_steps(wanted))):
        raise InputError(
            f"'{model.name}' cannot write rows: its tokenizer loses line breaks or the mark '{ANSWER_MARK.strip()}' "
            "before the answer; give a model whose vocabulary has them"
        )
    # Eight tokens more than the longest true completion, since the model may split its text otherwise.
    limit = max(len(whole) - len(prompt) for whole, prompt in zip(wholes, prompts, strict=True)) + 8
    if model.context_length is not None:
        # One limit for the batch, so that the longest prompt with its completion still fits.
        limit = min(limit, model.context_length - max(map(len, prompts)))
    made = generate(model, prompts, max_tokens=max(1, limit), sampling=Sampling(temperature=0.0))
    return score_texts(decode(model, [each.tokens for each in made]), rows, layouts)


def score_texts(written: Sequence[str], rows: Sequence[Row], layouts: Sequence[Layout]) -> Scores:
    """Scores one completion per row: a step is right if its line is that of the layout, character by character."""
    wanted = [read_steps(layout.completion) for layout in layouts]
    # Columns: steps 0, 1, ..., then the answer; rows with fewer steps are masked by ``present``.
    pieces = max(len(steps) for steps in wanted) + 1
    correct, present = np.zeros((2, len(rows), pieces), dtype=bool)
    for line, (text, row, steps) in enumerate(zip(written, rows, wanted, strict=True)):
        own = read_steps(text)
        for number, step in enumerate(steps):
            correct[line, number] = number < len(own) and own[number].strip() == step.strip()
        # The answer is the last column of every row, however many steps the row has.
        correct[line, -1] = read_answer(text) == row.answer_text
        present[line, : len(steps)] = present[line, -1] = True
    return Scores(correct, correct[:, -1], present)


TokenizedRow = tuple[list[int], list[list[int]]]
"""A row as tokens, and the positions among them of each step and of the answer, their line breaks included."""


def character_row(tokens: CharacterTokens, layout: Layout) -> TokenizedRow:
    """Tokenizes a row into characters."""
    ids = tokens.encode(layout.text).tolist()
    return ids, [list(range(start, min(end + 1, len(ids)))) for start, end in layout.pieces]


def model_row(model: CausalLM, layout: Layout) -> TokenizedRow:
    """Tokenizes a row for a language model; a token that spans two pieces belongs to both."""
    tokenizer = tokenizer_of(model)
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer of '{model.name}' cannot say where its tokens stand: give a tokenizer.json")
    encoded = tokenizer(layout.text, add_special_tokens=False, return_offsets_mapping=True)
    first = [model.bos_id] if model.bos_id is not None else []
    spans = enumerate(encoded["offset_mapping"], start=len(first))
    found = [(position, start, end) for position, (start, end) in spans if end > start]
    # start <= stop, not <: the line break after a piece belongs to it.
    pieces = [
        [position for position, start, end in found if start <= stop and end > begin] for begin, stop in layout.pieces
    ]
    return [*first, *encoded["input_ids"]], pieces


def teacher_forced(model: CausalLM, rows: Sequence[TokenizedRow], tokens: CharacterTokens | None = None) -> Scores:
    """Scores each piece with teacher forcing: are its tokens the most likely ones after the true text?

    A greedy model that is right here on every piece of a row writes that row, so the difference between the two ways
    of scoring is how errors spread. After the answer anything is right that ends it: white space, or a token without
    text, by ``tokens`` or the model's tokenizer.
    """
    correct, present = np.zeros((2, len(rows), max(len(pieces) for _, pieces in rows)), dtype=bool)
    # The networks read no padding, so rows of one length go together.
    for length in sorted({len(ids) for ids, _ in rows}):
        group = [number for number, (ids, _) in enumerate(rows) if len(ids) == length]
        # The token at position p is predicted at p - 1; the prediction after the whole text ends the answer.
        wanted = [
            [*sorted({position - 1 for piece in rows[number][1] for position in piece}), length - 1] for number in group
        ]
        found = next_token_log_probs(model, [rows[number][0] for number in group], wanted)
        for number, positions, scores in zip(group, wanted, found, strict=True):
            ids, pieces = rows[number]
            # The last position stands for what follows the answer, which the text itself does not hold.
            chosen = dict(zip(positions, scores.argmax(dim=-1).tolist(), strict=True))
            right = [all(chosen[position - 1] == ids[position] for position in piece) for piece in pieces]
            last = [chosen[length - 1]]
            after = tokens.decode(last) if tokens is not None else decode(model, [last])[0]
            right[-1] &= not after.strip() or after[0].isspace()
            correct[number, : len(right) - 1], correct[number, -1] = right[:-1], right[-1]
            present[number, : len(right) - 1] = present[number, -1] = True
    return Scores(correct, correct[:, -1], present)
