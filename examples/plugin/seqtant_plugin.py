"""One piece of every kind that a package can add to Seqtant; pyproject.toml beside this file names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch

from seqtant.ctc import Edit, PathBatch
from seqtant.icl import Example, Task
from seqtant.quantum import Lattice, PauliSum, String

WORDS = ("cat", "dog", "fox", "bear", "wolf")


def thanks(item: Any, reply: str) -> float:
    """Scores a steered reply: 1 if it thanks, else -1."""
    return 1.0 if "thank" in reply.lower() else -1.0


def thankful(needs: Any) -> Callable[[Sequence[Any]], list[float]]:
    """Makes a scorer of answers to prompts."""
    return lambda answers: [thanks(None, answer.text) for answer in answers]


class EarlyStart:
    """Prefers paths that begin to speak a frame earlier."""

    keeps_text, needs_targets = True, False

    def edit(self, batch: PathBatch, generator: torch.Generator | None = None) -> Edit:
        """Drops a leading blank and ends on one more, where anything is said."""
        silent, spoken = (batch.paths == batch.blank), (batch.paths != batch.blank) & batch.valid
        last = torch.arange(batch.paths.shape[-1]) == batch.lengths[:, None, None] - 1
        earlier = torch.where(last, batch.blank, batch.paths.roll(-1, -1))
        better = (silent[..., :1] & spoken.any(-1, keepdim=True)) & batch.valid
        return Edit(torch.where(better, earlier, batch.paths), better.any(-1))

    def cost(self, batch: PathBatch) -> torch.Tensor:
        """Frames before the first token."""
        spoken = (batch.paths != batch.blank) & batch.valid
        return (spoken.cumsum(-1) == 0).sum(-1).float()


def yy(lattice: Lattice, couplings: Any) -> PauliSum:
    """H = -J sum YY: the Ising model without a field, turned about x."""
    strings = tuple(String(-couplings.coupling, "YY", bond) for bond in lattice.bonds)
    return PauliSum(lattice.sites, strings, "H = -J sum YY, Pauli matrices")


def letters(texts: list[str]) -> np.ndarray:
    """One number a letter: how often it occurs."""
    return np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])


def _copy(name: str, place: int) -> Task:
    pairs = [Example(" ".join(words), words[place]) for words in permutations(WORDS, 3)]
    return Task(name=name, examples=tuple(pairs), template="{input} : {label}", delimiter=" . ")


def first() -> Task:
    """The label is the first of three words."""
    return _copy("first", 0)


def second() -> Task:
    """The label is the second of three words."""
    return _copy("second", 1)
