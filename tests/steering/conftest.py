"""Fixtures of the steering tests: a small model, its folder, pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.reference.world.world import World, reference_world
from seqtant.steering.inputs import persona_pairs
from seqtant.steering.vectors.vector import SteeringVector
from tests.steering.samples import make_model, random_vector


@pytest.fixture(scope="session")
def world() -> World:
    return reference_world()


@pytest.fixture(scope="session")
def model(world: World) -> HuggingFaceLM:
    return make_model(world)


@pytest.fixture(scope="session")
def exact_model(world: World) -> HuggingFaceLM:
    return make_model(world, dtype=torch.float64)


@pytest.fixture(scope="session")
def folder(model: HuggingFaceLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as a folder that carries a manifest, so that it is known to be of the reference world."""
    place = tmp_path_factory.mktemp("models") / "small"
    model.model.save_pretrained(place)
    assert model.tokenizer is not None
    model.tokenizer.save_pretrained(place)
    (place / "manifest.json").write_text("{}", encoding="utf-8")
    return place


@pytest.fixture
def vector() -> SteeringVector:
    return random_vector([1, 2])


@pytest.fixture(scope="session")
def pairs() -> list:
    return persona_pairs(12, np.random.default_rng(0))
