"""Scores continuations at many strengths at once: a plan of rows and targets, final states, log-probabilities.

Three savings, each exact: the blocks below the first steered one see no strength, so all strengths share them; rows
that begin alike share a key-value cache of their prefix, per strength; and the last block does not compute what nobody
reads (the states of prefixes, the feed-forward layer before the first scored token).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.hooks import decoder_blocks
from seqtant.lm.huggingface import HuggingFaceCache, HuggingFaceLM, ReachedError, only_grows, replaced, with_hidden
from seqtant.lm.interface import (
    as_tokens,
    check_length,
    decode,
    group_by_length,
    logits_per_pass,
    pad,
    reading_rows,
    why_not_finite,
)
from seqtant.lm.layers import BlockStates, PrefixGroup, continue_from, prefix_groups, read_from, run_to_layer, width
from seqtant.progress import SILENT, Progress
from seqtant.steering.vectors.hooks import apply_steering, output_projection
from seqtant.steering.vectors.vector import SteeringVector

KEPT = 2**24
"""Most numbers in the states below the vector that a plan keeps from one sweep to the next."""


@dataclass(frozen=True)
class TokenRow:
    """One sequence to run, with the length of its prompt."""

    tokens: Int[Tensor, " time"]
    """Tokens of the prompt and of the continuation."""
    prompt_length: int
    """How many of them are the prompt."""
    item: int
    """Index of the item that the row belongs to."""


@dataclass(frozen=True)
class ScoredPositions:
    """The positions of a batch from which a next token is scored."""

    lines: Int[Tensor, " scored"]
    """Row of the batch."""
    positions: Int[Tensor, " scored"]
    """Token of the row."""
    first: list[int]
    """Per row the index of its first position, the last token of its prompt; its others follow."""

    @classmethod
    def of(cls, rows: Sequence[TokenRow], device: torch.device, *, last_only: bool = False) -> ScoredPositions:
        """The scored positions of some rows; with ``last_only`` only the ends of their prompts."""
        spans = [range(row.prompt_length - 1, row.prompt_length if last_only else row.tokens.numel()) for row in rows]
        lines = torch.arange(len(rows)).repeat_interleave(torch.tensor([len(span) for span in spans]))
        positions = torch.tensor([position for span in spans for position in span])
        first = [0, *accumulate(len(span) for span in spans)][:-1]
        return cls(lines.to(device), positions.to(device), first)


@dataclass(frozen=True)
class LowerStates:
    """A batch behind the first steered block, before anything is added: where all strengths continue from."""

    rows: list[int]
    """Indices of its rows."""
    prefixes: BlockStates | None
    """Common prefixes, a line per group of rows, padding on the left; None where every row is run whole."""
    rests: BlockStates
    """What follows, a line per row, padding on the right."""
    owner: Int[Tensor, " rows"]
    """Line of each row's prefix."""
    skipped: Int[Tensor, " rows"]
    """Length of that prefix."""
    unscored: int
    """Tokens of every rest that come before any scored position."""


def run_lower_blocks(
    model: HuggingFaceLM, layer: int, rows: Sequence[TokenRow], tokens_per_batch: int, *, last_only: bool = False
) -> Iterator[LowerStates]:
    """Runs rows up to a block and splits common prefixes, which end before the first scored position, from the rests.

    With ``last_only`` nothing behind the prompts is run.
    """
    if last_only:
        rows = [replace(row, tokens=row.tokens[: row.prompt_length]) for row in rows]
    # The last prompt token is scored from, so its final state is needed and it must not vanish into a prefix.
    most = [row.prompt_length - 1 if model.abilities.prefixes else 0 for row in rows]
    groups = prefix_groups([row.tokens.tolist() for row in rows], most)
    # Groups with and without a common prefix never share a batch: the latter need no cache.
    for sharing in (True, False):
        own = [group for group in groups if bool(group.shared) == sharing]
        costs = [
            group.shared + sum(rows[number].tokens.numel() - group.shared for number in group.rows) for group in own
        ]
        for chunk in group_by_length(costs, tokens_per_batch):
            yield _run_lower_batch(model, layer, rows, [own[index] for index in chunk])


def _run_lower_batch(
    model: HuggingFaceLM, layer: int, rows: Sequence[TokenRow], groups: Sequence[PrefixGroup]
) -> LowerStates:
    numbers = [number for group in groups for number in group.rows]
    batch = pad([row.tokens for row in rows], numbers, model, side="right")
    with reading_rows(batch.rows):
        whole = run_to_layer(model, layer, batch.input_ids)
    device = model.device
    counts = torch.tensor([len(group.rows) for group in groups], device=device)  # [groups]
    shared = torch.tensor([group.shared for group in groups], device=device)  # [groups]
    prefixes, longest = None, int(shared.max())
    if longest:
        # A prefix is taken from the first row of its group and stands at the right end of its line.
        before = torch.arange(longest, device=device) - (longest - shared)[:, None]  # [groups, longest]
        real = (before >= 0).long() if bool((before < 0).any()) else None
        prefixes = whole.select_tokens(counts.cumsum(0) - counts, before.clamp(min=0), real)
    owner = torch.arange(len(groups), device=device).repeat_interleave(counts)
    first_scored = torch.tensor([rows[number].prompt_length - 1 for number in numbers], device=device)
    skipped, lines = shared[owner], torch.arange(len(numbers), device=device)
    # Rows with a long prefix run past their end: clamped places lie behind all scored tokens, unread.
    after = skipped[:, None] + torch.arange(int((batch.lengths - skipped).max()), device=device)  # [rows, rest]
    return LowerStates(
        rows=numbers,
        prefixes=prefixes,
        rests=whole.select_tokens(lines, after.clamp(max=batch.input_ids.shape[1] - 1)),
        owner=owner,
        skipped=skipped,
        unscored=int((first_scored - skipped).min()),
    )


def run_upper_blocks(
    model: HuggingFaceLM,
    vector: SteeringVector,
    lower: LowerStates,
    strengths: Float[Tensor, " strengths"],
    *,
    positions: str,
    prompt_lengths: list[int],
) -> Float[Tensor, "strengths rows time width"]:
    """Runs the blocks above the vector at every strength, all strengths in one batch: first prefixes, then rests.

    Final states of the rests that come before the first scored position mean nothing.
    """

    def steered_copies(states: BlockStates, prompts: list[int]) -> tuple[BlockStates, AbstractContextManager[None]]:
        # Line strength * len(prompts) + row: all rows for the first strength, then all for the second, and so on.
        count = len(strengths)
        # ``repeat`` tiles the rows, ``repeat_interleave`` below holds each strength: all pairs arise.
        copies = states.select_rows(torch.arange(len(states.input_ids), device=states.input_ids.device).repeat(count))
        where = {"positions": positions, "prompt_lengths": prompts * count} if positions != "all" else {}
        # The hash was checked when the vector was loaded; here it would be computed per batch.
        own = strengths.repeat_interleave(len(prompts))
        return copies, apply_steering(model, vector, own, allow_other_model=True, **where)

    cache = None
    if lower.prefixes is not None:
        groups, time = lower.prefixes.input_ids.shape
        # A prefix ends before its prompt does: with a length beyond it "prompt" steers all of it, "last" nothing.
        copies, steering = steered_copies(lower.prefixes, [time + 1] * groups)
        with steering:
            cache = _cache_of(model, copies)
        first = groups * torch.arange(len(strengths), device=model.device)
        # Prefix g at strength s is line s * groups + g; each row takes its own prefix at its own strength.
        cache = model.select_rows(cache, (first[:, None] + lower.owner).flatten())
    copies, steering = steered_copies(lower.rests, prompt_lengths)
    with steering, skip_unscored(model, lower.unscored):
        states = continue_from(model, copies, cache=cache)
    return states.unflatten(0, (len(strengths), len(prompt_lengths)))


def _cache_of(model: HuggingFaceLM, states: BlockStates) -> HuggingFaceCache:
    """Keys and values of the blocks above some states, as :func:`seqtant.lm.layers.read_from` computes them.

    The last block stops as soon as it has stored its own: its attention and its feed-forward layer, most of its cost,
    would only compute states that nobody reads.
    """
    block = decoder_blocks(model)[-1]
    whole: Any = block.forward

    def forward(hidden: Tensor, *inputs: Any, **named: Any) -> Any:
        past: Any = next((value for value in (*inputs, *named.values()) if hasattr(value, "layers")), None)
        if past is None:
            return whole(hidden, *inputs, **named)
        store = past.update

        def store_and_stop(*keys: Any, **options: Any) -> Any:
            stored = store(*keys, **options)
            # Not where a block keeps more than keys and values, such as a recurrent state.
            if only_grows(past.layers[-1]):
                raise ReachedError
            return stored

        past.update = store_and_stop
        try:
            return whole(hidden, *inputs, **named)
        except ReachedError:
            return with_hidden(states.output, hidden)
        finally:
            del past.update  # the instance attribute: the method of the class is there again

    with replaced(block, forward):
        return read_from(model, states)


@contextmanager
def skip_unscored(model: HuggingFaceLM, tokens: int) -> Iterator[None]:
    """Lets the last block's feed-forward layer skip the first ``tokens`` tokens of each row while the context lasts.

    Their final states mean nothing; those of all others are what they are. Where the layer is no plain one (a mixture
    of experts, or one that takes more than states), nothing is skipped.
    """
    blocks = decoder_blocks(model)
    block: Any = blocks[-1]
    try:
        output_projection(block, len(blocks) - 1)
    except InputError:
        tokens = 0
    if not tokens or not isinstance(getattr(block, "mlp", None), nn.Module):
        yield
        return
    whole: Any = block.mlp.forward

    def forward(states: Tensor, *inputs: Any, **named: Any) -> Any:
        if inputs or named:
            return whole(states, *inputs, **named)
        # Zeros stand for the skipped tokens: [rows, time, width] keeps its shape.
        return nn.functional.pad(whole(states[:, tokens:].contiguous()), (0, 0, tokens, 0))

    with replaced(block.mlp, forward):
        yield


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
    lower: dict[tuple[int, int, bool], list[LowerStates]] = field(default_factory=dict, repr=False, compare=False)
    """States below a vector, by network, layer and whether only prompts are run: the network must stay as it is."""

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
            # A longer row serves as well: causal states do not see what follows.
            row = next((row for known, row in row_of.items() if known[: len(run)] == run), None)
            if row is None:
                row = row_of[run] = len(rows)
                if len(prompt) + len(run) > (model.context_length or math.inf):
                    begins = f" that begins {decode(model, [prompt[:12]])[0]!r}" if model.tokenizer else f" {number}"
                    check_length(model, len(prompt) + len(run), f"the prompt{begins}, with its continuation,")
                (ids,) = as_tokens(model, [[*prompt, *run]], what=f"item {number}, text")
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
    # Strengths are tried few at a time, and below the vector all tries are alike: small states are kept for the next.
    lowers: Iterable[LowerStates] = run_lower_blocks(model, vector.layers[0], plan.rows, share, last_only=last_only)
    if sum(row.tokens.numel() for row in plan.rows) * width(model) <= KEPT:
        key = (id(model.model), vector.layers[0], last_only)
        lowers = plan.lower[key] = plan.lower.get(key) or list(lowers)
    for lower in lowers:
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
    broken = [r for row, r in enumerate(strengths) if any(np.isnan(scores[row]).any() for scores in found)]
    if broken:
        least = min(broken, key=abs)
        less = "steer less, or " if least else ""
        raise InputError(f"'{model.name}' gives no number at strength {least:g}: {less}{why_not_finite(model)}")
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
        # Two index tensors side by side pick pairs (position, token), giving [strengths, pairs].
        scores = torch.log_softmax(logits, dim=-1)[:, at, tokens[here]]
        found = found.index_add(1, owners[here], scores.double())
    return found
