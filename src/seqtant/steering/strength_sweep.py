"""Scores continuations at many strengths at once: blocks below the vector run once, the rest one row per strength."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.batches import as_tokens, group_by_length, pad
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import reading_rows
from seqtant.lm.layers import continue_from, run_to_layer
from seqtant.lm.logits import gathered, logits_per_pass
from seqtant.progress import SILENT, Progress
from seqtant.steering.application import steered
from seqtant.steering.vectors import SteeringVector


@dataclass(frozen=True)
class Row:
    """One sequence to read, and which of its tokens are scored."""

    tokens: Int[Tensor, " time"]
    """Tokens read."""
    prompt_length: int
    """How many of them are the prompt."""
    item: int
    """Whose row it is."""


@dataclass(frozen=True)
class Target:
    """One continuation: where its tokens are scored."""

    item: int
    """Whose continuation it is."""
    number: int
    """Which of the item's continuations."""
    row: int
    """The row that holds it."""
    tokens: tuple[int, ...]
    """Its tokens; the first is scored after the last token of the prompt."""


@dataclass(frozen=True)
class Plan:
    """What is read and what is scored; continuations that begin alike share a row."""

    rows: list[Row]
    targets: list[Target]
    counts: list[int]
    """Continuations per item."""


def plan(model: HuggingFaceLM, items: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]]) -> Plan:
    """Plans the scoring of continuations.

    A continuation of one token needs its prompt only, so all one-token answers of an item cost a single row.

    Args:
        model: Whose vocabulary and context length count.
        items: Per item the tokens of its prompt and of each continuation, at least one token each.

    Raises:
        InputError: A sequence is empty or too long.
    """
    rows: list[Row] = []
    targets: list[Target] = []
    for number, (prompt, continuations) in enumerate(items):
        reads: dict[tuple[int, ...], int] = {}
        # Longest first, so that a beginning finds the row it is the beginning of.
        for index in sorted(range(len(continuations)), key=lambda i: -len(continuations[i])):
            tokens = tuple(int(token) for token in continuations[index])
            if not tokens:
                raise InputError(f"item {number}: a continuation is empty")
            read = tokens[:-1]
            home = next((row for known, row in reads.items() if known[: len(read)] == read), None)
            if home is None:
                home = reads[read] = len(rows)
                (ids,) = as_tokens(model, [[*prompt, *read]], what=f"item {number}:")
                rows.append(Row(ids, len(prompt), number))
            targets.append(Target(number, index, home, tokens))
    return Plan(rows, targets, [len(continuations) for _, continuations in items])


@dataclass(frozen=True)
class Swept:
    """Logits of some rows at all strengths."""

    rows: list[int]
    """Rows of the plan."""
    kept: Int[Tensor, " kept"]
    """Positions within the sequences, ascending."""
    logits: Float[Tensor, "strengths batch kept vocabulary"]


def sweep_logits(
    model: HuggingFaceLM,
    vector: SteeringVector,
    scoring: Plan,
    strengths: Sequence[float] | Tensor,
    *,
    positions: str = "all",
    last_only: bool = False,
    tokens_per_batch: int = 4096,
    progress: Progress = SILENT,
    description: str = "measuring",
) -> Iterator[Swept]:
    """Logits wherever the plan scores, at every strength.

    Args:
        model: The model.
        vector: The vector.
        scoring: What to read.
        strengths: The strengths.
        positions: Which tokens are steered.
        last_only: Only the logits after each prompt.
        tokens_per_batch: Most tokens in one forward pass, counting each strength.
        progress: Told how many rows are done.
        description: What the progress bar says.

    Yields:
        Blocks that together cover all rows.
    """
    wanted = torch.as_tensor(strengths, dtype=torch.float32)
    lengths = [row.tokens.numel() for row in scoring.rows]
    bar = progress.task(description, len(lengths))
    budget = max(1, tokens_per_batch // max(1, min(len(wanted), 16)))
    for group in group_by_length(lengths, max(budget, 1)):
        batch = pad([row.tokens for row in scoring.rows], group, model, side="right")
        first = min(scoring.rows[index].prompt_length for index in group) - 1
        last = max(scoring.rows[i].prompt_length if last_only else lengths[i] for i in group)
        kept = torch.arange(first, last, device=model.device)
        with reading_rows(batch.rows):
            below = run_to_layer(model, vector.layers[0], batch.input_ids)
        prompts = [scoring.rows[index].prompt_length for index in group]
        parts = []
        size = max(1, logits_per_pass(model) // (len(group) * kept.numel() * model.vocabulary_size))
        for chunk in wanted.split(size):
            copies = torch.arange(len(group), device=model.device).repeat(len(chunk))
            own = chunk.repeat_interleave(len(group))
            where = {"positions": positions, "prompt_lengths": prompts * len(chunk)} if positions != "all" else {}
            # The hash was checked when the vector was taken up; here it would be computed per batch.
            with steered(model, vector, own, allow_other_model=True, **where):
                logits = continue_from(model, below.select_rows(copies), keep=kept)
            parts.append(logits.unflatten(0, (len(chunk), len(group))))
        yield Swept(group, kept, torch.cat(parts))
        bar.advance(len(group))
    bar.close()


@torch.no_grad()
def sweep_log_probs(
    model: HuggingFaceLM,
    vector: SteeringVector,
    scoring: Plan,
    strengths: Sequence[float],
    *,
    positions: str = "all",
    tokens_per_batch: int = 4096,
    progress: Progress = SILENT,
    description: str = "measuring",
) -> list[Float[np.ndarray, "strengths continuations"]]:
    """Log-probability of every continuation at every strength, float64, in nats.

    Returns:
        Per item: (strengths, its continuations).

    Raises:
        InputError: The steered model's output is not a number.
    """
    found = [np.full((len(strengths), count), np.nan) for count in scoring.counts]
    of_row: dict[int, list[Target]] = {}
    for target in scoring.targets:
        of_row.setdefault(target.row, []).append(target)
    for swept in sweep_logits(
        model,
        vector,
        scoring,
        strengths,
        positions=positions,
        tokens_per_batch=tokens_per_batch,
        progress=progress,
        description=description,
    ):
        for line, row in enumerate(swept.rows):
            for target in of_row.get(row, []):
                score = target_score(swept.logits[:, line], swept.kept, scoring.rows[row], target)
                found[target.item][:, target.number] = score.cpu().numpy()
    if any(np.isnan(scores).any() for scores in found):
        raise InputError(
            f"'{model.name}' gives no number at strength {max(strengths, key=abs):g}: steer less, or load it with "
            "--set dtype=float32"
        )
    return found


def target_score(
    logits: Float[Tensor, "strengths kept vocabulary"], kept: Tensor, row: Row, target: Target
) -> Float[Tensor, " strengths"]:
    """Log-probability of one continuation from the logits of its row."""
    begin = row.prompt_length - 1 - int(kept[0])
    window = logits[:, begin : begin + len(target.tokens)]
    tokens = torch.tensor(target.tokens, device=logits.device).expand(window.shape[0], -1)
    return gathered(window, tokens).sum(dim=-1)
