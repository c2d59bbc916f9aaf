"""Several processes, each drawing its own share of every step; one process needs none of the machinery.

Started with ``accelerate launch`` or ``torchrun``. Samples and local energies are gathered, so every process takes the
same step and the parameters stay equal without being sent.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from seqtant.errors import InputError


class Processes:
    """The processes of this run.

    Example:
        >>> alone = Processes()
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

    @property
    def is_first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """The device this process computes on.

        Raises:
            InputError: There is no such device.
        """
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
        """The rows of all processes, in their order; shares may differ in length."""
        if self._state is None:
            return values
        from accelerate.utils import gather_object

        # Shares differ in length, and complex numbers do not pass every backend: plain lists of CPU tensors do.
        parts: list[Tensor] = gather_object([values.cpu()])
        return torch.cat(parts).to(values.device)
