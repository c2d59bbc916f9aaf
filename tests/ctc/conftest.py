"""Brute force: every path of a small lattice, one by one. What all fast code of this room is held against."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch


def say(path, blank):
    """What a path says, written as the definition reads: merge repeats, then drop blanks."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def all_paths(log_probs: torch.Tensor) -> Iterator[tuple[tuple[int, ...], float]]:
    """All V**T paths of one utterance with their log-probabilities."""
    frames, labels = log_probs.shape
    table = log_probs.tolist()
    for path in itertools.product(range(labels), repeat=frames):
        yield path, sum(table[t][label] for t, label in enumerate(path))


@pytest.fixture
def enumerate_paths() -> Callable[[torch.Tensor], Iterator[tuple[tuple[int, ...], float]]]:
    return all_paths


@pytest.fixture
def collapse_by_definition():
    return say


@pytest.fixture
def random_log_probs():
    def make(*shape: int, seed: int = 0, sharpness: float = 1.0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(*shape, generator=generator, dtype=torch.float64) * sharpness
        return logits.log_softmax(-1)

    return make
