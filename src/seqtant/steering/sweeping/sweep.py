"""Scores continuations at many strengths at once: a plan of rows and targets, final states, log-probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.batches import as_tokens, logits_per_pass
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.progress import SILENT, Progress
from seqtant.steering.sweeping.batches import ScoredPositions, TokenRow, run_lower_blocks, run_upper_blocks
from seqtant.steering.vectors.vector import SteeringVector


@dataclass(frozen=True)
class Target:
    """One continuation to score."""

    item: int
    """Index of its item."""
    number: int
    """Index among the item's continuations."""
    row: int
    """Index of the row that holds it."""
    tokens: tuple[int, ...]
    """Its tokens; the first is scored after the last token of the prompt."""


@dataclass(frozen=True)
class ScoringPlan:
    """Rows to run and continuations to score; continuations that begin alike share a row."""

    rows: list[TokenRow]
    targets: list[Target]
    counts: list[int]
    """Continuations per item."""

    def targets_of_rows(self) -> list[list[Target]]:
        """The continuations that each row holds."""
        found: list[list[Target]] = [[] for _ in self.rows]
        for target in self.targets:
            found[target.row].append(target)
        return found


def plan_scoring(model: HuggingFaceLM, items: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]]) -> ScoringPlan:
    """Plans which rows to run so that all continuations of all items are scored.

    An item is the tokens of its prompt and of each continuation. A continuation of one token needs its prompt only, so
    all one-token answers of an item cost a single row.
    """
    rows: list[TokenRow] = []
    targets: list[Target] = []
    for number, (prompt, continuations) in enumerate(items):
        row_of: dict[tuple[int, ...], int] = {}
        # Longest first, so that a continuation finds the row of a longer one that begins with it.
        for index in sorted(range(len(continuations)), key=lambda i: -len(continuations[i])):
            tokens = tuple(int(token) for token in continuations[index])
            if not tokens:
                raise InputError(f"item {number}: a continuation is empty")
            # The last token is scored but never run.
            run = tokens[:-1]
            row = next((row for known, row in row_of.items() if known[: len(run)] == run), None)
            if row is None:
                row = row_of[run] = len(rows)
                (ids,) = as_tokens(model, [[*prompt, *run]], what=f"item {number}:")
                rows.append(TokenRow(ids, len(prompt), number))
            targets.append(Target(number, index, row, tokens))
    return ScoringPlan(rows, targets, [len(continuations) for _, continuations in items])


@dataclass(frozen=True)
class SweptStates:
    """Final states of some rows at their scored positions, at all strengths."""

    rows: list[int]
    """Rows of the plan."""
    first: list[int]
    """Per row the index of its first position, the last token of its prompt; its others follow."""
    states: Float[Tensor, "strengths scored width"]
    """Input of the model's head."""


def sweep_states(
    model: HuggingFaceLM,
    vector: SteeringVector,
    plan: ScoringPlan,
    strengths: Sequence[float] | Tensor,
    *,
    positions: str = "all",
    last_only: bool = False,
    tokens_per_batch: int = 4096,
    progress: Progress = SILENT,
    description: str = "measuring",
) -> Iterator[SweptStates]:
    """Computes the model's final states at all scored positions, at every strength, in batches that cover all rows.

    A batch has at most ``tokens_per_batch`` tokens, counting each strength; with ``last_only`` only the last token of
    each prompt is scored.
    """
    wanted = torch.as_tensor(strengths, dtype=torch.float32)
    bar = progress.task(description, len(plan.rows))
    # A batch is copied once per strength above the vector; what is too large even so is split over strengths.
    share = max(1, tokens_per_batch // max(1, len(wanted)))
    for lower in run_lower_blocks(model, vector.layers[0], plan.rows, share, last_only=last_only):
        rows = [plan.rows[row] for row in lower.rows]
        scored = ScoredPositions.of(rows, model.device, last_only=last_only)
        at = scored.positions - lower.skipped[scored.lines]  # positions in the rests
        lengths = [row.prompt_length for row in rows]
        parts = [
            run_upper_blocks(model, vector, lower, chunk, positions=positions, prompt_lengths=lengths)[
                :, scored.lines, at
            ]
            for chunk in wanted.split(max(1, tokens_per_batch // lower.rests.input_ids.numel()))
        ]
        yield SweptStates(lower.rows, scored.first, torch.cat(parts))
        bar.advance(len(rows))
    bar.close()


@torch.no_grad()
def sweep_log_probs(
    model: HuggingFaceLM,
    vector: SteeringVector,
    plan: ScoringPlan,
    strengths: Sequence[float],
    *,
    positions: str = "all",
    tokens_per_batch: int = 4096,
    progress: Progress = SILENT,
    description: str = "measuring",
) -> list[Float[np.ndarray, "strengths continuations"]]:
    """Computes the log-probability of every continuation at every strength, float64, in nats, per item."""
    # Not-a-number marks what no batch has filled in, as well as what the model could not compute.
    found = [np.full((len(strengths), count), np.nan) for count in plan.counts]
    targets_of = plan.targets_of_rows()
    for swept in sweep_states(
        model,
        vector,
        plan,
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
    model: HuggingFaceLM, states: Float[Tensor, "strengths scored width"], targets: Sequence[tuple[Target, int]]
) -> Float[Tensor, "strengths targets"]:
    """Computes log-probabilities of continuations, float64, in nats, from a bounded number of logits at a time.

    Each continuation comes with the index of its first position in the final states; its others follow.
    """
    # One row per token: its id, the position that scores it, the continuation it is summed into.
    ids = [(token, first + step, n) for n, (t, first) in enumerate(targets) for step, token in enumerate(t.tokens)]
    tokens, scored_at, owners = torch.tensor(ids, device=states.device).T
    # Logits of a whole batch at all strengths would not fit: they are made of so many positions at a time.
    found = torch.zeros(states.shape[0], len(targets), dtype=torch.float64, device=states.device)
    size = max(1, logits_per_pass(model) // (states.shape[0] * model.vocabulary_size))
    for start, part in zip(range(0, states.shape[1], size), states.split(size, dim=1), strict=True):
        logits = model.head(part.flatten(0, 1)).unflatten(0, part.shape[:2])
        here = (scored_at >= start) & (scored_at < start + size)
        at = scored_at[here] - start
        scores = torch.log_softmax(logits, dim=-1)[:, at, tokens[here]]
        found = found.index_add(1, owners[here], scores.double())
    return found
