"""Small mixtures whose truth is known: chains of letters with a stop, and two coins under a belief."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

from seqtant.beb.prompts.divergence import Evidence
from seqtant.lm import MarkovLM

STOP, BOS = 2, 3


class Stops:
    """Every token 2 ends a sentence."""

    def ends(self, ids: Any, *, start: int = 0) -> list[int]:
        return [place for place in range(start, len(ids)) if ids[place] == STOP]


def chain(a: float, b: float, *, eos: int | None = None) -> MarkovLM:
    """Letters 0 and 1 and a stop, with some probability of a stop after each."""
    rows = [[a, 0.7 - a, 0.3, 0.0], [b, 0.7 - b, 0.3, 0.0], [a, 1 - a, 0.0, 0.0], [b, 1 - b, 0.0, 0.0]]
    model = MarkovLM(rows, bos_id=BOS)
    model.eos_id = eos
    return model


MINUS, PLUS = chain(0.6, 0.5), chain(0.2, 0.3)


BAD_COIN, GOOD_COIN = np.array([0.2, 0.8]), np.array([0.7, 0.3])
BETA = float((BAD_COIN * np.log(BAD_COIN / GOOD_COIN)).sum())


def coins(
    log_inverse_alpha: float,
    belief: Callable[[np.ndarray], np.ndarray] = expit,
    *,
    prompts: int = 400,
    sentences: int = 24,
    seed: int = 0,
) -> tuple[Evidence, Evidence]:
    """Two coins mixed: evidence against a model that believes ``belief(log-odds)`` in P-, and against P+."""
    generator = np.random.default_rng(seed)
    said = (generator.random((prompts, sentences)) < BAD_COIN[1]).astype(int)
    ratio = np.log(BAD_COIN / GOOD_COIN)[said]
    odds = ratio.cumsum(axis=1) - ratio - np.log(np.expm1(log_inverse_alpha))
    weight = belief(odds)[..., None]
    logs = np.log(BAD_COIN / (weight * BAD_COIN + (1 - weight) * GOOD_COIN))
    drawn = np.take_along_axis(logs, said[..., None], axis=2)[..., 0]
    return Evidence((BAD_COIN * logs).sum(axis=2), drawn), Evidence(np.full(ratio.shape, BETA), ratio)
