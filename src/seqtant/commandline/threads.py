"""Tells who waited on a busy machine what to do: threads that wait for a core cost several times the work."""

from __future__ import annotations

import os
import sys

LONG = 30.0
"""Seconds of a run from which it is worth a word."""

CROWDED = 1.5
"""Processes that want to run, per core; our own threads alone come to 1."""


def advice_on_threads(wall_seconds: float, *, chosen: bool, load: float, cores: int) -> str:
    """What to do about threads after a long run; empty where there is nothing to do.

    The threads of a matrix product meet after every piece of it. On a core that others use they meet late, and the rest
    spin until then. The number of threads is not chosen here: it changes the last bits of results, so it must not hang
    on what else the machine does.

    Args:
        wall_seconds: How long the run took.
        chosen: Whether the user has set a number of threads.
        load: Processes that want to run, averaged over the last minute.
        cores: Cores of the machine.

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
    advice = advice_on_threads(
        wall_seconds, chosen="OMP_NUM_THREADS" in os.environ, load=load, cores=os.cpu_count() or 1
    )
    if advice:
        print(f"seqtant: {advice}", file=sys.stderr)
