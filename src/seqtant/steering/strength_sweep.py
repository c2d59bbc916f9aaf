"""Scores continuations at many strengths at once: blocks below the vector run once, the rest one row per strength."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.batches import as_tokens, group_by_length, pad
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import reading_rows
from seqtant.lm.layers import continue_from, run_to_layer
from seqtant.lm.logits import logits_per_pass
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

    def targets_of_rows(self) -> list[list[Target]]:
        """Per row, the continuations that it holds."""
        found: list[list[Target]] = [[] for _ in self.rows]
        for target in self.targets:
            found[target.row].append(target)
        return found


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
class Places:
    """Where the rows of a batch are scored: after which tokens the next one is asked for."""

    lines: Int[Tensor, " places"]
    """Row of the batch."""
    positions: Int[Tensor, " places"]
    """Token of the row."""
    first: list[int]
    """Per row its first place, the last token of its prompt; its others follow."""

    @classmethod
    def of(cls, rows: Sequence[Row], device: torch.device, *, last_only: bool = False) -> Places:
        """The places of some rows; with ``last_only`` only the ends of their prompts."""
        spans = [range(row.prompt_length - 1, row.prompt_length if last_only else row.tokens.numel()) for row in rows]
        lines = torch.arange(len(rows)).repeat_interleave(torch.tensor([len(span) for span in spans]))
        positions = torch.tensor([position for span in spans for position in span])
        first = [0, *accumulate(len(span) for span in spans)][:-1]
        return cls(lines.to(device), positions.to(device), first)


@dataclass(frozen=True)
class Swept:
    """Final states of some rows wherever they are scored, at all strengths."""

    rows: list[int]
    """Rows of the plan."""
    first: list[int]
    """Per row its first place, the last token of its prompt; its others follow."""
    states: Float[Tensor, "strengths places width"]
    """What the model's head makes logits from."""


def sweep_states(
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
    """The model's final states wherever the plan scores, at every strength.

    Args:
        model: The model.
        vector: The vector.
        scoring: What to read.
        strengths: The strengths.
        positions: Which tokens are steered.
        last_only: Only after each prompt.
        tokens_per_batch: Most tokens in one forward pass, counting each strength.
        progress: Told how many rows are done.
        description: What the progress bar says.

    Yields:
        Blocks that together cover all rows.
    """
    wanted = torch.as_tensor(strengths, dtype=torch.float32)
    lengths = [row.tokens.numel() for row in scoring.rows]
    bar = progress.task(description, len(lengths))
    for group in group_by_length(lengths, max(1, tokens_per_batch // max(1, len(wanted)))):
        batch = pad([row.tokens for row in scoring.rows], group, model, side="right")
        places = Places.of([scoring.rows[index] for index in group], model.device, last_only=last_only)
        with reading_rows(batch.rows):
            below = run_to_layer(model, vector.layers[0], batch.input_ids)
        prompts = [scoring.rows[index].prompt_length for index in group]
        parts = []
        for chunk in wanted.split(max(1, tokens_per_batch // batch.input_ids.numel())):
            copies = torch.arange(len(group), device=model.device).repeat(len(chunk))
            own = chunk.repeat_interleave(len(group))
            where = {"positions": positions, "prompt_lengths": prompts * len(chunk)} if positions != "all" else {}
            # The hash was checked when the vector was taken up; here it would be computed per batch.
            with steered(model, vector, own, allow_other_model=True, **where):
                states = continue_from(model, below.select_rows(copies))
            parts.append(states.unflatten(0, (len(chunk), len(group)))[:, places.lines, places.positions])
        yield Swept(group, places.first, torch.cat(parts))
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
    targets_of = scoring.targets_of_rows()
    for swept in sweep_states(
        model,
        vector,
        scoring,
        strengths,
        positions=positions,
        tokens_per_batch=tokens_per_batch,
        progress=progress,
        description=description,
    ):
        owned = [
            (target, first) for row, first in zip(swept.rows, swept.first, strict=True) for target in targets_of[row]
        ]
        scores = target_scores(model, swept.states, owned).cpu().numpy()
        for column, (target, _) in enumerate(owned):
            found[target.item][:, target.number] = scores[:, column]
    if any(np.isnan(scores).any() for scores in found):
        raise InputError(
            f"'{model.name}' gives no number at strength {max(strengths, key=abs):g}: steer less, or load it with "
            "--set dtype=float32"
        )
    return found


def target_scores(
    model: HuggingFaceLM, states: Float[Tensor, "strengths places width"], targets: Sequence[tuple[Target, int]]
) -> Float[Tensor, "strengths targets"]:
    """Log-probability of some continuations, float64, in nats; logits are made of a bounded number of places at a time.

    Args:
        model: The model.
        states: Its final states wherever tokens are scored.
        targets: Continuations, each with the place of its first token; its others follow.
    """
    ids = [(token, first + step, n) for n, (t, first) in enumerate(targets) for step, token in enumerate(t.tokens)]
    tokens, places, owners = torch.tensor(ids, device=states.device).T
    found = torch.zeros(states.shape[0], len(targets), dtype=torch.float64, device=states.device)
    size = max(1, logits_per_pass(model) // (states.shape[0] * model.vocabulary_size))
    for start, part in zip(range(0, states.shape[1], size), states.split(size, dim=1), strict=True):
        logits = model.head(part.flatten(0, 1)).unflatten(0, part.shape[:2])
        here = (places >= start) & (places < start + size)
        at = places[here] - start
        scores = logits[:, at, tokens[here]] - logits.logsumexp(dim=-1)[:, at]
        found = found.index_add(1, owners[here], scores.double())
    return found
