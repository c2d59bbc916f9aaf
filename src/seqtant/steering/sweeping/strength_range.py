"""Finds the range of strengths worth looking at: up to where helpfulness suffers, whatever the model's size."""

from __future__ import annotations

from collections.abc import Callable

from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.sweeping.scores import Helpfulness

FIRST = 0.02
"""First strength that is tried, in hidden norms."""


def first_strength(bench: Bench) -> float:
    """2 % of the mean hidden norm of the steered blocks; measured on the behavior prompts if it is not on record."""
    return FIRST * hidden_norm(bench)


def hidden_norm(bench: Bench) -> float:
    """Mean norm of the hidden states that are steered."""
    if bench.vector.hidden_norm is not None:
        return bench.vector.hidden_norm
    from seqtant.lm.layers import hidden_states
    from seqtant.lm.text import encode

    texts = [item.prompt for item in bench.behavior]
    return float(hidden_states(bench.model, encode(bench.model, texts), bench.vector.layers).norm(dim=-1).mean())


def usable_range(bench: Bench, loss: float, score: Callable[[Helpfulness], object]) -> float:
    """Strength at which about a given share of helpfulness is lost, averaged over both directions.

    The strength is doubled from 2 % of the hidden norm, then put in its place by the quadratic law; it never exceeds
    four hidden norms.

    Args:
        bench: What is measured.
        loss: Share of helpfulness.
        score: Which score counts.
    """
    import numpy as np

    reach, limit = first_strength(bench), 4 * hidden_norm(bench)
    while True:
        items = np.asarray(score(bench.read_helpfulness([0.0, -reach, reach])))
        base, lower, upper = items.mean(axis=1)
        lost = 1 - (lower + upper) / 2 / base
        if lost >= loss:
            return float(reach * max((loss / lost) ** 0.5, 0.25))
        if reach >= limit:
            return limit
        reach = min(2 * reach, limit)
