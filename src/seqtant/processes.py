"""Several processes that share one measurement: each reads some of its batches, and all get all results.

Batches are made before they are shared, so numbers do not depend on how many processes there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from seqtant.progress import Task

G = TypeVar("G")
K = TypeVar("K")
V = TypeVar("V")

_PLACE: ContextVar[tuple[int, int]] = ContextVar("place", default=(0, 1))
"""Rank of this process among those that share, and their count."""


@contextmanager
def share_among_processes(*, together: bool = True) -> Iterator[None]:
    """Shares all measurements inside among the processes that ``accelerate launch`` or ``torchrun`` started.

    Every process must measure the same things in the same order, as a script does that all of them run; a measurement
    that one process makes alone would wait for the others. One process is not changed by it.

    Args:
        together: False ends the sharing inside a block, for what each process does for itself.

    Example:
        >>> from seqtant.lm import MarkovLM, token_log_probs
        >>> coin = MarkovLM.from_chain([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]])
        >>> with share_among_processes():
        ...     token_log_probs(coin, [[coin.bos_id, 0]])[0].exp()
        tensor([0.5000], dtype=torch.float64)
    """
    place = (0, 1)
    if together and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        import torch
        from accelerate import PartialState

        # Left to itself it sees no other process where there is no GPU.
        state: Any = PartialState(cpu=not torch.cuda.is_available())
        place = (state.process_index, state.num_processes)
    token = _PLACE.set(place)
    try:
        yield
    finally:
        _PLACE.reset(token)


def over_batches(
    groups: Sequence[Sequence[G]],
    measure: Callable[[Sequence[G]], Mapping[K, V]],
    bar: Task | None = None,
    steps: Callable[[Sequence[G]], int] = len,
) -> dict[K, V]:
    """Measures each group of rows on one of the processes that share, and gives the results of all to all.

    Args:
        groups: What is read together, batch by batch.
        measure: Reads one batch; its values lie on the CPU.
        bar: Advanced by each batch, and closed.
        steps: By how much a batch advances the bar.

    Raises:
        Exception: What ``measure`` raised on any process is raised on all.
    """
    (rank, count), found, problem = _PLACE.get(), {}, None
    try:
        for number, group in enumerate(groups):
            if number % count == rank:
                found |= measure(group)
            if bar is not None:
                bar.advance(steps(group))
    except Exception as error:
        if count == 1:
            raise
        problem = error
    finally:
        if bar is not None:
            bar.close()
    if count > 1:
        from accelerate.utils import gather_object

        parts: list[tuple[dict[K, V], Exception | None]] = gather_object([(found, problem)])
        for part, error in parts:
            if error is not None:
                raise error
            found |= part
    return found
