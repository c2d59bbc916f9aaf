"""Progress bars on the terminal: to stderr, with the time left, and quiet where nobody watches."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from seqtant.progress import Task


class _Bar:
    def __init__(self, bars: RichProgress, task: TaskID) -> None:
        self._bars = bars
        self._task = task

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
