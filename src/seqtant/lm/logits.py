"""Logits of the wanted positions, a bounded number at a time, and log-probabilities made from them at once.

They come from the final hidden states where a model has them, else from reading the sequence in slices over its cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.batches import Batch
from seqtant.lm.interface import CausalLM, reading_rows

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
    """Refuses log-probabilities that are not numbers (minus infinity is one: an impossible token).

    Raises:
        InputError: A score is not a number.
    """
    for number, line in enumerate(scores):
        if torch.isnan(line).any():
            raise InputError(
                f"'{model.name}' gives no number for sequence {number}: its weights may be corrupt, or overflow in its "
                "number type (load it with dtype='float32')"
            )
