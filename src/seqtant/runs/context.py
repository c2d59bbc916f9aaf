"""What every instrument is handed besides its configuration: seed, device, folder, progress."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqtant.errors import InputError
from seqtant.progress import SILENT, Progress


@dataclass(frozen=True, kw_only=True)
class Context:
    """The circumstances of a run: none of them may change what is measured, only where and how.

    Example:
        >>> Context(seed=3).seed
        3
    """

    seed: int = 0
    """Seed of every random draw of the run."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``."""
    folder: Path | None = None
    """Where artifacts and checkpoints go; None keeps nothing."""
    progress: Progress = SILENT
    """Where long work reports."""
    command: str = ""
    """The command line, if there was one."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}: give a whole number from 0 to 2^63 - 1")
