"""Groups sequences of unlike length into batches: sorted by length, under a token budget, padded on either side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, reading_rows

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
    """Checks that so many tokens fit the model."""
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
    """Checks that padding stands before the first real token only."""
    if bool((attention_mask[:, 1:] < attention_mask[:, :-1]).any()):
        raise InputError("padding must stand on the left: each row of attention_mask is zeros, then ones")


_TOKENS_PER_PASS = {"cpu": 1024, "cuda": 16384}
"""Tokens in one forward pass by kind of device: more only thrash a CPU's caches, fewer leave a GPU idle."""

_LOGITS_PER_PASS = {"cpu": 2**23, "cuda": 2**28}
"""Most logits held at once, by kind of device: 32 MB on a CPU, 1 GB on a GPU in float32."""


def kept_logits(
    model: CausalLM,
    batch: Batch,
    positions: Int[Tensor, " kept"],
    *,
    cache: Any = None,
    budget: int | None = None,
) -> Iterator[tuple[Int[Tensor, " group"], Float[Tensor, "batch group vocabulary"]]]:
    """Logits at ascending positions of a right-padded batch, a bounded number of them at a time.

    Nothing after the last wanted position is read at all.
    """
    size = max(1, (budget or logits_per_pass(model)) // (batch.input_ids.shape[0] * model.vocabulary_size))
    groups = positions.split(size) if positions.numel() else ()
    if len(groups) > 1:
        states = _hidden(model, batch, int(positions[-1]) + 1, cache)
        if states is not None:
            for group in groups:
                chosen = states[:, group.to(states.device)]
                yield group, model.head(chosen.flatten(0, 1)).unflatten(0, chosen.shape[:2])
            return
    start = 0
    for number, group in enumerate(groups):
        end = int(group[-1]) + 1
        more = number + 1 < len(groups)
        keep = (group - start).to(model.device)
        with reading_rows(batch.rows):
            output = model.forward(batch.input_ids[:, start:end], cache=cache, keep=keep, use_cache=more)
        yield group, output.logits
        cache, start = output.cache, end


def target_log_probs(model: CausalLM, batch: Batch, *, cache: Any = None) -> Float[Tensor, "batch scored"]:
    """Log-probability of each token after the first of a right-padded batch, float64; of padding, any number."""
    targets = batch.input_ids[:, 1:]
    scores = torch.zeros(targets.shape, dtype=torch.float64, device=targets.device)
    states = _hidden(model, batch, targets.shape[1], cache) if targets.shape[1] else None
    if states is None:
        for group, logits in kept_logits(model, batch, torch.arange(targets.shape[1]), cache=cache):
            columns = group.to(targets.device)
            scores[:, columns] = gathered(logits, targets[:, columns])
        return scores
    real = torch.arange(targets.shape[1], device=targets.device) + 1 < batch.lengths[:, None]
    chosen, wanted = states[real], targets[real]
    size = max(1, logits_per_pass(model) // model.vocabulary_size)
    parts = [gathered(model.head(some), ids) for some, ids in zip(chosen.split(size), wanted.split(size), strict=True)]
    scores[real] = torch.cat(parts) if parts else scores.new_empty(0)
    return scores


def _hidden(model: CausalLM, batch: Batch, end: int, cache: Any) -> Float[Tensor, "batch time width"] | None:
    with reading_rows(batch.rows):
        return model.hidden(batch.input_ids[:, :end], cache=cache)


def tokens_per_pass(model: CausalLM) -> int:
    """Tokens that one forward pass of this model reads unless the caller says otherwise."""
    return _TOKENS_PER_PASS.get(model.device.type, _TOKENS_PER_PASS["cpu"])


def logits_per_pass(model: CausalLM) -> int:
    """Most logits that scoring holds at once for this model."""
    return _LOGITS_PER_PASS.get(model.device.type, _LOGITS_PER_PASS["cpu"])


def gathered(
    logits: Float[Tensor, "*positions vocabulary"], targets: Int[Tensor, "*positions"]
) -> Float[Tensor, "*positions"]:
    """Log-probability of each target, float64, in nats."""
    return torch.log_softmax(logits, dim=-1).gather(-1, targets[..., None]).squeeze(-1).double()


def check_finite(model: CausalLM, scores: Sequence[Tensor]) -> None:
    """Refuses log-probabilities that are not numbers (minus infinity is one: an impossible token)."""
    for number, line in enumerate(scores):
        if torch.isnan(line).any():
            raise InputError(
                f"'{model.name}' gives no number for sequence {number}: its weights may be corrupt, or overflow in its "
                "number type (load it with dtype='float32')"
            )
