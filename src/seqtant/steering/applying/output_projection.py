"""Where a constant push can stand in the weights: a bias of the last matrix of a block, and whether that is the same.

Adding a constant to a block's output at all positions is what a bias of its last linear map does, as long as nothing
but the residual sum comes after it. Blocks with a norm behind the feed-forward layer (Gemma 2 and 3, OLMo 2) or a
factor on it (Granite), mixtures of experts, adapters and quantized matrices have no such place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.hooks import BlockCall, decoder_blocks, edit_blocks, read_blocks, width
from seqtant.lm.huggingface import HuggingFaceLM

LAST_MATRICES = ("mlp.down_proj", "mlp.c_proj", "mlp.dense_4h_to_h", "mlp.fc2", "mlp.fc_out", "fc2")
"""Where families keep the last matrix of a block."""

PLAIN = {"Linear", "Conv1D"}
"""Modules that are a matrix and a bias, and nothing else."""


def last_matrix(block: nn.Module, layer: int) -> Any:
    """The last matrix of a block.

    Raises:
        InputError: It has none that could carry a bias.
    """
    for name in LAST_MATRICES:
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


def bias_with(matrix: Any, push: Float[Tensor, " width"]) -> nn.Parameter:
    """The bias of a matrix with a push added to it, in the matrix's number type."""
    own = push.to(matrix.weight.device, torch.float32)
    total = own if matrix.bias is None else own + matrix.bias.detach().float()
    return nn.Parameter(total.to(matrix.weight.dtype), requires_grad=False)


@contextmanager
def biased(matrices: Mapping[int, Any], pushes: Mapping[int, Float[Tensor, " width"]]) -> Iterator[None]:
    """Puts pushes into the biases of matrices while the context lasts; then each has the very bias that it had."""
    before = {layer: matrix.bias for layer, matrix in matrices.items()}
    try:
        for layer, matrix in matrices.items():
            matrix.bias = bias_with(matrix, pushes[layer])
        yield
    finally:
        for layer, matrix in matrices.items():
            matrix.bias = before[layer]


@torch.no_grad()
def bias_errors(model: HuggingFaceLM, layers: Sequence[int]) -> dict[int, float]:
    """How far a bias of a block's last matrix is from a push behind the block, as a share of the push.

    Two passes over a few tokens, without and with a push as large as the states it meets. Every block is given the same
    input in both, so that nothing adds up and the answer is sharp in half precision too.

    Args:
        model: The model.
        layers: Blocks to look at.

    Returns:
        Per block the share: rounding where a bias is exact, of the order of 1 elsewhere.

    Raises:
        InputError: A block has no matrix that could carry a bias.
    """
    ids = torch.arange(min(8, model.context_length or 8), device=model.device)[None] % model.vocabulary_size
    matrices = {layer: last_matrix(decoder_blocks(model)[layer], layer) for layer in layers}
    plain: dict[int, Tensor] = {}
    with read_blocks(model, layers, lambda states, call: plain.update({call.layer: states})):
        model.forward(ids, keep=1)
    shape = torch.linspace(-1, 1, width(model), device=model.device)
    pushes = {k: shape / shape.norm() * states.float().norm(dim=-1).max() for k, states in plain.items()}
    errors: dict[int, float] = {}

    def compare(states: Tensor, call: BlockCall) -> Tensor:
        before, push = plain[call.layer].float(), pushes[call.layer]
        off = (states.float() - before - push).norm(dim=-1).max()
        errors[call.layer] = float(off / push.norm())
        return plain[call.layer]

    with biased(matrices, pushes), edit_blocks(model, dict.fromkeys(layers, compare)):
        model.forward(ids, keep=1)
    return errors


def is_rounding(error: float, dtype: torch.dtype) -> bool:
    """Whether an error of :func:`bias_errors` is no more than a number type's rounding."""
    return error <= max(8 * torch.finfo(dtype).eps, 1e-5)
