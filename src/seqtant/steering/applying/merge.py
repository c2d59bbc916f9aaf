"""Folds a vector into a copy of the weights, and writes the copy as a folder that others load."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqtant.errors import InputError
from seqtant.lm.hooks import decoder_blocks
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.steering.applying.hooks import float_type
from seqtant.steering.applying.output_projection import bias_errors, bias_with, is_rounding, last_matrix
from seqtant.steering.vectors.vector import SteeringVector, check_vector

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
    for layer, error in bias_errors(folded, vector.layers).items():
        if not is_rounding(error, float_type(folded)):
            raise InputError(
                f"{type(network).__name__} changes what the last matrix of layer {layer} adds (a norm comes after it, "
                "or a factor): folding is not exact here; steer by hooks (steering apply) or export to gguf"
            )
    for layer, direction in vector.directions.items():
        matrix = last_matrix(decoder_blocks(folded)[layer], layer)
        matrix.bias = bias_with(matrix, strength * direction)
    return folded


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
