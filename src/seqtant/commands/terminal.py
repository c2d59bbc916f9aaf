"""What the terminal shows beside results: bars with the time left, silent in pipes, and a word on threads."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from seqtant.progress import Task

LONG = 30.0
"""Seconds of a run from which it is worth a word."""

CROWDED = 1.5
"""Processes that want to run, per core; our own threads alone come to 1."""


def advice_on_threads(wall_seconds: float, *, chosen: bool, load: float, cores: int) -> str:
    """What to do about threads after a long run; empty where there is nothing to do.

    The threads of a matrix product meet after every piece of it. On a core that others use they meet late, and the rest
    spin until then. The number of threads is not chosen here: it changes the last bits of results, so it must not hang
    on what else the machine does.

    Example:
        >>> advice_on_threads(188.0, chosen=False, load=5.5, cores=2)
        'The cores were crowded: OMP_NUM_THREADS=1 before the command may make it several times faster.'
        >>> advice_on_threads(188.0, chosen=False, load=2.1, cores=2)
        ''
    """
    if chosen or wall_seconds < LONG or cores == 1 or load < CROWDED * cores:
        return ""
    return "The cores were crowded: OMP_NUM_THREADS=1 before the command may make it several times faster."


def tell_crowded(wall_seconds: float) -> None:
    """Writes the advice to the error stream, where there is any."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    chosen = "OMP_NUM_THREADS" in os.environ
    advice = advice_on_threads(wall_seconds, chosen=chosen, load=load, cores=os.cpu_count() or 1)
    if advice:
        print(f"seqtant: {advice}", file=sys.stderr)


@dataclass(frozen=True)
class _Bar:
    _bars: RichProgress
    _task: TaskID

    def advance(self, steps: float = 1) -> None:
        self._bars.advance(self._task, steps)

    def show(self, **numbers: float) -> None:
        self._bars.update(self._task, numbers="  ".join(f"{name} {value:.4g}" for name, value in numbers.items()))

    def close(self) -> None:
        self._bars.remove_task(self._task)


class TerminalProgress:
    """Bars and notes on stderr; used as a context manager.

    Example:
        >>> with TerminalProgress() as progress:
        ...     bar = progress.task("counting", 2)
        ...     bar.advance(2)
        ...     bar.close()
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> TerminalProgress:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def task(self, description: str, total: float | None = None) -> Task:
        """Opens a bar."""
        return _Bar(self._bars, self._bars.add_task(description, total=total, numbers=""))

    def note(self, message: str) -> None:
        """Prints one line above the bars."""
        self._console.print(message, style="dim", markup=False, highlight=False, soft_wrap=True)
