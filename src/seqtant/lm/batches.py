"""Groups sequences of unlike length into batches: sorted by length, under a token budget, padded on either side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM

Tokens = Sequence[int] | Int[Tensor, " time"]
"""One sequence of token ids."""


@dataclass(frozen=True)
class Batch:
    """Sequences side by side."""

    rows: Int[Tensor, " batch"]
    """Where each sequence stands among the caller's."""
    input_ids: Int[Tensor, "batch time"]
    """Token ids, padded."""
    mask: Int[Tensor, "batch time"] | None
    """1 for real tokens; None where there is no padding."""
    lengths: Int[Tensor, " batch"]
    """Real tokens per row."""


def as_tokens(
    model: CausalLM, sequences: Sequence[Tokens], *, what: str = "sequence", reserve: int = 0
) -> list[Tensor]:
    """Sequences as tensors of ids that the model can read.

    Args:
        model: Whose vocabulary and context length count.
        sequences: Token ids, any lengths of at least 1.
        what: What a sequence is called in messages.
        reserve: Tokens that will be added to each.

    Returns:
        One (time,) tensor per sequence, on the CPU.

    Raises:
        InputError: A sequence is empty or too long, or an id is not in the vocabulary.
    """
    result = []
    for number, sequence in enumerate(sequences):
        ids = torch.as_tensor(sequence, dtype=torch.long, device="cpu")
        if ids.ndim != 1 or ids.numel() == 0:
            raise InputError(
                f"{what} {number} is empty or not a flat list of token ids: give at least one token, e.g. bos_id"
            )
        if int(ids.min()) < 0 or int(ids.max()) >= model.vocabulary_size:
            raise InputError(
                f"{what} {number} holds token {int(ids.max() if ids.min() >= 0 else ids.min())}, but "
                f"'{model.name}' knows tokens 0 to {model.vocabulary_size - 1}"
            )
        check_length(model, ids.numel() + reserve, f"{what} {number}")
        result.append(ids)
    return result


def check_length(model: CausalLM, tokens: int, what: str) -> None:
    """Checks that so many tokens fit the model.

    Raises:
        InputError: They do not.
    """
    if model.context_length is not None and tokens > model.context_length:
        raise InputError(
            f"{what} needs {tokens} tokens, but '{model.name}' reads at most {model.context_length}: shorten it"
        )


def group_by_length(lengths: Sequence[int], tokens_per_batch: int, *, rows: int | None = None) -> list[list[int]]:
    """Indices of sequences that share a batch: like lengths together, longest first.

    Args:
        lengths: Tokens per sequence.
        tokens_per_batch: Most tokens in a batch, padding included; a longer sequence gets a batch of its own.
        rows: Most sequences in a batch; None sets no limit.

    Example:
        >>> group_by_length([3, 9, 2, 8], tokens_per_batch=18)
        [[1, 3], [0, 2]]
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    groups: list[list[int]] = []
    for index in order:
        fits = groups and (rows is None or len(groups[-1]) < rows)
        if fits and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= tokens_per_batch:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def pad(sequences: Sequence[Tensor], rows: Sequence[int], model: CausalLM, *, side: str) -> Batch:
    """Puts the chosen sequences side by side on the model's device.

    Args:
        sequences: All sequences, (time,) each.
        rows: Which of them, in this order.
        model: Whose padding token and device count.
        side: ``"left"`` (before generation and under a shared prefix) or ``"right"`` (for scoring).
    """
    chosen = [sequences[row] for row in rows]
    lengths = torch.tensor([ids.numel() for ids in chosen])
    time = int(lengths.max())
    input_ids = torch.full((len(chosen), time), model.pad_id, dtype=torch.long)
    mask = torch.zeros(len(chosen), time, dtype=torch.long)
    for line, ids in enumerate(chosen):
        place = slice(time - ids.numel(), time) if side == "left" else slice(0, ids.numel())
        input_ids[line, place] = ids
        mask[line, place] = 1
    device = model.device
    padded = mask.to(device) if int(lengths.min()) < time else None
    return Batch(torch.tensor(rows, device=device), input_ids.to(device), padded, lengths.to(device))


def check_left_padding(attention_mask: Int[Tensor, "batch time"]) -> None:
    """Checks that padding stands before the first real token only.

    Raises:
        InputError: There is padding after a real token.
    """
    if bool((attention_mask[:, 1:] < attention_mask[:, :-1]).any()):
        raise InputError("padding must stand on the left: each row of attention_mask is zeros, then ones")
