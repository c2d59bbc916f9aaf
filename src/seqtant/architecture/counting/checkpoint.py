"""Reads weights on disk: sizes from the headers alone, single tensors where needed, and whether they fit a shape."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtant.architecture.counting.accounting import count_parameters
from seqtant.architecture.families.shape import Shape
from seqtant.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

BUFFERS = re.compile(r"(^|\.)(position_ids|inv_freq|masked_bias|(attn|attention)\.bias|sinusoidal_pos_embds)$")
"""Tensors that old checkpoints hold besides parameters: masks, positions, frequencies."""
INPUT_COPIES = re.compile(r"(^|\.)(encoder|decoder)\.embed_tokens\.weight$")
"""Names under which encoder-decoders may store the token table again."""
HEAD_COPIES = re.compile(
    r"(^|\.)(lm_head|embed_out|predictions\.decoder|lm_head\.decoder|vocab_projector)\.(weight|bias)$"
)
"""Names under which a tied head may store the token table, or the bias of its scores, again."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a weights file, as its header tells it, or of a network in memory."""

    name: str
    source: Path | Tensor
    """The file that holds it, or the tensor."""
    sizes: tuple[int, ...]

    @property
    def numel(self) -> int:
        """Entries of the tensor."""
        return math.prod(self.sizes)


@contextmanager
def _open(path: Path, framework: str) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework=framework) as tensors:
            yield tensors
    except (SafetensorError, OSError) as error:
        raise InputError(f"'{path}' is corrupt ({error}): copy the checkpoint again") from error


def read_headers(weights: tuple[Path, ...] | Mapping[str, Tensor]) -> list[StoredTensor]:
    """Lists the tensors of some weights files from their headers, or those in memory; no tensor is loaded."""
    if isinstance(weights, Mapping):
        return [StoredTensor(name, tensor, tuple(tensor.shape)) for name, tensor in weights.items()]
    found: list[StoredTensor] = []
    for path in weights:
        with _open(path, "numpy") as tensors:
            found += [
                StoredTensor(name, path, tuple(tensors.get_slice(name).get_shape())) for name in list(tensors.keys())
            ]
    if weights and not found:
        raise InputError(f"'{weights[0]}' holds no tensors: copy the checkpoint again")
    return found


def parameters_on_disk(shape: Shape, stored: list[StoredTensor]) -> int:
    """Counts the parameters in weights files: without buffers, and with a table that is stored twice counted once."""
    token = shape.embedding.table("token")
    table = find_tensor(stored, token.tensor) if token is not None else None

    def is_copy(tensor: StoredTensor) -> bool:
        if token is None or table is None or table is tensor:
            return False
        if INPUT_COPIES.search(tensor.name):
            return tensor.sizes == table.sizes
        if not (shape.is_tied and HEAD_COPIES.search(tensor.name)):
            return False
        # A tied head repeats the table, or the bias of the logits that "predictions.bias" already holds.
        own_bias = tensor.sizes == (token.rows,) and find_tensor(stored, "predictions.bias") is not None
        return tensor.sizes == table.sizes or own_bias

    return sum(each.numel for each in stored if not BUFFERS.search(each.name) and not is_copy(each))


def find_tensor(stored: list[StoredTensor], tensor: str) -> StoredTensor | None:
    """Finds the first tensor whose name ends in the given words; None if there is none.

    Example:
        >>> table = StoredTensor("model.embed_tokens.weight", Path("x"), (512, 64))
        >>> find_tensor([table], "embed_tokens.weight") is table, find_tensor([table], "tokens.weight")
        (True, None)
    """
    return next((each for each in stored if tensor and f".{each.name}".endswith(f".{tensor}")), None)


def mismatch(shape: Shape, stored: list[StoredTensor]) -> str:
    """Says in one sentence what distinguishes weights files from a shape; empty where they agree."""
    token = shape.embedding.table("token")
    table = find_tensor(stored, token.tensor) if token is not None else None
    if token is not None and table is not None and table.sizes != (token.rows, token.columns):
        sizes = " x ".join(map(str, table.sizes))
        return f"'{table.name}' is {sizes}, the configuration says {token.rows} x {token.columns}"
    # A table of another size says more than a difference of totals, so it was looked for first.
    held, counted = parameters_on_disk(shape, stored), count_parameters(shape).total
    if held == counted:
        return ""
    side = "more" if held > counted else "fewer"
    return (
        f"the weights hold {held:,} parameters, {abs(held - counted):,} {side} than the {counted:,} "
        f"of {shape.counted_as} with this configuration"
    )


def read_matrix(tensor: StoredTensor) -> np.ndarray[Any, Any]:
    """Loads one tensor as float32."""
    import torch

    place = f" in '{tensor.source}'" if isinstance(tensor.source, Path) else ""
    if isinstance(tensor.source, Path):
        with _open(tensor.source, "pt") as tensors:
            matrix = tensors.get_tensor(tensor.name)
    else:
        matrix = tensor.source.detach()
    if matrix.is_meta:
        raise InputError(f"'{tensor.name}' is on the device meta, without numbers: load the model's weights")
    matrix = matrix.to("cpu", torch.float32)
    if not bool(torch.isfinite(matrix).all()):
        raise InputError(f"'{tensor.name}'{place} holds NaN or infinite numbers: the checkpoint is broken")
    return matrix.numpy()
