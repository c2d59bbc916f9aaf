"""Steering at no cost per token: while a context lasts, the push stands in biases of the model's own matrices."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from torch import nn

from seqtant.errors import InputError
from seqtant.lm.hooks import decoder_blocks, network
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.steering.applying.hooks import float_type, steered, weighted
from seqtant.steering.applying.output_projection import bias_errors, biased, is_rounding, last_matrix
from seqtant.steering.vectors.vector import SteeringVector, check_vector

_EXACT: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""Matrices that were looked at -> whether a bias of theirs is the same as a push behind their block."""

_IN_USE: WeakSet[nn.Module] = WeakSet()
"""Matrices that carry a push now; whoever comes second steers by hooks, so that each bias is given back once."""

_TAKING = threading.Lock()


@contextmanager
def steered_in_bias(
    model: HuggingFaceLM,
    vector: SteeringVector,
    strength: float = 1.0,
    *,
    weights: Mapping[int, float] | None = None,
    allow_other_model: bool = False,
) -> Iterator[bool]:
    """Steers all tokens of all rows alike, as :func:`steered` does, without a call of Python per block and token.

    The pushes are added to biases of the last matrices of the blocks, and afterwards every module has the very bias it
    had, or none. Where that would not be the same to rounding, hooks are used instead: where a norm or a factor comes
    after the matrix, for mixtures of experts, adapters, quantized, offloaded or shared matrices, under hooks that are
    there already, and while another such context holds the model. What a model allows is looked at once, in two
    passes over a few tokens.

    It holds for whole passes: generation, scoring, reading of hidden states. Under
    :func:`seqtant.lm.layers.continue_from`, which runs a part of the blocks, use ``steered``. Like hooks, the biases
    are seen by every thread that runs the same model meanwhile.

    Args:
        model: The model.
        vector: The vector; its directions are unit vectors.
        strength: The strength.
        weights: Per block, a factor on the strength; blocks left out have 1.
        allow_other_model: Whether a vector of other weights of the same size is accepted.

    Yields:
        True where biases carry the push, False where hooks do.

    Raises:
        InputError: The vector does not fit the model, or the strength is no finite number.

    Example:
        >>> import torch
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> tiny = HuggingFaceLM(GPT2LMHeadModel(GPT2Config(vocab_size=5, n_embd=4, n_layer=2, n_head=1, n_positions=8,
        ...                                                 bos_token_id=0, eos_token_id=0)))
        >>> push = SteeringVector({1: torch.tensor([1.0, 0.0, -1.0, 0.0])})
        >>> ids = torch.tensor([[1, 2]])
        >>> with steered(tiny, push, 3.0):
        ...     expected = tiny.forward(ids).logits
        >>> with steered_in_bias(tiny, push, 3.0) as without_hooks:
        ...     found = tiny.forward(ids).logits
        >>> without_hooks, torch.allclose(found, expected, atol=1e-5)
        (True, True)
    """
    check_vector(vector, model, allow_other=allow_other_model)
    pushes = {layer: strength * push for layer, push in weighted(vector, weights).items()}
    if not math.isfinite(strength):
        raise InputError("strength must be one finite number")
    with _held(model, vector.layers) as matrices:
        if matrices:
            with biased(matrices, pushes):
                yield True
        else:
            with steered(model, vector, strength, weights=weights, allow_other_model=True):
                yield False


@contextmanager
def _held(model: HuggingFaceLM, layers: Sequence[int]) -> Iterator[dict[int, Any]]:
    """The last matrices of some blocks, for this context alone; none where a bias would not do, or another has them."""
    matrices = _candidates(model, layers)
    with _TAKING:
        if not _IN_USE.isdisjoint(matrices.values()):
            matrices = {}
        _IN_USE.update(matrices.values())
    try:
        yield matrices if matrices and _exact(model, matrices) else {}
    finally:
        _IN_USE.difference_update(matrices.values())


def _candidates(model: HuggingFaceLM, layers: Sequence[int]) -> dict[int, Any]:
    """Matrices whose shape and surroundings allow a bias; none at all if one of them does not."""
    blocks, dtype = decoder_blocks(model), float_type(model)
    found: dict[int, Any] = {}
    for layer in layers:
        try:
            found[layer] = last_matrix(blocks[layer], layer)
        except InputError:
            return {}
        # Hooks that are there act on a block's output before this push would be seen; a forward put in its place is
        # how other libraries load weights only when they are used.
        foreign = any(module._forward_hooks or "forward" in vars(module) for module in (blocks[layer], found[layer]))
        if foreign or found[layer].weight.is_meta or found[layer].weight.dtype != dtype:
            return {}
    return found


def _exact(model: HuggingFaceLM, matrices: Mapping[int, Any]) -> bool:
    """Whether biases are the same as pushes; looked at once per matrix."""
    unknown = [layer for layer, matrix in matrices.items() if matrix not in _EXACT]
    if unknown:
        errors = bias_errors(model, unknown)
        places = Counter(id(module) for _, module in network(model).named_modules(remove_duplicate=False))
        for layer, error in errors.items():
            matrix = matrices[layer]
            _EXACT[matrix] = is_rounding(error, matrix.weight.dtype) and places[id(matrix)] == 1
    return all(_EXACT[matrix] for matrix in matrices.values())
