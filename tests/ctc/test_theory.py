"""Closed forms against counting and enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from seqtant.ctc import theory
from seqtant.ctc.lattice.paths import PathBatch, collapse
from seqtant.ctc.losses.low_latency import LowLatency
from seqtant.errors import InputError


@pytest.mark.parametrize("target", [(), (1,), (1, 2), (1, 1), (2, 2, 2), (1, 2, 1)])
def test_number_of_paths_is_what_counting_gives(target, collapse_by_definition):
    for frames in range(7):
        paths = itertools.product(range(3), repeat=frames)
        counted = sum(collapse_by_definition(path, 0) == target for path in paths)
        repeats = sum(a == b for a, b in itertools.pairwise(target))
        assert theory.path_count(frames, len(target), repeats) == counted


@pytest.mark.parametrize("blank", [0, 2])
def test_expected_emission_times_equal_enumeration(blank, random_log_probs, enumerate_paths):
    log_probs = random_log_probs(6, 3, seed=blank)
    first = last = empty = spoken = removable = 0.0
    for path, score in enumerate_paths(log_probs):
        chance = math.exp(score)
        frames = [t for t, label in enumerate(path) if label != blank]
        removable += chance * sum(now == before for now, before in zip(path, (blank, *path), strict=False))
        if frames:
            spoken, first, last = spoken + chance, first + chance * frames[0], last + chance * frames[-1]
        else:
            empty += chance
    posterior = log_probs.exp().numpy()
    assert theory.first_emission(posterior, blank=blank) == pytest.approx((first / spoken, empty), abs=1e-12)
    assert theory.last_emission(posterior, blank=blank) == pytest.approx((last / spoken, empty), abs=1e-12)
    assert theory.expected_removable(posterior, blank=blank) == pytest.approx(removable, abs=1e-12)


def test_a_silent_model_has_no_emission_time():
    with pytest.raises(InputError, match="emits nothing"):
        theory.first_emission([[1.0, 0.0]], blank=0)


@pytest.mark.parametrize("path", [(0, 0, 1, 1, 0, 2, 0, 0), (1, 0, 0, 0, 2, 2), (0, 0, 0), (1, 2, 1), (0, 1, 1, 1)])
def test_expected_shift_is_the_mean_over_many_edits(path):
    draws = 4000
    paths = torch.tensor(path).expand(1, draws, -1)
    batch = PathBatch(paths, torch.tensor([len(path)]), blank=0)
    edit = LowLatency().edit(batch, torch.Generator().manual_seed(0))
    frames = torch.arange(len(path))
    before = (collapse(batch).starts * frames).sum(-1)
    after = (collapse(PathBatch(edit.paths, batch.lengths, 0)).starts * frames).sum(-1)
    tokens = max(int(collapse(batch).counts[0, 0]), 1)
    moved = ((before - after).double() / tokens).mean().item()
    assert moved == pytest.approx(theory.expected_token_shift(path, blank=0), abs=4 * 0.5 / math.sqrt(draws) + 1e-12)


def test_delay_penalty_is_written_out():
    assert theory.delay_penalty([0, 4], 5, 0.1) == pytest.approx(-0.1 * (0 - 2) - 0.1 * (4 - 2))


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
