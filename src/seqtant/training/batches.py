"""Where batches come from, and how one global batch is dealt out to processes and forward passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch

from seqtant.errors import InputError

Batch = Mapping[str, torch.Tensor]


class Batches(Protocol):
    """A deterministic, addressable source of batches.

    ``batch(step)`` depends on nothing but the source's own seed and the step, so any process can ask for any step:
    that is what makes resuming and sharding exact.
    """

    def batch(self, step: int) -> Batch:
        """The global batch of one step: tensors that all have the same number of rows."""
        ...


def rows_of(batch: Batch) -> int:
    """Number of rows of a batch.

    Example:
        >>> rows_of({"input_ids": torch.zeros(4, 7)})
        4
    """
    sizes = {name: len(tensor) for name, tensor in batch.items()}
    if not sizes or min(sizes.values()) == 0 or len(set(sizes.values())) != 1:
        raise InputError(f"a batch needs tensors with the same positive number of rows: got {sizes}")
    return next(iter(sizes.values()))


def share_of(batch: Batch, process: int, processes: int) -> dict[str, torch.Tensor]:
    """The rows of a global batch that belong to one process.

    The number of processes must divide the rows, so that all make the same number of forward passes.

    Example:
        >>> share_of({"x": torch.arange(4)}, process=1, processes=2)["x"].tolist()
        [2, 3]
    """
    rows = rows_of(batch)
    if rows % processes:
        raise InputError(
            f"a batch of {rows} rows cannot be shared by {processes} processes: use a multiple of {processes}"
        )
    size = rows // processes
    return {name: tensor[process * size : (process + 1) * size] for name, tensor in batch.items()}


def split(batch: Batch, parts: int) -> list[dict[str, torch.Tensor]]:
    """Splits a process's rows into forward passes of nearly equal size.

    Example:
        >>> [part["x"].tolist() for part in split({"x": torch.arange(5)}, 2)]
        [[0, 1, 2], [3, 4]]
    """
    if rows_of(batch) < parts:
        raise InputError(f"{rows_of(batch)} rows cannot be split into {parts} forward passes: lower 'accumulation'")
    # tensor_split gives exactly ``parts`` pieces, their sizes at most one apart; ``split`` could give fewer.
    pieces = {name: tensor.tensor_split(parts) for name, tensor in batch.items()}
    return [{name: pieces[name][index] for name in pieces} for index in range(parts)]
