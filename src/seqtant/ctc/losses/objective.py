"""What a training run minimizes: CTC or one of its replacements, plus terms, on inputs that may be trimmed."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from seqtant.ctc.lattice.inputs import CTCInput
from seqtant.ctc.losses.base import LossTerm, TermLoss
from seqtant.ctc.losses.trim_tail import TrimTail


class Objective(LossTerm):
    """A sum of loss terms over one checked batch.

    Args:
        terms: CTC or a replacement, and what is added to it; all with the same blank.
        trim: What TrimTail cuts from the input.

    Example:
        >>> from seqtant.ctc.losses.base import PlainCTC
        >>> half, one = torch.full((1, 2, 2), 0.5).log(), torch.tensor([1])
        >>> Objective([PlainCTC()])(half, one + 1, torch.tensor([[1]]), one).loss
        tensor(0.2877)
    """

    def __init__(self, terms: Sequence[LossTerm], *, trim: TrimTail | None = None) -> None:
        super().__init__(blank=terms[0].blank)
        self.terms = tuple(terms)
        # Terms with buffers (a running prior) must move with the objective.
        self.registered = torch.nn.ModuleList(terms)
        self.trim = trim or TrimTail(0)

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Adds the terms up; their statistics keep their names."""
        results = [term.compute(data, generator=generator, step=step) for term in self.terms]
        total = results[0].loss
        for result in results[1:]:
            total = total + result.loss
        return TermLoss(total, {name: value for result in results for name, value in result.stats.items()})
