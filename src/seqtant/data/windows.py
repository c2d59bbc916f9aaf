"""Windows of a long row of tokens, found from seed and step alone: no state, hence exact resumption and sharding."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int

from seqtant.errors import InputError


class TokenWindows:
    """Random windows of a token row, the same for the same seed and step.

    Args:
        tokens: Token row, [n]; may be memory-mapped.
        length: Tokens per window T.
        rows: Windows per step B.
        seed: Seed of the places.
        name: Fingerprint of the tokens, kept with checkpoints.

    Raises:
        InputError: The row is shorter than a window.

    Example:
        >>> source = TokenWindows(np.arange(100), length=4, rows=2, seed=0)
        >>> first = source.batch(7)["input_ids"]
        >>> first.shape, torch.equal(first, source.batch(7)["input_ids"]), (first.diff() == 1).all().item()
        (torch.Size([2, 4]), True, True)
    """

    def __init__(self, tokens: np.ndarray, *, length: int, rows: int, seed: int, name: str = "") -> None:
        _refuse_short(tokens, length)
        self.tokens, self.length, self.rows, self.seed = tokens, length, rows, seed
        self.fingerprint = f"windows {name} length {length} rows {rows} seed {seed}"

    def batch(self, step: int) -> dict[str, Int[torch.Tensor, "B T"]]:
        """The windows of one step under ``input_ids``."""
        generator = np.random.default_rng([self.seed, step])
        starts = generator.integers(len(self.tokens) - self.length + 1, size=self.rows)
        return {"input_ids": _cut(self.tokens, starts, self.length)}


def spread_windows(tokens: np.ndarray, *, length: int, most: int) -> Int[torch.Tensor, "N T"]:
    """At most so many windows that do not overlap, spread evenly over a token row: what validates.

    Raises:
        InputError: The row is shorter than a window.

    Example:
        >>> spread_windows(np.arange(10), length=3, most=2).tolist()
        [[0, 1, 2], [7, 8, 9]]
    """
    _refuse_short(tokens, length)
    count = min(most, len(tokens) // length)
    starts = np.linspace(0, len(tokens) - length, count).astype(np.int64)
    return _cut(tokens, starts, length)


def _cut(tokens: np.ndarray, starts: np.ndarray, length: int) -> torch.Tensor:
    return torch.from_numpy(tokens[starts[:, None] + np.arange(length)].astype(np.int64))


def _refuse_short(tokens: np.ndarray, length: int) -> None:
    if len(tokens) < length:
        raise InputError(
            f"a text of {len(tokens)} tokens has no window of {length}: give more text or shorten the context"
        )
