"""What is recorded of answers to GINC prompts: accuracy by number of shots, and the posterior of the true concept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from seqtant.findings import Estimate
from seqtant.icl.ginc.bayes import ReadShots
from seqtant.icl.ginc.sampling import Prompts
from seqtant.runs.recorder import Recorder
from seqtant.stats.fits import fit_line
from seqtant.stats.intervals import share


def right_answers(
    log_probs: Float[np.ndarray, "prompts examples vocabulary"], prompts: Prompts
) -> Bool[np.ndarray, "prompts examples"]:
    """Whether the likeliest symbol is the label, after 0, 1, 2, ... shots."""
    return log_probs.argmax(axis=2) == prompts.labels


def record_accuracy(
    record: Recorder, right: Bool[np.ndarray, "prompts examples"], shots: Sequence[int], group: str
) -> dict[int, Estimate]:
    """Rows of accuracy with Wilson's intervals, by number of shots."""
    rates = {number: share(int(right[:, number].sum()), len(right)) for number in shots}
    for number, rate in rates.items():
        for key, value in (("accuracy", rate.value), ("accuracy_low", rate.low), ("accuracy_high", rate.high)):
            record.measure(key, value if value is not None else rate.value, step=float(number), group=group)
    return rates


def true_posterior(read: ReadShots, prompts: Prompts) -> Float[np.ndarray, "prompts shots"]:
    """Posterior probability of the true concept after 0, 1, 2, ... shots; 0 where it is none of the mixture's."""
    inside = prompts.concepts < read.log_posterior.shape[2]
    index = np.where(inside, prompts.concepts, 0)
    picked = np.take_along_axis(read.log_posterior, index[:, None, None], axis=2)[..., 0]
    return np.where(inside[:, None], np.exp(picked), 0.0)


def log_odds_slope(read: ReadShots, prompts: Prompts, most: int) -> Estimate | None:
    """Mean gain per shot of the true concept's log-odds against its best rival, in nats; None for under 3 points."""
    order = np.arange(read.log_posterior.shape[2])
    mine = order == prompts.concepts[:, None]
    own = np.where(mine[:, None], read.log_posterior, -np.inf).max(axis=2)
    rival = np.where(mine[:, None], -np.inf, read.log_posterior).max(axis=2)
    odds = (own - rival)[:, : most + 1]
    if odds.shape[1] < 3 or not np.isfinite(odds).all():
        return None
    return fit_line(np.arange(odds.shape[1]), odds.mean(axis=0)).estimate("slope", unit="nats per shot")
