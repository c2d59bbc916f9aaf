"""Steers a model by hooks: inside a context its blocks add the vector to their output, by row and by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.hooks import BlockCall, Edit, Model, edit_blocks, network
from seqtant.lm.huggingface import HuggingFaceLM, device_of
from seqtant.steering.vectors.vector import SteeringVector, check_vector

PROJECTIONS = ("mlp.down_proj", "mlp.c_proj", "mlp.dense_4h_to_h", "mlp.fc2", "mlp.fc_out", "fc2")
"""Where families keep the output projection of a block."""

PLAIN = {"Linear", "Conv1D"}
"""Modules that are a matrix and a bias, and nothing else."""

Strength = float | Sequence[float] | Tensor
"""One strength for all rows, or one per row of the caller."""


TokenMask = Callable[[BlockCall], Bool[Tensor, "batch time"]]
"""Which tokens of a call are steered."""


@contextmanager
def apply_steering(
    model: Model | tuple[Any, Any],
    vector: SteeringVector,
    strength: Strength = 1.0,
    *,
    weights: Mapping[int, float] | None = None,
    positions: str = "all",
    prompt_lengths: int | Sequence[int] | None = None,
    keep_norm: bool = False,
    allow_other_model: bool = False,
) -> Iterator[None]:
    """Adds ``strength * weight * direction`` to the output of each block of the vector while the context lasts.

    The same inside plain calls, cached calls, left-padded batches, scoring and generation. With one strength per row, a
    whole sweep is one batch: rows are known by the caller's order in scoring and generation of this package, and by
    their place in the batch elsewhere.

    Args:
        model: A wrapper of :func:`seqtant.lm.load`, a transformers model as it is, or ``(model, tokenizer)``.
        vector: The vector; its directions are unit vectors, so strengths are lengths in the hidden space.
        strength: Steering coefficient: one number, or one per row of the caller, (rows,).
        weights: Per block, a factor on the strength; blocks left out have 1.
        positions: Which tokens are steered: ``all``, ``prompt``, ``last`` (the prompt's last token) or ``generated``
            (from the prompt's last token on, which predicts the first generated one). They count from the start of the
            text, so a cached chunk of one token is not taken for a prompt.
        prompt_lengths: Tokens of the prompts, one number or one per row; needed unless all tokens are steered.
        keep_norm: Whether steered states are rescaled to the norm they had.
        allow_other_model: Whether a vector of other weights of the same size is accepted.

    Raises:
        InputError: The vector does not fit the model, or rows and strengths do not match.

    Example:
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> tiny = HuggingFaceLM(GPT2LMHeadModel(GPT2Config(vocab_size=5, n_embd=4, n_layer=2, n_head=1, n_positions=8,
        ...                                                 bos_token_id=0, eos_token_id=0)))
        >>> vector = SteeringVector({1: torch.tensor([1.0, 0.0, -1.0, 0.0])})
        >>> ids = torch.tensor([[1, 2], [1, 2]])
        >>> plain = tiny.forward(ids).logits
        >>> with apply_steering(tiny, vector, [0.0, 3.0]):
        ...     both = tiny.forward(ids).logits
        >>> (plain - both).abs().amax(dim=(1, 2)).gt(1e-6).tolist()
        [False, True]
    """
    steered_model: Model = model[0] if isinstance(model, tuple) else model
    check_vector(vector, steered_model, allow_other=allow_other_model)
    mask = _token_mask(positions, prompt_lengths)
    strengths = torch.as_tensor(strength, dtype=torch.float32)
    if strengths.ndim > 1 or not bool(torch.isfinite(strengths).all()):
        raise InputError("strength must be one finite number, or one per row")
    device = device_of(network(steered_model))
    dtype, strengths = float_type(steered_model), strengths.to(device)
    edits = {
        layer: _addition(direction.to(device), strengths, mask, keep_norm=keep_norm, dtype=dtype)
        for layer, direction in weighted_directions(vector, weights).items()
    }
    with edit_blocks(steered_model, edits):
        yield


steered = apply_steering
"""The name before 0.2."""


def weighted_directions(
    vector: SteeringVector, weights: Mapping[int, float] | None
) -> dict[int, Float[Tensor, " width"]]:
    """Multiplies the direction of each block by its weight."""
    factors = weights or {}
    if set(factors) - set(vector.layers):
        raise InputError(f"weights name layers that the vector does not steer: it steers {list(vector.layers)}")
    return {layer: direction * factors.get(layer, 1.0) for layer, direction in vector.directions.items()}


def _addition(
    direction: Tensor, strengths: Tensor, mask: TokenMask | None, *, keep_norm: bool, dtype: torch.dtype
) -> Edit:
    """The edit of one block: states + strength * direction where the mask holds."""
    # The product is made in float32 and once where it can be: half precision would lose small strengths.
    fixed = (direction * strengths).to(dtype) if strengths.ndim == 0 else None
    if fixed is not None and mask is None and not keep_norm:
        # The common case runs once per block and token of a generation: one addition and nothing else.
        # A new tensor, never an addition in place: other code may still hold the block's output.
        return lambda states, _call: states + (fixed if fixed.device == states.device else fixed.to(states.device))

    def edit(states: Tensor, call: BlockCall) -> Tensor:  # states [batch, time, width]
        if fixed is not None:
            added = fixed
        else:
            own = _values_of_rows(strengths.to(states.device), states.shape[0], call, "strengths")
            added = (own[:, None] * direction.to(states.device))[:, None].to(states.dtype)  # [batch, 1, width]
        if mask is not None:
            # [..., width] times [batch, time, 1]: broadcasting leaves zeros where a token is not steered.
            added = added * mask(call)[..., None].to(states.device, states.dtype)
        moved = states + added.to(states.device)
        if not keep_norm:
            return moved
        before, after = states.norm(dim=-1, keepdim=True), moved.norm(dim=-1, keepdim=True)
        return moved * (before / after.clamp(min=torch.finfo(states.dtype).tiny))

    return edit


def _values_of_rows(values: Tensor, batch: int, call: BlockCall, what: str) -> Tensor:
    """Picks the value of each row of a batch, which scoring and generation may have reordered or split."""
    if call.rows is not None:
        if int(call.rows.max()) >= values.numel():
            raise InputError(f"{values.numel()} {what} for row {int(call.rows.max())}: give one per row")
        return values[call.rows.to(values.device)]
    if batch != values.numel():
        raise InputError(f"{values.numel()} {what} for a batch of {batch} rows: give one per row")
    return values


def _token_mask(positions: str, prompt_lengths: int | Sequence[int] | None) -> TokenMask | None:
    """The mask of the steered tokens, by their position in the text; None where all are."""
    if positions == "all":
        return None
    if positions not in {"prompt", "last", "generated"}:
        raise InputError(f"unknown positions '{positions}': use all, prompt, last or generated")
    if prompt_lengths is None:
        raise InputError(f"positions '{positions}' need the lengths of the prompts")
    lengths = torch.as_tensor(prompt_lengths, dtype=torch.long)

    def mask(call: BlockCall) -> Tensor:  # [batch, time]
        own = lengths.to(call.positions.device)
        if own.ndim:
            own = _values_of_rows(own, call.positions.shape[0], call, "prompt lengths")[:, None]
        # Positions count from 0, so a prompt of n tokens ends at n - 1; padding on the left has position -1.
        if positions == "generated":
            # The first generated token is what the prompt's last token predicts.
            return call.positions >= own - 1
        if positions == "last":
            return call.positions == own - 1
        return (call.positions < own) & (call.positions >= 0)

    return mask


def float_type(model: Model) -> torch.dtype:
    """The number type that a model computes in."""
    return next((p.dtype for p in network(model).parameters() if p.is_floating_point()), torch.float32)


def resolution_warning(model: HuggingFaceLM, vector: SteeringVector, strength: float) -> str | None:
    """Warns where the model's number type rounds a strength away or may overflow; None where all is well.

    A summand below about 2^-8 of the number it is added to is lost in bfloat16, and float16 overflows at 65,504.
    """
    dtype, norm = float_type(model), vector.hidden_norm
    if norm is None or strength == 0 or dtype not in {torch.bfloat16, torch.float16}:
        return None
    step = torch.finfo(dtype).eps
    if abs(strength) < step * norm:
        return (
            f"strength {strength:g} is below the rounding of {str(dtype).removeprefix('torch.')} at a hidden norm of "
            f"{norm:.3g}: part of it is lost; load the model with --set dtype=float32"
        )
    if dtype == torch.float16 and abs(strength) + norm > torch.finfo(dtype).max:
        return f"strength {strength:g} overflows float16: load the model with --set dtype=float32"
    return None


def output_projection(block: nn.Module, layer: int) -> Any:
    """Finds the last linear layer of a block."""
    for name in PROJECTIONS:
        try:
            found = block.get_submodule(name)
        except AttributeError:
            continue
        weight = getattr(found, "weight", None)
        if not (isinstance(weight, Tensor) and weight.is_floating_point()):
            raise InputError(
                f"layer {layer} is quantized: a bias would be rounded or has no slot; steer by hooks (steering apply) "
                "or export to gguf"
            )
        if type(found).__name__ not in PLAIN:
            raise InputError(
                f"the last matrix of layer {layer} is wrapped in {type(found).__name__}: merge adapters first, or "
                "steer by hooks (steering apply)"
            )
        return found
    raise InputError(
        f"layer {layer} ({type(block).__name__}) has no single last matrix, as in a mixture of experts: steer by hooks "
        "(steering apply) or export to gguf"
    )
