"""Prompts from P- behind guards: what a guard takes off their evidence, and the half-way lengths behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqtant.beb.behavior.reader import places_of
from seqtant.beb.behavior.scorer_calibration import ScorerCheck
from seqtant.beb.estimation.curves import halfway_of, sums_so_far
from seqtant.beb.prompts.divergence import gather
from seqtant.beb.prompts.sampling import draw_prompts
from seqtant.beb.study.components_study import Study
from seqtant.beb.study.measurement import Parts, rescored
from seqtant.beb.study.posterior import OwnWeights, own_weights
from seqtant.beb.theory import bad_weight
from seqtant.lm.scoring import token_log_probs

GUARDS, ATTACKS = 50, 150
"""Last parts of the seeds of guards and prompts; the length of the guard is added."""
OWN = "own"
"""Name of the guard that the user gave."""


@dataclass(frozen=True)
class Guarded:
    """Prompts from P- behind guards of one length."""

    name: str
    sentences: float
    against: Float[np.ndarray, " prompts"]
    """log P+/P- of each guard: what the prompt must make up for, in nats."""
    log_ratio: Float[np.ndarray, "prompts sentences"]
    places: tuple[int, ...]
    curves: dict[str, Float[np.ndarray, "prompts places"]]
    """Behavior of ``model``, ``minus`` and ``plus``."""
    weights: OwnWeights
    """What the model itself believes along the prompts."""
    check: ScorerCheck | None
    """How the scorer did on answers that people judged."""

    def halfway(self, rows: np.ndarray, rates: tuple[float, float] | None = None) -> float:
        """Measured half-way length of some prompts, for some rates of the scorer."""
        model, minus = (rescored(self.check, self.curves[side][rows], rates) for side in ("model", "minus"))
        return halfway_of(model.mean(axis=0), float(minus.mean()), self.places)

    def predicted(self, rows: np.ndarray, log_inverse_alpha: float, rates: tuple[float, float] | None = None) -> float:
        """Predicted half-way length: the guard's log-ratio is taken off the prompt's."""
        minus, plus = (rescored(self.check, self.curves[side][rows], rates) for side in ("minus", "plus"))
        evidence = sums_so_far(self.log_ratio[rows])[:, list(self.places)] - self.against[rows, None]
        weight = bad_weight(-max(log_inverse_alpha, 1e-9), evidence)
        return halfway_of((weight * minus + (1 - weight) * plus).mean(axis=0), float(minus.mean()), self.places)

    def believed(self, rows: np.ndarray, rates: tuple[float, float] | None = None) -> float:
        """Half-way length by the weights that the model itself gives to P-: no alpha, no rule of Bayes."""
        minus, plus = (rescored(self.check, self.curves[side][rows], rates) for side in ("minus", "plus"))
        return self.weights.halfway(minus, plus, self.places, rows)


def drawn_guards(study: Study, length: int) -> list[tuple[int, ...]]:
    """The opening and a guard of some sentences from P+, one per prompt."""
    if length == 0:
        return [study.opening] * study.config.prompts
    starts = [study.opening] * study.config.prompts
    generator = study.generator(GUARDS + length)
    drawn = draw_prompts(study.plus, starts, length, study.splitter, generator=generator, room=study.room)
    return [prompt.ids for prompt in drawn.prompts]


def attack(study: Study, name: str, openings: Sequence[Sequence[int]]) -> Guarded:
    """Draws prompts from P- behind guards and reads what becomes of them.

    Args:
        study: The models.
        name: Sentences of the guards, or :data:`OWN`.
        openings: The opening and a guard, one per prompt.

    Raises:
        InputError: Prompts do not fit the context, or a divergence is infinite.
    """
    number = len(name) + 77 if name == OWN else int(name)
    drawn = study.draw(study.minus, ATTACKS + number, openings=openings)
    (evidence,) = gather(study.minus, [study.plus], drawn.prompts, floor=study.config.floor)
    starts = [openings[row] for row in drawn.rows]
    against = _log_ratio(study, starts)
    places = places_of(study.reader, study.config.sentences)
    curves = {
        side: study.reader.curve(model, drawn.prompts, places)
        for side, model in (("model", study.model), ("minus", study.minus), ("plus", study.plus))
    }
    said = [len(study.splitter.ends(start, start=len(study.opening))) for start in starts]
    weights = own_weights(Parts(study.model, study.minus, study.plus), drawn.prompts)
    return Guarded(name, float(np.mean(said)), against, evidence.log_ratio, places, curves, weights, study.reader.check)


def _log_ratio(study: Study, openings: Sequence[Sequence[int]]) -> Float[np.ndarray, " prompts"]:
    """Log P+/P- of what stands between the opening and the prompt, given the opening."""
    begin = len(study.opening) - 1
    distinct = list(dict.fromkeys(tuple(opening) for opening in openings))
    plus, minus = (token_log_probs(side, distinct) for side in (study.plus, study.minus))
    sums = {ids: float((p - m)[begin:].sum()) for ids, p, m in zip(distinct, plus, minus, strict=True)}
    return np.array([sums[tuple(opening)] for opening in openings])
