"""Drawing the next token: temperature, truncation, restriction, and randomness that belongs to the row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a next token is chosen.

    Raises:
        InputError: A value is outside its range.

    Example:
        >>> Sampling(temperature=0.0).greedy
        True
    """

    temperature: float = 1.0
    """Divides the logits; 0 always takes the likeliest token."""
    top_k: int | None = None
    """Only the so many likeliest tokens; None for all."""
    top_p: float = 1.0
    """Only the smallest set of likeliest tokens that holds this probability."""
    allowed_ids: tuple[int, ...] | None = None
    """Only these tokens; None for all."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < float("inf"):
            raise InputError(f"temperature must be a number of at least 0, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"top_k must be at least 1, got {self.top_k}")
        if not 0.0 < self.top_p <= 1.0:
            raise InputError(f"top_p must lie above 0 and at most at 1, got {self.top_p}")
        if self.allowed_ids is not None and not self.allowed_ids:
            raise InputError("allowed_ids is empty: nothing could be drawn")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0.0

    def log_probs(
        self, logits: Float[Tensor, "batch vocabulary"], forbidden: Int[Tensor, " ids"] | None = None
    ) -> Float[Tensor, "batch vocabulary"]:
        """The distribution that is drawn from, float64: restricted, tempered, truncated, normalized.

        Args:
            logits: The model's scores.
            forbidden: Tokens that may not come now (stop tokens before the least length).

        Raises:
            InputError: Nothing is left to draw.
        """
        scores = self._restricted(logits.double(), forbidden)
        if self.greedy:
            best = scores.argmax(dim=-1, keepdim=True)
            return torch.full_like(scores, -torch.inf).scatter(-1, best, 0.0)
        return _truncated(torch.log_softmax(scores / self.temperature, dim=-1), self.top_k, self.top_p)

    def _restricted(self, scores: Tensor, forbidden: Tensor | None) -> Tensor:
        if self.allowed_ids is not None:
            allowed = torch.tensor(self.allowed_ids, device=scores.device)
            scores = torch.full_like(scores, -torch.inf).index_copy(-1, allowed, scores[:, allowed])
        if forbidden is not None and forbidden.numel():
            scores = scores.index_fill(-1, forbidden, -torch.inf)
        best = scores.amax(dim=-1)
        if not bool(torch.isfinite(best).all()):
            if bool((best == -torch.inf).any()):
                raise InputError("no token is left to draw: allow more ids, or a shorter least length")
            raise InputError("the model's scores are no numbers: its weights may be corrupt, or overflow in their type")
        return scores


def _truncated(log_probs: Tensor, top_k: int | None, top_p: float) -> Float[Tensor, "batch vocabulary"]:
    """Keeps the likeliest tokens; ties at the edge are settled by the order of a stable sort."""
    if (top_k is None or top_k >= log_probs.shape[-1]) and top_p >= 1.0:
        return log_probs
    ordered, index = log_probs.sort(dim=-1, descending=True, stable=True)
    keep = torch.ones_like(ordered, dtype=torch.bool)
    if top_k is not None:
        keep[:, top_k:] = False
        ordered = ordered.masked_fill(~keep, -torch.inf).log_softmax(dim=-1)
    if top_p < 1.0:
        before = ordered.exp().cumsum(dim=-1) - ordered.exp()
        keep &= before < top_p
    kept = torch.zeros_like(keep).scatter(-1, index, keep)
    return log_probs.masked_fill(~kept, -torch.inf).log_softmax(dim=-1)


def row_seeds(generator: torch.Generator, rows: int) -> list[int]:
    """One seed per row, drawn from the caller's generator.

    Example:
        >>> len(row_seeds(torch.Generator().manual_seed(0), 3))
        3
    """
    return torch.randint(2**63 - 1, (rows,), generator=generator, device=generator.device).tolist()


def row_uniforms(seeds: Sequence[int], steps: int) -> Float[Tensor, "rows steps"]:
    """Uniform numbers in [0, 1), each row from a generator of its own, so that no row depends on its neighbors.

    Example:
        >>> bool((row_uniforms([1, 2], 3)[1] == row_uniforms([2], 3)[0]).all())
        True
    """
    lines = [torch.rand(steps, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(lines) if lines else torch.empty(0, steps, dtype=torch.float64)


def draw(log_probs: Float[Tensor, "batch vocabulary"], uniform: Float[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """Draws one token per row by inverting the cumulative distribution; never a token of probability zero.

    Example:
        >>> draw(torch.tensor([[0.5, 0.5], [0.0, 1.0]]).log(), torch.tensor([0.7, 0.0])).tolist()
        [1, 1]
    """
    sums = log_probs.double().exp().cumsum(dim=-1)
    # In float64 a uniform number below 1 times the last sum always stays below it, so the search ends inside.
    target = uniform.to(sums)[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, target, right=True).squeeze(-1)
