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
from seqtant.architecture.counting.built import Built
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

TRUST = "Trust the weights: the configuration may be of another model."


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


def find_tensor(stored: list[StoredTensor], tensor: str) -> StoredTensor | None:
    """Finds the first tensor whose name ends in the given words; None if there is none.

    Example:
        >>> table = StoredTensor("model.embed_tokens.weight", Path("x"), (512, 64))
        >>> find_tensor([table], "embed_tokens.weight") is table, find_tensor([table], "tokens.weight")
        (True, None)
    """
    return next((each for each in stored if tensor and f".{each.name}".endswith(f".{tensor}")), None)


def compare(found: Shape | Built, stored: list[StoredTensor]) -> tuple[int, str, str]:
    """Compares weights with what was counted.

    Returns:
        Parameters in the weights, without buffers and with tables that are stored twice counted once; what differs, in
        one sentence, empty where nothing does; and what to do about it.
    """
    total = count_parameters(found).total if isinstance(found, Shape) else found.parameters.total
    kept = [each for each in stored if not BUFFERS.search(each.name)]
    if isinstance(found, Shape):
        token = found.embedding.table("token")
        table = find_tensor(stored, token.tensor) if token is not None else None
        if token is not None and table is not None and table.sizes != (token.rows, token.columns):
            # A table of another size says more than a difference of totals.
            sizes = " x ".join(map(str, table.sizes))
            held = sum(each.numel for each in kept)
            return held, f"'{table.name}' is {sizes}, the configuration says {token.rows} x {token.columns}", TRUST
    else:
        table = next((find_tensor(stored, name) for name in found.tables), None)
        buffers = tuple(name for name, _ in found.network.named_buffers())
        kept = [each for each in kept if not each.name.endswith(buffers)] if buffers else kept
    unlike = ""
    for each in list(kept):
        own_bias = len(each.sizes) == 1 and find_tensor(stored, "predictions.bias") is not None
        if each is table or not (INPUT_COPIES.search(each.name) or (found.is_tied and HEAD_COPIES.search(each.name))):
            continue
        # A tied head repeats the table, or the bias of the logits that "predictions.bias" already holds.
        if table is not None and each.sizes == table.sizes and not _same_rows(table, each):
            unlike = each.name
        elif own_bias or (table is not None and each.sizes == table.sizes):
            kept.remove(each)
    held = sum(each.numel for each in kept)
    if unlike:
        return (
            held,
            f"the configuration ties the head to the token table, but '{unlike}' holds other numbers than "
            f"'{table.name if table else ''}': transformers keeps both",
            "Set tie_word_embeddings to false in config.json, or drop the tensor if it is a remnant.",
        )
    if held == total:
        return held, "", ""
    difference = (
        f"the weights hold {held:,} parameters, {abs(held - total):,} {'more' if held > total else 'fewer'} than the "
        f"{total:,} of {found.counted_as} with this configuration"
    )
    if isinstance(found, Shape):
        return held, difference, TRUST if found.whole else "The configuration is read in part only: see the warnings."
    left_out = [pattern for pattern in found.left_out if any(re.search(pattern, each.name) for each in kept)]
    extra = sum(each.numel for each in kept if any(re.search(pattern, each.name) for pattern in left_out))
    if extra and held - extra == total:
        return held - extra, "", ""
    return held, difference, TRUST


def _same_rows(one: StoredTensor, other: StoredTensor) -> bool:
    """Whether the first, middle and last rows of two tables of one size hold the same numbers."""
    rows = sorted({0, one.sizes[0] // 2, one.sizes[0] - 1})

    def read(tensor: StoredTensor) -> list[Any]:
        if not isinstance(tensor.source, Path):
            return [tensor.source[row] for row in rows]
        with _open(tensor.source, "pt") as tensors:
            table = tensors.get_slice(tensor.name)
            return [table[row : row + 1] for row in rows]

    return all(bool((a == b).all()) for a, b in zip(read(one), read(other), strict=True))


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
