"""The weight that a model itself gives to P-, read off its next-token distributions: what it believes, by any rule.

A mixture's next-token distribution lies on the line from P+ to P- (Eq. 10), as far along as P- has weight. Where the
model's own lies along that line is measured at every position, with no alpha and no log-ratio. Behavior that follows
from these weights but not from Bayes' rule says what is at fault: the model is a mixture, and learns from its prompt in
another way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.beb.estimation.curves import halfway_of
from seqtant.beb.prompts.per_sentence import sentence_of, sum_by_sentence
from seqtant.beb.prompts.sampling import Prompt
from seqtant.beb.study.measurement import Parts

OPENING_TOKENS = 3
"""Tokens of a sentence that still tell of the weight before it: what follows them is evidence itself."""


@dataclass(frozen=True)
class OwnWeights:
    """How far the model's distributions lie from P+ towards P-, at the beginning of each sentence."""

    along: Float[np.ndarray, "prompts sentences"]
    """Inner product of model - P+ with P- - P+, each token weighted by one over the mean of the two."""
    whole: Float[np.ndarray, "prompts sentences"]
    """The same of P- - P+ with itself."""

    def mean(self, rows: np.ndarray) -> Float[np.ndarray, " sentences"]:
        """Weight of P- before each sentence, over some prompts: least squares over all their positions."""
        return self.along[rows].sum(axis=0) / self.whole[rows].sum(axis=0)

    def halfway(
        self,
        minus: Float[np.ndarray, "prompts places"],
        plus: Float[np.ndarray, "prompts places"],
        places: Sequence[int],
        rows: np.ndarray,
    ) -> float:
        """Half-way length of a mixture with these weights.

        Args:
            minus: Behavior of P- on the prompts of ``rows``.
            plus: Behavior of P+ there.
            places: Numbers of sentences of both.
            rows: The prompts, possibly repeated.
        """
        kept = [place for place in places if place < self.along.shape[1]]
        weight = self.mean(rows)[kept]
        good, bad = (scores.mean(axis=0)[: len(kept)] for scores in (plus, minus))
        return halfway_of(weight * bad + (1 - weight) * good, float(minus.mean()), kept)


def own_weights(parts: Parts, prompts: Sequence[Prompt]) -> OwnWeights:
    """Measures the weights along prompts, one pass per model; all three must share their tokens.

    Args:
        parts: The models.
        prompts: All of the same number of sentences.
    """
    models = [parts.minus, parts.plus, parts.model]
    return OwnWeights(*sum_by_sentence(models, prompts, _products, owner_of=_beginnings))


def _products(scores: list[Tensor], _: Tensor) -> tuple[Tensor, Tensor]:
    minus, plus, model = (each.exp() for each in scores)
    mean, apart = (minus + plus) / 2, minus - plus
    towards = torch.where(mean > 0, apart / mean, 0.0)
    return ((model - plus) * towards).sum(dim=-1), (apart * towards).sum(dim=-1)


def _beginnings(prompt: Prompt) -> np.ndarray:
    """Number of the sentence that each token begins; all other tokens get the number after the last."""
    owner = sentence_of(prompt)
    starts = np.array([prompt.start, *(end + 1 for end in prompt.ends[:-1])])
    places = np.arange(len(owner))
    within = owner < len(starts)
    since = places - starts[np.where(within, owner, 0)]
    return np.where(within & (since < OPENING_TOKENS), owner, len(starts))
