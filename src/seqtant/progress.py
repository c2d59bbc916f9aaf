"""How long work reports on itself: library code is silent by default, the command line plugs in a bar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Protocol, TypeVar

T = TypeVar("T")


class Task(Protocol):
    """One bar: moved forward, and told the newest numbers."""

    def advance(self, steps: float = 1) -> None:
        """Moves forward by some steps."""
        ...

    def show(self, **numbers: float) -> None:
        """Shows the newest numbers (a loss, an energy) beside the bar."""
        ...

    def close(self) -> None:
        """Ends the bar."""
        ...


class Progress(Protocol):
    """Where long work reports."""

    def task(self, description: str, total: float | None = None) -> Task:
        """Opens a bar; ``total`` is the number of steps, or None if it is not known."""
        ...

    def note(self, message: str) -> None:
        """Says one line."""
        ...


class _SilentTask:
    def advance(self, steps: float = 1) -> None:
        """Does nothing, by design."""

    def show(self, **numbers: float) -> None:
        """Does nothing, by design."""

    def close(self) -> None:
        """Does nothing, by design."""


class Silent:
    """Reports nothing: the default of every library call."""

    def task(self, description: str, total: float | None = None) -> Task:
        """Opens a bar that shows nothing."""
        return _SilentTask()

    def note(self, message: str) -> None:
        """Says nothing, by design."""


SILENT: Progress = Silent()


def track(items: Iterable[T], progress: Progress, description: str, total: float | None = None) -> Iterator[T]:
    """Yields the items and moves a bar by one after each.

    Example:
        >>> sum(track([1, 2, 3], SILENT, "adding"))
        6
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    bar = progress.task(description, total)
    try:
        for item in items:
            yield item
            bar.advance()
    finally:
        bar.close()
