"""Runs the blocks above a vector at many strengths: what rows begin with, then each rest on the keys of that."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.layers import BlockStates, continue_from
from seqtant.steering.applying.hooks import steered
from seqtant.steering.sweeping.batches import Lower
from seqtant.steering.sweeping.partial_forward import read_keys, unscored
from seqtant.steering.vectors.vector import SteeringVector


def upper_states(
    model: HuggingFaceLM,
    vector: SteeringVector,
    lower: Lower,
    strengths: Float[Tensor, " strengths"],
    *,
    positions: str,
    prompts: list[int],
) -> Float[Tensor, "strengths rows time width"]:
    """Final states of the rests of a batch from the first scored token on, at every strength.

    Args:
        model: The model.
        vector: The vector.
        lower: The batch, read up to the first steered block.
        strengths: The strengths.
        positions: Which tokens are steered.
        prompts: Tokens of each row's prompt.
    """
    count, cache = len(strengths), None
    if lower.beginnings is not None:
        groups, time = lower.beginnings.input_ids.shape
        with _pushed(model, vector, strengths, positions, [time + 1] * groups):
            cache = read_keys(model, _copies(lower.beginnings, count))
        first = groups * torch.arange(count, device=model.device)
        cache = model.select_rows(cache, (first[:, None] + lower.owner).flatten())
    with _pushed(model, vector, strengths, positions, prompts), unscored(model, lower.unscored):
        states = continue_from(model, _copies(lower.rests, count), cache=cache)
    return states.unflatten(0, (count, len(prompts)))


def _copies(states: BlockStates, count: int) -> BlockStates:
    """All rows for the first strength, then all for the second, and so on."""
    return states.select_rows(torch.arange(len(states.input_ids), device=states.input_ids.device).repeat(count))


def _pushed(
    model: HuggingFaceLM, vector: SteeringVector, strengths: Tensor, positions: str, prompts: list[int]
) -> AbstractContextManager[None]:
    """Steers a batch of such copies."""
    own = strengths.repeat_interleave(len(prompts))
    where = {"positions": positions, "prompt_lengths": prompts * len(strengths)} if positions != "all" else {}
    # The hash was checked when the vector was taken up; here it would be computed per batch.
    return steered(model, vector, own, allow_other_model=True, **where)
