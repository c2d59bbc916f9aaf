"""Hard scores: words are found as words, saturated scores keep a finite arctanh and an honest interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from seqtant.steering.applying.generation import SCORERS, hard_alignment
from seqtant.steering.data.items import BehaviorPrompt

ITEM = BehaviorPrompt("well ?", (" yes", " sure"), (" no",))


@pytest.mark.parametrize(("name", "reply", "score"), [
    ("begins", " Yes, of course", 1.0),
    ("begins", "no", -1.0),
    ("begins", "perhaps yes", 0.0),
    ("contains", "I am sure", 1.0),
    ("contains", "I know nothing", 0.0),
    ("contains", "yes and no", 0.0),
    ("contains", "there is no way", -1.0),
])  # fmt: skip
def test_replies_are_scored_by_words(name: str, reply: str, score: float) -> None:
    assert SCORERS[name](ITEM, reply) == score


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("n", [1, 10, 400])
def test_saturated_scores_stay_finite_and_say_how_little_they_know(side: float, n: int) -> None:
    found = hard_alignment([side] * n)
    assert abs(found.value) == 1 - 1 / (2 * n)
    assert np.isfinite(np.arctanh(found.value))
    assert found.low is not None
    assert found.high is not None
    # Jeffreys' bound on the rate of the other side, from the distribution itself.
    far = 2 * beta.ppf(0.025, n + 0.5, 0.5) - 1
    assert (found.low if side > 0 else -found.high) == pytest.approx(min(far, 1 - 1 / (2 * n)))
    assert found.high - found.low > 1 / n


def test_the_interval_covers_the_rate() -> None:
    rate, n = 0.93, 40
    generator = np.random.default_rng(5)
    inside = 0
    for _ in range(400):
        found = hard_alignment((2.0 * (generator.random(n) < rate) - 1).tolist())
        inside += (found.low or -1) <= 2 * rate - 1 <= (found.high or 1)
    assert 0.91 <= inside / 400 <= 0.99


def test_users_own_scorers_are_known_by_name() -> None:
    def short(item: BehaviorPrompt, reply: str) -> float:
        return 1.0 if len(reply) < 5 else -1.0

    SCORERS.register("short")(short)
    assert SCORERS["short"](ITEM, "ok") == 1.0
