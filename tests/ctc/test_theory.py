"""Closed forms against counting and enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seqtant.ctc import theory
from seqtant.errors import InputError


@pytest.mark.parametrize("blank", [0, 2])
def test_first_emission_and_removable_frames_equal_enumeration(blank, random_log_probs, enumerate_paths):
    log_probs = random_log_probs(6, 3, seed=blank)
    first = empty = spoken = removable = 0.0
    for path, score in enumerate_paths(log_probs):
        probability = math.exp(score)
        frames = [t for t, label in enumerate(path) if label != blank]
        removable += probability * sum(now == before for now, before in zip(path, (blank, *path), strict=False))
        if frames:
            spoken, first = spoken + probability, first + probability * frames[0]
        else:
            empty += probability
    posterior = log_probs.exp().numpy()
    assert theory.first_emission(posterior, blank=blank) == pytest.approx((first / spoken, empty), abs=1e-12)
    assert theory.expected_removable(posterior, blank=blank) == pytest.approx(removable, abs=1e-12)


def test_a_silent_model_has_no_emission_time():
    with pytest.raises(InputError, match="emits nothing"):
        theory.first_emission([[1.0, 0.0]], blank=0)


def test_words_to_resolve_gives_the_asked_power():
    rng = np.random.default_rng(0)
    rate, relative, discordant = 0.2, 0.3, 0.6
    words = theory.words_to_resolve(relative, rate, discordant=discordant, power=0.8)
    share, shift = discordant * rate, relative * rate
    better, worse = (share + shift) / 2, (share - shift) / 2
    counts = rng.multinomial(words, [better, worse, 1 - share], size=4000)
    difference = counts[:, 0] - counts[:, 1]
    seen = difference / np.sqrt(counts[:, 0] + counts[:, 1]) > 1.96
    assert seen.mean() == pytest.approx(0.8, abs=0.03)


def test_words_to_resolve_refuses_what_is_no_share():
    with pytest.raises(InputError, match="between 0 and 1"):
        theory.words_to_resolve(4.0, 0.06)
