"""Steers without hooks: a constant added behind a block is a bias of its output projection, for a while or for good.

Adding a constant to a block's output at all positions is what a bias of its last linear layer does, as long as nothing
but the residual sum comes after it. Blocks with a norm behind the feed-forward layer (Gemma 2 and 3, OLMo 2) or a
factor on it (Granite), mixtures of experts, adapters and quantized matrices have no such place.
"""

from __future__ import annotations

import copy
import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.hooks import BlockCall, decoder_blocks, edit_blocks, network, read_blocks, width
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.steering.vectors.hooks import apply_steering, float_type, output_projection, weighted_directions
from seqtant.steering.vectors.vector import SteeringVector, check_vector

BIAS_FIELDS = {"llama": "mlp_bias", "granite": "mlp_bias"}
"""Family -> field of its configuration that gives the feed-forward matrices biases."""

_EXACT: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""Projections that were tested -> whether a bias of theirs is the same as a shift behind their block."""

_IN_USE: WeakSet[nn.Module] = WeakSet()
"""Projections that carry a shift now; a second context steers by hooks, so that each bias is given back once."""

_LOCK = threading.Lock()


@contextmanager
def apply_steering_as_bias(
    model: HuggingFaceLM,
    vector: SteeringVector,
    strength: float = 1.0,
    *,
    weights: Mapping[int, float] | None = None,
    allow_other_model: bool = False,
) -> Iterator[bool]:
    """Steers all tokens of all rows alike, as ``apply_steering`` does, without a call of Python per block and token.

    The shifts are added to biases of the output projections, and afterwards every module has the very bias it had, or
    none. Where that would not be the same to rounding, hooks are used instead: where a norm or a factor comes after the
    matrix, for mixtures of experts, adapters, quantized, offloaded or shared matrices, under hooks that are there
    already, and while another such context holds the model. What a model allows is tested once, in two passes over a
    few tokens.

    It holds for whole passes: generation, scoring, reading of hidden states. Under
    :func:`seqtant.lm.layers.continue_from`, which runs a part of the blocks, use ``apply_steering``. Like hooks, the
    biases are seen by every thread that runs the same model meanwhile.

    Args:
        model: The model.
        vector: The vector; its directions are unit vectors.
        strength: Steering coefficient.
        weights: Per block, a factor on the strength; blocks left out have 1.
        allow_other_model: Whether a vector of other weights of the same size is accepted.

    Yields:
        True where biases carry the shift, False where hooks do.

    Raises:
        InputError: The vector does not fit the model, or the strength is no finite number.

    Example:
        >>> import torch
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> tiny = HuggingFaceLM(GPT2LMHeadModel(GPT2Config(vocab_size=5, n_embd=4, n_layer=2, n_head=1, n_positions=8,
        ...                                                 bos_token_id=0, eos_token_id=0)))
        >>> vector = SteeringVector({1: torch.tensor([1.0, 0.0, -1.0, 0.0])})
        >>> ids = torch.tensor([[1, 2]])
        >>> with apply_steering(tiny, vector, 3.0):
        ...     expected = tiny.forward(ids).logits
        >>> with apply_steering_as_bias(tiny, vector, 3.0) as without_hooks:
        ...     found = tiny.forward(ids).logits
        >>> without_hooks, torch.allclose(found, expected, atol=1e-5)
        (True, True)
    """
    check_vector(vector, model, allow_other=allow_other_model)
    shifts = {layer: strength * direction for layer, direction in weighted_directions(vector, weights).items()}
    if not math.isfinite(strength):
        raise InputError("strength must be one finite number")
    matrices = _candidates(model, vector.layers)
    # Taking them is one step: two threads must not both find a projection free.
    with _LOCK:
        if not _IN_USE.isdisjoint(matrices.values()):
            matrices = {}
        _IN_USE.update(matrices.values())
    try:
        if matrices and _biases_are_exact(model, matrices):
            with _added_to_bias(matrices, shifts):
                yield True
        else:
            with apply_steering(model, vector, strength, weights=weights, allow_other_model=True):
                yield False
    finally:
        _IN_USE.difference_update(matrices.values())


steered_in_bias = apply_steering_as_bias
"""The name before 0.2."""


def fold(
    model: HuggingFaceLM, vector: SteeringVector, strength: float, *, allow_other_model: bool = False
) -> HuggingFaceLM:
    """Folds a vector into a copy of the weights, which then always steers at no cost, greedy tokens those of the hooks.

    Args:
        model: The model; it stays as it is.
        vector: The vector.
        strength: Steering coefficient to fold in.
        allow_other_model: Whether a vector of other weights is accepted.

    Raises:
        InputError: The family has no place where folding is exact.
    """
    check_vector(vector, model, allow_other=allow_other_model)
    copied = copy.deepcopy(model.model)
    # The bias check below runs on the copy, because it changes biases for a moment.
    folded = model.with_network(copied, name=f"{model.name} + steering")
    for layer, error in bias_errors(folded, vector.layers).items():
        if not is_rounding(error, float_type(folded)):
            raise InputError(
                f"{type(copied).__name__} changes what the last matrix of layer {layer} adds (a norm comes after it, "
                "or a factor): folding is not exact here; steer by hooks (steering apply) or export to gguf"
            )
    for layer, direction in vector.directions.items():
        matrix = output_projection(decoder_blocks(folded)[layer], layer)
        matrix.bias = _shifted_bias(matrix, strength * direction)
    return folded


def save_folded(folded: HuggingFaceLM, folder: Path) -> None:
    """Writes a folded model as a plain folder that transformers, vLLM and others load."""
    model: Any = folded.model
    config = model.config
    own = dict(model.named_parameters())
    fresh = type(model)(copy.deepcopy(config))
    if set(own) != {name for name, _ in fresh.named_parameters()}:
        switch = BIAS_FIELDS.get(config.model_type)
        if switch is None:
            raise InputError(
                f"a folder of the family '{config.model_type}' has no place for the new biases (its configuration "
                "cannot name them): export to gguf, or steer by hooks"
            )
        setattr(config, switch, True)
        # The switch adds biases beside ours as well: they become zeros, so that the checkpoint is complete.
        for name, parameter in type(model)(copy.deepcopy(config)).named_parameters():
            if name in own:
                continue
            owner, _, kind = name.rpartition(".")
            if kind != "bias":
                raise InputError(f"the family's bias switch adds '{name}', which is no bias: export to gguf instead")
            matrix: Any = model.get_submodule(owner)
            zeros = torch.zeros_like(parameter, dtype=matrix.weight.dtype, device=matrix.weight.device)
            matrix.bias = nn.Parameter(zeros, requires_grad=False)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    if folded.tokenizer is not None:
        folded.tokenizer.save_pretrained(folder)


@torch.no_grad()
def bias_errors(model: HuggingFaceLM, layers: Sequence[int]) -> dict[int, float]:
    """Measures how far a bias of a block's output projection is from a shift behind the block: |difference| / |shift|.

    Two passes over a few tokens, without and with a shift as large as the states it meets. Every block is given the
    same input in both, so that nothing adds up and the answer is sharp in half precision too. The relative error of a
    block is rounding where a bias is exact, of the order of 1 elsewhere.
    """
    ids = torch.arange(min(8, model.context_length or 8), device=model.device)[None] % model.vocabulary_size
    matrices = {layer: output_projection(decoder_blocks(model)[layer], layer) for layer in layers}
    plain: dict[int, Tensor] = {}
    with read_blocks(model, layers, lambda states, call: plain.update({call.layer: states})):
        model.forward(ids, keep=1)
    shape = torch.linspace(-1, 1, width(model), device=model.device)
    # As large as the largest state: in half precision a smaller shift would vanish in the rounding of the sum.
    shifts = {k: shape / shape.norm() * states.float().norm(dim=-1).max() for k, states in plain.items()}
    errors: dict[int, float] = {}

    def compare(states: Tensor, call: BlockCall) -> Tensor:
        before, shift = plain[call.layer].float(), shifts[call.layer]
        off = (states.float() - before - shift).norm(dim=-1).max()
        errors[call.layer] = float(off / shift.norm())
        # The block above must see what it saw without the shift.
        return plain[call.layer]

    with _added_to_bias(matrices, shifts), edit_blocks(model, dict.fromkeys(layers, compare)):
        model.forward(ids, keep=1)
    return errors


def is_rounding(error: float, dtype: torch.dtype) -> bool:
    """Whether an error of :func:`bias_errors` is no more than a number type's rounding."""
    return error <= max(8 * torch.finfo(dtype).eps, 1e-5)


def _candidates(model: HuggingFaceLM, layers: Sequence[int]) -> dict[int, Any]:
    """Output projections whose shape and surroundings allow a bias; none at all if one of them does not."""
    blocks, dtype = decoder_blocks(model), float_type(model)
    found: dict[int, Any] = {}
    for layer in layers:
        try:
            found[layer] = output_projection(blocks[layer], layer)
        except InputError:
            return {}
        # Hooks that are there act on a block's output before this shift would be seen; a forward put in its place is
        # how other libraries load weights only when they are used.
        foreign = any(module._forward_hooks or "forward" in vars(module) for module in (blocks[layer], found[layer]))
        if foreign or found[layer].weight.is_meta or found[layer].weight.dtype != dtype:
            return {}
    return found


def _biases_are_exact(model: HuggingFaceLM, matrices: Mapping[int, Any]) -> bool:
    """Whether biases are the same as shifts; tested once per matrix."""
    untested = [layer for layer, matrix in matrices.items() if matrix not in _EXACT]
    if untested:
        errors = bias_errors(model, untested)
        # A matrix that two blocks share would steer both.
        places = Counter(id(module) for _, module in network(model).named_modules(remove_duplicate=False))
        for layer, error in errors.items():
            matrix = matrices[layer]
            _EXACT[matrix] = is_rounding(error, matrix.weight.dtype) and places[id(matrix)] == 1
    return all(_EXACT[matrix] for matrix in matrices.values())


def _shifted_bias(matrix: Any, shift: Float[Tensor, " width"]) -> nn.Parameter:
    """The bias of a matrix plus a shift, summed in float32 and rounded once to the matrix's number type."""
    own = shift.to(matrix.weight.device, torch.float32)
    total = own if matrix.bias is None else own + matrix.bias.detach().float()
    return nn.Parameter(total.to(matrix.weight.dtype), requires_grad=False)


@contextmanager
def _added_to_bias(matrices: Mapping[int, Any], shifts: Mapping[int, Float[Tensor, " width"]]) -> Iterator[None]:
    """Adds shifts to the biases of matrices while the context lasts; then each has the very bias that it had."""
    before = {layer: matrix.bias for layer, matrix in matrices.items()}
    try:
        for layer, matrix in matrices.items():
            matrix.bias = _shifted_bias(matrix, shifts[layer])
        yield
    finally:
        for layer, matrix in matrices.items():
            matrix.bias = before[layer]
