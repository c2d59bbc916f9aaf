"""Earlier emission: delete a redundant frame, and everything after it moves one frame earlier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
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
    takes = ("candidates", "shifts")

    def __post_init__(self) -> None:
        if self.shifts < 1:
            raise InputError(f"shifts is {self.shifts}: at least one frame must move")

    def edit(self, batch: PathBatch, generator: torch.Generator | None = None) -> Edit:
        """Makes one earlier path of each path; paths with nothing to remove stay as they are."""
        T = batch.paths.shape[-1]
        if not T:
            return Edit(batch.paths, torch.zeros(batch.paths.shape[:2], dtype=torch.bool, device=batch.paths.device))
        # The published code knows no lengths: it shifts the padding along with the rest.
        ends = torch.full_like(batch.lengths, T) if self.candidates == "published" else batch.lengths
        last = ends[:, None, None] - 1
        frames = torch.arange(T, device=batch.paths.device)
        paths, changed = batch.paths, torch.zeros(batch.paths.shape[:2], dtype=torch.bool, device=batch.paths.device)
        for _ in range(self.shifts):
            # A blank is taken to stand before frame 0, so leading blanks repeat it and count as redundant.
            removable = paths == previous_labels(paths, batch.blank)
            if self.candidates == "published":
                ranks = removable.cumsum(-1)
                removable = removable & (ranks < ranks[..., -1:])
            else:
                emitted = paths != batch.blank
                removable = removable & batch.valid
                if self.candidates == "tokens":
                    removable = removable & emitted
                elif self.candidates == "before-last":
                    # A running maximum from the right: a token at this frame or at a later one.
                    removable = removable & (emitted & batch.valid).flip(-1).cummax(-1).values.flip(-1)
            # One candidate per path, drawn uniformly: its frame, and whether there was one; each [B, N].
            ranks = removable.to(torch.int32).cumsum(-1, dtype=torch.int32)
            total = ranks[..., -1]
            uniform = torch.rand(total.shape, generator=generator, device=total.device)
            # The product may round up to the total itself: that draw belongs to the last candidate.
            rank = torch.minimum((uniform * total).to(torch.int32), (total - 1).clamp(min=0))
            # The candidate of a rank stands behind all frames whose running count has not passed that rank.
            index, found = (ranks <= rank[..., None]).sum(-1), total > 0
            # Everything behind the deleted frame moves one frame earlier, a blank comes in at the end, padding stays.
            moves = (frames >= index[..., None]) & (frames < last) & found[..., None]
            # What wraps round to the last frame is never used: frames from ``last`` on do not move.
            following = torch.cat([paths[..., 1:], paths[..., :1]], -1)
            paths = torch.where(moves, following, paths)
            paths = paths.masked_fill((frames == last) & found[..., None], batch.blank)
            changed = changed | found
        # Deleting inside the trailing blanks, where that is allowed, gives back the same path.
        return Edit(paths, changed & (paths != batch.paths).any(-1))

    def cost(self, batch: PathBatch) -> Float[Tensor, "B N"]:
        """Sums the indices of all frames that belong to a token."""
        emitted = (batch.paths != batch.blank) & batch.valid
        return (emitted * torch.arange(batch.paths.shape[-1], device=batch.paths.device)).sum(-1).double()
