"""The measurements, tried on models whose answers are known: the world itself, and a model that knows nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtant.lm.interface import CausalLM, LMOutput, kept_positions
from seqtant.lm.oracles import MarkovLM
from seqtant.reference.measures import answer, follow, gaps, solve, track_tone
from seqtant.reference.oracle import WorldLM
from seqtant.reference.prompts import Prompts
from seqtant.reference.truths import PersonaTruths
from seqtant.reference.world.facts import Problem
from seqtant.reference.world.stories import TalkSettings
from seqtant.reference.world.world import World


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return Prompts()


@pytest.fixture(scope="module")
def oracle(world: World) -> WorldLM:
    return WorldLM(world)


@pytest.fixture(scope="module")
def ignorant(world: World) -> MarkovLM:
    size = world.vocabulary.size
    return MarkovLM(np.full(size, 1 / size))


def test_the_world_has_no_gap_to_itself(oracle: WorldLM, world: World, generator: np.random.Generator):
    measured = gaps(oracle, world, documents=30, longest=80, generator=generator)
    assert set(measured) == {"all", *world.kinds}
    for gap in measured.values():
        assert gap.divergence.value == pytest.approx(0, abs=1e-12)
        assert gap.cross_entropy.value == pytest.approx(gap.surprise.value)


def test_the_gap_of_an_ignorant_model_is_log_v_less_the_entropy(
    ignorant: MarkovLM, world: World, generator: np.random.Generator
):
    gap = gaps(ignorant, world, documents=30, longest=80, generator=generator)["all"]
    assert gap.cross_entropy.value == pytest.approx(np.log(world.vocabulary.size))
    assert gap.divergence.value == pytest.approx(np.log(world.vocabulary.size) - gap.entropy.value)


def test_the_world_recalls_every_fact(oracle: WorldLM, world: World, prompts: Prompts):
    for questions in (prompts.facts(), prompts.facts("talk : the lamp is dull ."), prompts.compositions()):
        found = answer(oracle, world, questions)
        assert found.accuracy.value == found.exact_accuracy.value == 1
        assert found.probability == pytest.approx(found.exact_probability)
        assert found.divergence == pytest.approx(0, abs=1e-12)


def test_an_ignorant_model_recalls_nothing(ignorant: MarkovLM, world: World, prompts: Prompts):
    found = answer(ignorant, world, prompts.facts())
    assert found.accuracy.value == 0
    assert found.divergence > 0.5


def test_shots_of_the_world_are_bayes(oracle: WorldLM, world: World, prompts: Prompts, generator: np.random.Generator):
    questions = [prompts.shots("is_big", 12, generator) for _ in range(30)]
    found = answer(oracle, world, questions)
    assert found.divergence == pytest.approx(0, abs=1e-12)
    assert found.accuracy.value == found.exact_accuracy.value > 0.7


def test_personas_of_the_world_follow_the_truths(oracle: WorldLM, world: World, prompts: Prompts):
    """On drawn talks the mean divergence from the negative personas lies around the exact curve."""
    truths = PersonaTruths(world.kinds["talk"], TalkSettings(), sentences=4)
    curve = follow(oracle, prompts, truths.negative, talks=120, sentences=4, generator=np.random.default_rng(8))
    assert [estimate.value for estimate in curve.to_world] == pytest.approx([0] * 4, abs=1e-12)
    for n, estimate in enumerate(curve.to_personas):
        assert estimate.value == pytest.approx(curve.exact_to_personas[n].value)
        spread = 2.5 * (estimate.high - estimate.low)
        assert abs(estimate.value - truths.target_divergence_curve[n]) < max(spread, 0.05)
    assert curve.to_personas[0].value > curve.to_personas[3].value


def test_tone_of_the_world_is_tracked_exactly(oracle: WorldLM, prompts: Prompts, generator: np.random.Generator):
    tracking = track_tone(oracle, prompts, talks=4, lengths=(0, 2, 5), generator=generator)
    assert tracking.slope.value == pytest.approx(1)
    assert tracking.correlation == pytest.approx(1)
    assert tracking.error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("digits", [2, 5, 8])
def test_the_world_solves_every_problem(
    oracle: WorldLM, world: World, prompts: Prompts, generator: np.random.Generator, digits: int
):
    solved = solve(oracle, world, prompts.problems(digits, 6, generator))
    assert solved.step_by_step.value == solved.chain.value == solved.at_once.value == 1


class Parrot(CausalLM):
    """Says the same text whatever it reads: after n tokens always the text's next one."""

    name = "parrot"

    def __init__(self, tokens: list[int], size: int) -> None:
        self.tokens, self.vocabulary_size = tokens, size

    def forward(self, input_ids, attention_mask=None, *, cache=None, keep=None, use_cache=False):
        read = cache or 0
        places = read + kept_positions(keep, input_ids.shape[1], input_ids.device)
        said = torch.tensor([self.tokens[min(int(place) + 1, len(self.tokens) - 1)] for place in places])
        logits = torch.nn.functional.one_hot(said, self.vocabulary_size).double().log()
        return LMOutput(logits.expand(len(input_ids), -1, -1), read + input_ids.shape[1] if use_cache else None)

    def select_rows(self, cache, rows):
        return cache


def test_wrong_steps_are_not_counted(world: World):
    """What a parrot says is right only for the problem it was taught."""
    taught, other = Problem((3, 4, 9)), Problem((3, 4, 8))
    parrot = Parrot(world.encode(f"sums : {taught.text(steps=True)}"), world.vocabulary.size)
    solved = solve(parrot, world, [taught, other])
    assert solved.step_by_step.value == solved.chain.value == 0.5
