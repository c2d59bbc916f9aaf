"""Exact token log-probabilities: batched by length, bounded in memory, many prefixes of a sequence in one pass.

One forward pass scores every prefix of a sequence. Logits are made for the wanted positions only and a bounded number
at a time: from the final hidden states where a model has them, else by reading the sequence in slices over its cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.interface import (
    CausalLM,
    Tokens,
    as_tokens,
    check_finite,
    group_by_length,
    kept_logits,
    logits_per_pass,
    pad,
    target_log_probs,
    tokens_per_pass,
)
from seqtant.processes import over_batches
from seqtant.progress import SILENT, Progress


@dataclass(frozen=True)
class ScoredBlock:
    """Next-token distributions of several models at the same positions of the same sequences."""

    rows: Int[Tensor, " batch"]
    """Which of the caller's sequences each row is."""
    positions: Int[Tensor, " kept"]
    """Position of the last token read; the distribution is of the token after it."""
    targets: Int[Tensor, "batch kept"]
    """The token that does come after it."""
    real: Bool[Tensor, "batch kept"]
    """Whether there is one; elsewhere the row has ended and nothing here means anything."""
    log_probs: tuple[Float[Tensor, "batch kept vocabulary"], ...]
    """Per model: log-probability of every token, in nats."""


@torch.no_grad()
def token_log_probs(
    model: CausalLM,
    sequences: Sequence[Tokens],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> list[Float[Tensor, " scored"]]:
    """Log-probability of each token after the first, given all tokens before it.

    Args:
        model: The model.
        sequences: Token ids; the first of each is given (usually the beginning-of-sequence token), not scored.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
        progress: Told how many sequences are done.

    Returns:
        Per sequence, in the caller's order: (time - 1,) float64, in nats. Entry t is log P(x_{t+1} | x_0..x_t).

    Raises:
        InputError: A sequence is empty, too long or holds an unknown id, or the model's output is not a number.

    Example:
        >>> from seqtant.lm.oracles import MarkovLM
        >>> coin = MarkovLM.from_chain([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]])
        >>> token_log_probs(coin, [[coin.bos_id, 0, 0, 1]])[0].exp()
        tensor([0.5000, 0.9000, 0.1000], dtype=torch.float64)
    """
    ids = as_tokens(model, sequences)

    def read(group: Sequence[int]) -> dict[int, Tensor]:
        batch = pad(ids, group, model, side="right")
        lines = zip(group, target_log_probs(model, batch).cpu(), batch.lengths.tolist(), strict=True)
        return {row: line[: length - 1].clone() for row, line, length in lines}

    found = over_batches(_groups(model, ids, tokens_per_batch), read, progress.task("scoring", len(ids)))
    results = [found[row] for row in range(len(ids))]
    check_finite(model, results)
    return results


def sequence_log_probs(
    model: CausalLM,
    sequences: Sequence[Tokens],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> Float[Tensor, " sequences"]:
    """Log-probability of each sequence given its first token: the sum of :func:`token_log_probs`, float64, in nats."""
    scores = token_log_probs(model, sequences, tokens_per_batch=tokens_per_batch, progress=progress)
    return torch.stack([line.sum() for line in scores]) if scores else torch.empty(0, dtype=torch.float64)


@torch.no_grad()
def next_token_log_probs(
    model: CausalLM,
    sequences: Sequence[Tokens],
    positions: Sequence[Sequence[int]] | None = None,
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> list[Float[Tensor, "positions vocabulary"]]:
    """The whole next-token distribution at chosen positions, all positions of a sequence from one pass.

    Args:
        model: The model.
        sequences: Token ids.
        positions: Per sequence, the positions after which the distribution is wanted (negative ones count from the
            end); None means the last one of each.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
        progress: Told how many sequences are done.

    Returns:
        Per sequence: log-probabilities (positions, vocabulary) in nats, on the CPU.

    Raises:
        InputError: As for :func:`token_log_probs`; or a position lies outside its sequence.
    """
    ids = as_tokens(model, sequences)
    chosen = [[-1]] * len(ids) if positions is None else positions
    if len(chosen) != len(ids):
        raise InputError(f"{len(chosen)} lists of positions for {len(ids)} sequences: give one for each")
    wanted: list[Tensor] = []
    for number, (own, length) in enumerate(zip(chosen, [line.numel() for line in ids], strict=True)):
        if any(not -length <= position < length for position in own):
            raise InputError(f"sequence {number} has {length} tokens: positions must lie in -{length} to {length - 1}")
        wanted.append(torch.tensor([position % length for position in own], dtype=torch.long))

    def read(rows: Sequence[int]) -> dict[int, Tensor]:
        # One pass makes the logits of every position that some row wants; each row then picks its own.
        union = torch.cat([wanted[row] for row in rows]).unique()
        found = {row: torch.empty(0, model.vocabulary_size) for row in rows}
        for group, logits in kept_logits(model, pad(ids, rows, model, side="right"), union):
            log_probs = torch.log_softmax(logits, dim=-1).cpu()
            for line, row in enumerate(rows):
                inside = (wanted[row] >= group[0]) & (wanted[row] <= group[-1])
                if found[row].shape[0] == 0:
                    found[row] = log_probs.new_empty(wanted[row].numel(), model.vocabulary_size)
                found[row][inside] = log_probs[line, torch.searchsorted(group, wanted[row][inside])]
        return found

    found = over_batches(_groups(model, ids, tokens_per_batch), read, progress.task("scoring", len(ids)))
    results = [found[row] for row in range(len(ids))]
    check_finite(model, results)
    return results


@torch.no_grad()
def log_prob_blocks(
    models: Sequence[CausalLM],
    sequences: Sequence[Tokens],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> Iterator[ScoredBlock]:
    """Full next-token distributions of several models at every scored position, block by block.

    For sums over the vocabulary, such as Kullback-Leibler divergences: no more than one bounded block per model is
    ever held.

    Args:
        models: Models over the same vocabulary and device.
        sequences: Token ids.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
        progress: Told how many sequences are done.

    Yields:
        Blocks that together cover every position of every sequence but the last.

    Raises:
        InputError: The vocabularies differ in size, or a sequence cannot be read.
    """
    first = models[0]
    if any(model.vocabulary_size != first.vocabulary_size for model in models):
        sizes = ", ".join(f"'{model.name}' {model.vocabulary_size}" for model in models)
        raise InputError(f"models with different vocabularies cannot be compared token by token: {sizes}")
    ids = as_tokens(min(models, key=lambda model: model.context_length or 10**18), sequences)
    share = max(1, logits_per_pass(first) // len(models))
    bar = progress.task("scoring", len(ids))
    for rows in _groups(first, ids, tokens_per_batch, budget=share):
        batch = pad(ids, rows, first, side="right")
        positions = torch.arange(batch.input_ids.shape[1] - 1)
        passes = [kept_logits(model, batch, positions, budget=share) for model in models]
        for parts in zip(*passes, strict=True):
            group = parts[0][0].to(batch.input_ids.device)
            log_probs = tuple(torch.log_softmax(logits, dim=-1) for _, logits in parts)
            # Position p predicts token p + 1, which must still be inside the row.
            real = group[None, :] + 1 < batch.lengths[:, None]
            yield ScoredBlock(batch.rows, group, batch.input_ids[:, group + 1], real, log_probs)
        bar.advance(len(rows))
    bar.close()


def _groups(
    model: CausalLM, ids: Sequence[Tensor], tokens_per_batch: int | None, *, budget: int | None = None
) -> list[list[int]]:
    """Rows that are read together, longest first, few enough that one position of each fits the logits' budget."""
    rows = max(1, (budget or logits_per_pass(model)) // model.vocabulary_size)
    return group_by_length([line.numel() for line in ids], tokens_per_batch or tokens_per_pass(model), rows=rows)
