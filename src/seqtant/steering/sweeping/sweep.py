"""Scores continuations at many strengths at once: what no strength changes, and what rows begin with, is read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.batches import as_tokens
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.logits import logits_per_pass
from seqtant.progress import SILENT, Progress
from seqtant.steering.sweeping.batched_strengths import upper_states
from seqtant.steering.sweeping.batches import Places, Row, lower_batches
from seqtant.steering.vectors.vector import SteeringVector


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
    bar = progress.task(description, len(scoring.rows))
    share = max(1, tokens_per_batch // max(1, len(wanted)))
    for lower in lower_batches(model, vector.layers[0], scoring.rows, share, last_only=last_only):
        rows = [scoring.rows[row] for row in lower.rows]
        places = Places.of(rows, model.device, last_only=last_only)
        at = places.positions - lower.skipped[places.lines]
        prompts = [row.prompt_length for row in rows]
        parts = [
            upper_states(model, vector, lower, chunk, positions=positions, prompts=prompts)[:, places.lines, at]
            for chunk in wanted.split(max(1, tokens_per_batch // lower.rests.input_ids.numel()))
        ]
        yield Swept(lower.rows, places.first, torch.cat(parts))
        bar.advance(len(rows))
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
        scores = torch.log_softmax(logits, dim=-1)[:, at, tokens[here]]
        found = found.index_add(1, owners[here], scores.double())
    return found
