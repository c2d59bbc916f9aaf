"""Distributed training: each process samples its own share of every step, with seeds that do not depend on the shares.

Started with ``accelerate launch`` or ``torchrun``. Samples and local energies are gathered, so every process takes the
same step and the parameters stay equal without being sent. Random numbers depend on seed, step and position only: they
are the same for one process, for many, and after a resume.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from seqtant.errors import InputError

BLOCK = 64
"""Configurations that share one generator."""


class DistributedContext:
    """The processes of this run; a single one needs no launcher.

    Example:
        >>> alone = DistributedContext()
        >>> alone.rank, alone.count, alone.gather(torch.ones(2)).tolist()
        (0, 1, [1.0, 1.0])
    """

    def __init__(self, device: str = "auto") -> None:
        self._state: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import PartialState

            self._state = PartialState(cpu=device == "cpu")
        self.rank: int = 0 if self._state is None else self._state.process_index
        self.count: int = 1 if self._state is None else self._state.num_processes

    def device(self, name: str) -> torch.device:
        """Chooses the device that this process computes on."""
        if self._state is not None and name == "auto":
            return self._state.device
        if name == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            found = torch.device(name)
            torch.empty(0, device=found)
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"device '{name}' cannot be used here: choose auto or cpu") from error
        return found

    def gather(self, values: Tensor) -> Tensor:
        """Collects the rows of all processes, in their order; shares may differ in length."""
        if self._state is None:
            return values
        from accelerate.utils import gather_object

        # Shares differ in length, and complex numbers do not pass every backend: plain lists of CPU tensors do.
        parts: list[Tensor] = gather_object([values.cpu()])
        return torch.cat(parts).to(values.device)


def uniforms(seed: int, step: int, samples: int, sites: int, *, share: int = 0, shares: int = 1) -> Tensor:
    """Draws numbers in [0, 1), (samples of this share, sites), to sample the configurations of a step with.

    The ``shares`` of all processes together do not depend on their number.

    Example:
        >>> whole = uniforms(1, 7, 200, 3)
        >>> parts = [uniforms(1, 7, 200, 3, share=share, shares=2) for share in (0, 1)]
        >>> bool((torch.cat(parts) == whole).all())
        True
    """
    blocks = [(start, min(start + BLOCK, samples)) for start in range(0, samples, BLOCK)]
    # Shares are whole blocks, and each block has its own generator: the numbers do not depend on who draws them.
    first, last = len(blocks) * share // shares, len(blocks) * (share + 1) // shares
    found = [torch.empty(0, sites, dtype=torch.float64)]
    for number in range(first, last):
        # Large odd multipliers keep the streams of neighboring steps and blocks apart.
        mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + number * 0x94D049BB133111EB) % (1 << 63)
        generator, (start, stop) = torch.Generator().manual_seed(mixed), blocks[number]
        found.append(torch.rand(stop - start, sites, generator=generator, dtype=torch.float64))
    return torch.cat(found)


def generator_for(seed: int, purpose: int) -> torch.Generator:
    """Makes a random generator for one purpose of a run, independent of those of other purposes."""
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + (purpose + 1) * 0xD1B54A32D192ED03) % (1 << 63))
