"""Hard scorers of replies: +1 good, -1 bad, 0 neither; users add theirs under ``seqtant.steering_scorers``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from seqtant.findings import Estimate
from seqtant.registry import Registry
from seqtant.steering.data.items import BehaviorPrompt

Scorer = Callable[[BehaviorPrompt, str], float]
"""Takes the prompt with its good and bad continuations and a reply; returns +1, 0 or -1."""

SCORERS: Registry[Scorer] = Registry(
    "scorer",
    group="seqtant.steering_scorers",
    entries={"begins": "seqtant.steering.data.scorers:begins", "contains": "seqtant.steering.data.scorers:contains"},
)
"""Name -> scorer."""


def begins(item: BehaviorPrompt, reply: str) -> float:
    """+1 if the reply begins with a good continuation, -1 with a bad one, 0 otherwise.

    Example:
        >>> begins(BehaviorPrompt("well ?", ("yes",), ("no",)), " No, never")
        -1.0
    """
    said = reply.strip().lower()
    good, bad = (any(said.startswith(text.strip().lower()) for text in texts) for texts in (item.good, item.bad))
    return float(good) - float(bad)


def contains(item: BehaviorPrompt, reply: str) -> float:
    """+1 if the reply holds a good continuation as whole words and no bad one, -1 the other way round, else 0.

    Example:
        >>> contains(BehaviorPrompt("well ?", ("yes",), ("no",)), "I know: yes")
        1.0
    """
    said = reply.lower()
    good, bad = (
        any(re.search(rf"(?<!\w){re.escape(text.strip().lower())}(?!\w)", said) for text in texts)
        for texts in (item.good, item.bad)
    )
    return float(good) - float(bad)


def hard_alignment(scores: Sequence[float]) -> Estimate:
    """Mean of hard scores, kept away from +-1, where arctanh has no value, by half an observation.

    Saturated scores say only that the rate is above 1 - 1/(2n): the interval says how much that leaves open.

    Example:
        >>> print(hard_alignment([1.0] * 10))
        0.95 [0.57, 1.00] (95 %, Jeffreys, clipped at 1 - 1/(2n), n=10)
    """
    from scipy.stats import beta

    values: Float[np.ndarray, " replies"] = np.asarray(scores, dtype=np.float64)
    n = len(values)
    edge = 1 - 1 / (2 * n)
    mean = float(values.mean())
    # A mean of +-1 and 0 scores is treated as 2 rate - 1; neutral replies count half to each side.
    good = (mean + 1) / 2 * n
    low, high = (2 * float(beta.ppf(q, good + 0.5, n - good + 0.5)) - 1 for q in (0.025, 0.975))
    value = float(np.clip(mean, -edge, edge))
    return Estimate(
        value=value, low=min(low, value), high=max(high, value), method="Jeffreys, clipped at 1 - 1/(2n)", n=n
    )
