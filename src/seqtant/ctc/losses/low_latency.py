"""Earlier emission: delete a frame that says nothing new, and everything after it moves one frame earlier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqtant.ctc.lattice.paths import PathBatch, previous_labels
from seqtant.ctc.losses.properties import Edit
from seqtant.errors import InputError

Candidates = Literal["before-last", "any", "tokens", "published"]


@dataclass(frozen=True)
class LowLatency:
    """Removes one redundant frame and appends a blank at the end of the utterance.

    A frame is redundant when it repeats its left neighbor, or is a leading blank: deleting it never changes the
    collapsed text. Source: Align With Purpose (arXiv 2307.01715) and its published code.

    Args:
        candidates: Which redundant frames may go: ``before-last`` those up to the last token (others move nothing),
            ``any`` all of them, ``tokens`` only repeats of a token, ``published`` as the published code draws them
            (any but the last one, padding included, paths with a single candidate left alone).
        shifts: Frames to remove per path; fewer where fewer are redundant.

    Example:
        >>> batch = PathBatch(torch.tensor([[[0, 0, 3, 0]]]), torch.tensor([4]), blank=0)
        >>> LowLatency().edit(batch).paths.tolist()
        [[[0, 3, 0, 0]]]
    """

    candidates: Candidates = "before-last"
    shifts: int = 1
    keeps_text = True
    needs_targets = False

    def __post_init__(self) -> None:
        if self.shifts < 1:
            raise InputError(f"shifts is {self.shifts}: at least one frame must move")

    def edit(self, batch: PathBatch, generator: torch.Generator | None = None) -> Edit:
        """Makes one earlier path of each path; all frames stay where they are in paths with nothing to remove."""
        paths, changed = batch.paths, torch.zeros(batch.paths.shape[:2], dtype=torch.bool, device=batch.paths.device)
        for _ in range(self.shifts):
            current = PathBatch(paths, batch.lengths, batch.blank)
            index, found = _draw(self._removable(current), generator)
            paths = _delete(current, index, found, self._ends(batch))
            changed = changed | found
        # Deleting inside the trailing blanks, where that is allowed, gives back the same path.
        return Edit(paths, changed & (paths != batch.paths).any(-1))

    def cost(self, batch: PathBatch) -> Float[Tensor, "B N"]:
        """Sum of the indices of all frames that belong to a token."""
        spoken = (batch.paths != batch.blank) & batch.valid
        return (spoken * torch.arange(batch.paths.shape[-1], device=batch.paths.device)).sum(-1).double()

    def _ends(self, batch: PathBatch) -> Int[Tensor, " B"]:
        """First frame after the part that is shifted."""
        return torch.full_like(batch.lengths, batch.paths.shape[-1]) if self._blind else batch.lengths

    @property
    def _blind(self) -> bool:
        return self.candidates == "published"

    def _removable(self, batch: PathBatch) -> Bool[Tensor, "B N T"]:
        paths = batch.paths
        repeats = paths == previous_labels(paths, batch.blank)
        if self._blind:
            return _without_last(repeats)
        repeats = repeats & batch.valid
        if self.candidates == "any":
            return repeats
        spoken = paths != batch.blank
        if self.candidates == "tokens":
            return repeats & spoken
        later_or_now = (spoken & batch.valid).flip(-1).cummax(-1).values.flip(-1)
        return repeats & later_or_now


def _without_last(candidates: Bool[Tensor, "B N T"]) -> Bool[Tensor, "B N T"]:
    ranks = candidates.cumsum(-1)
    return candidates & (ranks < ranks[..., -1:])


def _draw(
    candidates: Bool[Tensor, "B N T"], generator: torch.Generator | None
) -> tuple[Int[Tensor, "B N"], Bool[Tensor, "B N"]]:
    """Uniform choice of one candidate per path: its frame, and whether there was one."""
    ranks = candidates.to(torch.int32).cumsum(-1, dtype=torch.int32)
    if not ranks.shape[-1]:
        nothing = ranks.sum(-1)
        return nothing.long(), nothing > 0
    total = ranks[..., -1]
    share = torch.rand(total.shape, generator=generator, device=total.device)
    rank = torch.minimum((share * total).to(torch.int32), (total - 1).clamp(min=0))
    return (ranks <= rank[..., None]).sum(-1), total > 0


def _delete(
    batch: PathBatch, index: Int[Tensor, "B N"], found: Bool[Tensor, "B N"], ends: Int[Tensor, " B"]
) -> Int[Tensor, "B N T"]:
    """Deletes one frame per path, moves what follows one frame earlier, ends with a blank; padding stays."""
    frames = torch.arange(batch.paths.shape[-1], device=batch.paths.device)
    last = ends[:, None, None] - 1
    moves = (frames >= index[..., None]) & (frames < last) & found[..., None]
    following = torch.cat([batch.paths[..., 1:], batch.paths[..., :1]], -1)
    shifted = torch.where(moves, following, batch.paths)
    return shifted.masked_fill((frames == last) & found[..., None], batch.blank)
