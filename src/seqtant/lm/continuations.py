"""Log-probabilities of many continuations of few prefixes: each prefix is read once and shared through the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.interface import (
    Batch,
    CausalLM,
    Tokens,
    as_tokens,
    check_finite,
    check_length,
    group_by_length,
    pad,
    reading_rows,
    target_log_probs,
    tokens_per_pass,
)
from seqtant.processes import over_batches
from seqtant.progress import SILENT, Progress

TOKENS_IN_CACHE = 16384
"""Most tokens whose keys and values are held at once: copies of a prefix cost memory, if no time."""


def continuation_log_probs(
    model: CausalLM,
    prefix: Tokens,
    continuations: Sequence[Tokens],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> list[Float[Tensor, " time"]]:
    """Log-probability of each token of each continuation of one prefix, which is read once.

    Args:
        model: The model.
        prefix: Token ids, at least one.
        continuations: Token ids of each continuation, at least one each.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
        progress: Told how many continuations are done.

    Returns:
        Per continuation: (its length,) float64, in nats; the sum is log P(continuation | prefix).

    Raises:
        InputError: A sequence is empty or too long or holds an unknown id, or the model's output is not a number.

    Example:
        >>> from seqtant.lm.oracles import MarkovLM
        >>> coin = MarkovLM.from_chain([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]])
        >>> [round(line.sum().exp().item(), 6) for line in continuation_log_probs(coin, [0], [[0, 0], [1, 0]])]
        [0.81, 0.02]
    """
    return batch_continuation_log_probs(
        model, [prefix], [continuations], tokens_per_batch=tokens_per_batch, progress=progress
    )[0]


@torch.no_grad()
def batch_continuation_log_probs(
    model: CausalLM,
    prefixes: Sequence[Tokens],
    continuations: Sequence[Sequence[Tokens]],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> list[list[Float[Tensor, " time"]]]:
    """:func:`continuation_log_probs` for many prefixes, each with its own continuations.

    Args:
        model: The model.
        prefixes: Token ids of each prefix.
        continuations: Per prefix, its continuations; for the same ones everywhere, ``[labels] * len(prefixes)``.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
        progress: Told how many continuations are done.

    Returns:
        Per prefix, per continuation: (its length,) float64, in nats.

    Raises:
        InputError: As for :func:`continuation_log_probs`; or the two lists differ in length.
    """
    if len(prefixes) != len(continuations):
        raise InputError(f"{len(prefixes)} prefixes but {len(continuations)} lists of continuations: give one for each")
    starts = as_tokens(model, prefixes, what="prefix")
    ends = [as_tokens(model, own, what=f"of prefix {number}, continuation") for number, own in enumerate(continuations)]
    for number, (start, own) in enumerate(zip(starts, ends, strict=True)):
        longest = max((line.numel() for line in own), default=0)
        check_length(model, start.numel() + longest, f"prefix {number} with its longest continuation")
    wanted = [number for number, own in enumerate(ends) if own]
    budget = tokens_per_batch or tokens_per_pass(model)
    groups = [
        [wanted[index] for index in group]
        for group in group_by_length([starts[number].numel() for number in wanted], budget)
    ]
    found = over_batches(
        groups,
        lambda group: _score_batch(model, pad(starts, group, model, side="left"), ends, budget),
        progress.task("scoring", sum(map(len, ends))),
        lambda group: sum(len(ends[row]) for row in group),
    )
    results = [[found[row, number] for number in range(len(own))] for row, own in enumerate(ends)]
    check_finite(model, [line for own in results for line in own])
    return results


def _score_batch(
    model: CausalLM, prefixes: Batch, continuations: Sequence[Sequence[Tensor]], budget: int
) -> dict[tuple[int, int], Tensor]:
    """Reads a left-padded batch of prefixes once, then all their continuations: (prefix, number) -> scores."""
    with reading_rows(prefixes.rows):
        head = model.forward(prefixes.input_ids, prefixes.mask, keep=1, use_cache=True)
    first = torch.log_softmax(head.logits[:, -1].double(), dim=-1)
    past = prefixes.input_ids.shape[1]
    tasks = [
        (line, number, ids)
        for line, row in enumerate(prefixes.rows.tolist())
        for number, ids in enumerate(continuations[row])
    ]
    lines = [ids for _, _, ids in tasks]
    found: dict[tuple[int, int], Tensor] = {}
    # A one-token continuation costs no pass, since its prefix's logits hold its score.
    lengths = [ids.numel() for ids in lines]
    short = [index for index, length in enumerate(lengths) if length == 1]
    rest = [index for index, length in enumerate(lengths) if length > 1]
    # A row costs its new tokens or its share of the cache, whichever is more: rows * cost <= budget bounds both the
    # pass and the tokens whose keys and values are held.
    share = budget / max(budget, TOKENS_IN_CACHE)
    costs = [max(lengths[index], math.ceil((past + lengths[index]) * share)) for index in rest]
    groups = [[rest[index] for index in group] for group in group_by_length(costs, budget)]
    for group in [short, *groups] if short else groups:
        batch = pad(lines, group, model, side="right")
        owner = torch.tensor([tasks[index][0] for index in group], device=model.device)
        # The prefix's last logits score the first token; the continuation's own logits score the second and later ones.
        scores = [first[owner, batch.input_ids[:, 0]][:, None]]
        if batch.input_ids.shape[1] > 1:
            owned = replace(batch, rows=prefixes.rows[owner])
            scores.append(target_log_probs(model, owned, cache=model.select_rows(head.cache, owner)))
        for index, line in zip(group, torch.cat(scores, dim=1).cpu(), strict=True):
            owner_line, number, ids = tasks[index]
            found[int(prefixes.rows[owner_line]), number] = line[: ids.numel()].clone()
    return found
