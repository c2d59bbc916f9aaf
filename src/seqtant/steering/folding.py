"""Folds a vector into weights: as a bias of the last matrix of each block, where that is exactly the same.

Adding a constant to a block's output at all positions is what a bias of its last linear map does, as long as nothing
but the residual sum comes after it. Blocks with a norm behind the feed-forward layer (Gemma 2 and 3, OLMo 2), mixtures
of experts and quantised matrices have no such place. What was folded is compared with steering by hooks before use.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqtant.errors import InputError
from seqtant.lm.hooks import decoder_blocks
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.steering.application import steered
from seqtant.steering.vectors import SteeringVector, check_vector

LAST_MATRICES = ("mlp.down_proj", "mlp.c_proj", "mlp.dense_4h_to_h", "mlp.fc2", "mlp.fc_out", "fc2")
"""Where families keep the last matrix of a block."""

BIAS_FIELDS = {"llama": "mlp_bias", "granite": "mlp_bias"}
"""Families whose configuration can say that feed-forward matrices have biases."""


def fold(
    model: HuggingFaceLM, vector: SteeringVector, strength: float, *, allow_other_model: bool = False
) -> HuggingFaceLM:
    """A copy of a model that always steers, at no cost: greedy tokens are those of the hooks.

    Args:
        model: The model; it stays as it is.
        vector: The vector.
        strength: Strength to fold in.
        allow_other_model: Whether a vector of other weights is accepted.

    Raises:
        InputError: The family has no place where folding is exact.
    """
    check_vector(vector, model, allow_other=allow_other_model)
    network = copy.deepcopy(model.model)
    folded = HuggingFaceLM(network, model.tokenizer, name=f"{model.name} + steering")
    blocks = decoder_blocks(folded)
    for layer, direction in vector.directions.items():
        _add_bias(_last_matrix(blocks[layer], layer), strength * direction)
    _check_exact(model, folded, vector, strength)
    return folded


def _last_matrix(block: nn.Module, layer: int) -> Any:
    for name in LAST_MATRICES:
        try:
            found = block.get_submodule(name)
        except AttributeError:
            continue
        weight = getattr(found, "weight", None)
        if isinstance(weight, torch.Tensor) and weight.is_floating_point():
            return found
        raise InputError(
            f"layer {layer} is quantised: a bias would be rounded or has no slot; steer by hooks (steering apply) or "
            "export to gguf"
        )
    raise InputError(
        f"layer {layer} ({type(block).__name__}) has no single last matrix, as in a mixture of experts: steer by hooks "
        "(steering apply) or export to gguf"
    )


def _add_bias(matrix: Any, push: torch.Tensor) -> None:
    bias = getattr(matrix, "bias", None)
    own = push.to(matrix.weight.device, torch.float32)
    total = own if bias is None else own + bias.detach().float()
    matrix.bias = nn.Parameter(total.to(matrix.weight.dtype), requires_grad=False)


@torch.no_grad()
def _check_exact(model: HuggingFaceLM, folded: HuggingFaceLM, vector: SteeringVector, strength: float) -> None:
    """Folding must do what hooks do, on a few tokens; anything else (a norm behind the bias) is refused."""
    count = min(8, model.context_length or 8)
    ids = torch.arange(count, device=model.device)[None] % model.vocabulary_size
    with steered(model, vector, strength, allow_other_model=True):
        expected = model.forward(ids).logits
    found = folded.forward(ids).logits
    scale = float((expected - model.forward(ids).logits).abs().max())
    error = float((found - expected).abs().max())
    tolerance = 64 * torch.finfo(next(model.model.parameters()).dtype).eps * float(expected.abs().max())
    if error > max(1e-3 * scale, tolerance):
        raise InputError(
            f"{type(model.model).__name__} changes what its last matrix adds (a norm comes after it): folding is not "
            "exact here; steer by hooks (steering apply) or export to gguf"
        )


def save_folded(folded: HuggingFaceLM, folder: Path) -> None:
    """Writes a folded model as a plain folder that transformers, vLLM and others load.

    Raises:
        InputError: The family's configuration cannot say that there are biases where they were put.
    """
    network: Any = folded.model
    config = network.config
    names = {name for name, _ in network.named_parameters()}
    fresh = type(network)(copy.deepcopy(config))
    if names != {name for name, _ in fresh.named_parameters()}:
        switch = BIAS_FIELDS.get(config.model_type)
        if switch is None:
            raise InputError(
                f"a folder of the family '{config.model_type}' has no place for the new biases (its configuration "
                "cannot name them): export to gguf, or steer by hooks"
            )
        setattr(config, switch, True)
        fresh = type(network)(copy.deepcopy(config))
        _fill(network, fresh)
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder)
    if folded.tokenizer is not None:
        folded.tokenizer.save_pretrained(folder)


def _fill(network: nn.Module, fresh: nn.Module) -> None:
    """Gives zeros to the biases that the switch adds beside ours, so that the checkpoint is complete."""
    there = dict(network.named_parameters())
    for name, parameter in fresh.named_parameters():
        if name in there:
            continue
        owner, _, kind = name.rpartition(".")
        if kind != "bias":
            raise InputError(f"the family's bias switch adds '{name}', which is no bias: export to gguf instead")
        matrix: Any = network.get_submodule(owner)
        zeros = torch.zeros_like(parameter, dtype=matrix.weight.dtype, device=matrix.weight.device)
        matrix.bias = nn.Parameter(zeros, requires_grad=False)
