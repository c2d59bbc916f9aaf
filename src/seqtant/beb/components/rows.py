"""Documents of unlike length as training batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.training.losses import IGNORED


@dataclass(frozen=True)
class Rows:
    """Documents of unlike length as batches; step after step goes through them in order, again and again."""

    documents: Sequence[Sequence[int]]
    """Token ids."""
    rows: int
    """Documents of a batch."""
    pad_id: int
    """Fills the ends."""

    def batch(self, step: int) -> dict[str, Int[Tensor, "B T"]]:
        """The documents of one step; padding is not learned and, standing on the right, is not seen."""
        count = len(self.documents)
        chosen = [self.documents[(step * self.rows + row) % count] for row in range(self.rows)]
        longest = max(map(len, chosen))
        ids = torch.full((self.rows, longest), self.pad_id)
        labels = torch.full((self.rows, longest), IGNORED)
        for row, document in enumerate(chosen):
            ids[row, : len(document)] = labels[row, : len(document)] = torch.tensor(document)
        return {"input_ids": ids, "labels": labels}
