"""The terminal that results are printed to."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class Terminal(Console):
    """Standard output; a reader that stops early (``| head``) is no failure of the command."""

    def on_broken_pipe(self) -> NoReturn:
        """Passes the broken pipe on to the command line, where rich would end the process with code 1."""
        raise BrokenPipeError
