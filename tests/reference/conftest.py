"""Small worlds that can be enumerated, and the model that ships."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from seqtant.reference.world.facts import FactSettings, SumSettings
from seqtant.reference.world.stories import PERSONAS, GameSettings, LabelTask, StorySettings, TalkSettings, Tone
from seqtant.reference.world.world import World, WorldSettings, reference_world


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(20240501)


@pytest.fixture(scope="session")
def small_settings() -> WorldSettings:
    """A world of the same build whose documents are few enough to list."""
    facts = FactSettings(people=("tom", "anna"), never_asked=("anna",), end=0.4)
    talk = TalkSettings(
        personas=PERSONAS[1:3],
        indoors=("lamp",),
        outdoors=("hill",),
        tones={"bright": Tone(("good",), ("love",), ("glad",)), "dark": Tone(("bad",), ("hate",), ("sad",))},
        facts=facts,
        end=0.4,
    )
    game = GameSettings(
        tasks=(
            LabelTask("size", 0.6, "size", flip=0.1),
            LabelTask("is_pet", 0.4, "pet?", flip=0.2, animals=(3, 1)),
        ),
        colors=("red",),
        animals=("cat", "wolf"),
        end=0.4,
    )
    sums = SumSettings(digits=("zero", "one"), ordinals=("first", "second", "third"), end=0.6)
    story = StorySettings(things=("key", "ring"), places=("box", "bag", "jar"), faithful=0.8, end=0.4)
    return replace(WorldSettings(), talk=talk, game=game, sums=sums, book=facts, story=story)


@pytest.fixture(scope="session")
def small_world(small_settings: WorldSettings) -> World:
    return World.of(small_settings)


@pytest.fixture(scope="session")
def world() -> World:
    return reference_world()
