"""Prompts and items: what they ask, and that the truth they carry is the world's."""

from __future__ import annotations

import numpy as np
import pytest

from seqtant.errors import InputError
from seqtant.reference.prompts import Prompts
from seqtant.reference.world.facts import CITIES, PEOPLE, FactSettings, Problem
from seqtant.reference.world.stories import PERSONAS, TASKS
from seqtant.reference.world.world import World


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return Prompts()


def _exact(world: World, prompt: str, word: str) -> float:
    return float(np.exp(world.next_token_log_probs(world.encode(prompt))[world.vocabulary.id(word)]))


@pytest.mark.parametrize("opening", ["book :", "talk :", "talk : the lamp is dull . we hate the hill ."])
def test_facts_carry_the_worlds_probabilities(prompts: Prompts, world: World, opening: str):
    for question in [*prompts.facts(opening)[::7], *prompts.compositions(opening)[::5]]:
        assert sum(question.probabilities) == pytest.approx(1)
        for word, probability in zip(question.answers, question.probabilities, strict=True):
            assert _exact(world, question.prompt, word) == pytest.approx(probability)
        assert max(question.probabilities) == question.ceiling


def test_there_are_enough_distinct_facts(prompts: Prompts):
    asked = [question.prompt for question in prompts.facts()]
    assert len(asked) == len(set(asked)) == 76
    assert len(prompts.compositions()) == 12


def test_two_facts_join(prompts: Prompts):
    for question in prompts.compositions():
        person = question.prompt.split()[-3]
        assert question.right == CITIES[PEOPLE[person][0]]


def test_unasked_joins_are_impossible_and_follow_from_told_facts(prompts: Prompts, world: World):
    assert {fact.subject for fact in prompts.unasked()} == set(FactSettings().never_asked)
    for fact in prompts.unasked():
        assert fact.answer == CITIES[PEOPLE[fact.subject][0]]
        with pytest.raises(InputError, match="no document of the reference world"):
            world.next_token_log_probs(world.encode(f"book : {fact.question}"))


def test_moods_carry_the_exact_tone(prompts: Prompts, world: World):
    plain = prompts.mood()
    bright = sum(plain.probabilities[: len(prompts.bright_replies())])
    expected = sum(persona.weight * persona.bright for persona in PERSONAS)
    assert bright == pytest.approx(expected)
    assert sum(plain.probabilities) == pytest.approx(1)
    assert plain.right in prompts.bright_replies()
    assert prompts.mood("talk : " + "we hate the hill . " * 9).right in prompts.dark_replies()


def test_facts_give_no_persona_away(prompts: Prompts, world: World):
    before = world.posterior(world.encode("talk :"))
    after = world.posterior(world.encode("talk : where does tom live ? paris ."))
    assert after == pytest.approx(before)


def test_personas_speak_their_sentences(prompts: Prompts, world: World, generator: np.random.Generator):
    text = prompts.persona("grumpy", 9, generator, remarks_only=True)
    assert text.count(" .") + text.count(" !") == 9
    assert "?" not in text
    assert np.isfinite(world.log_prob(world.encode(text)))


def test_tone_pairs_differ_in_tone_alone(prompts: Prompts, world: World, generator: np.random.Generator):
    kind = world.kinds["talk"]
    for bright, dark in prompts.tone_pairs(10, 4, generator):
        changed = [(a, b) for a, b in zip(bright.split(), dark.split(), strict=True) if a != b]
        assert len(changed) == 4
        for persona in kind.latents:
            own = world.component("talk", persona)
            speaker = next(p for p in PERSONAS if p.name == persona)
            expected = 4 * (np.log(speaker.bright) - np.log(1 - speaker.bright))
            ratio = own.log_prob(own.encode(bright)) - own.log_prob(own.encode(dark))
            assert ratio == pytest.approx(expected)


@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_shots_end_before_the_label(prompts: Prompts, world: World, generator: np.random.Generator, task: str):
    question = prompts.shots(task, 3, generator)
    words = question.prompt.split()
    assert len(words) == 2 + 3 * 6 + 4
    assert words[-1] == ":"
    assert question.right == prompts.task(task).label((words[-4], words[-3], words[-2]))
    assert sum(question.probabilities) == pytest.approx(1)
    assert _exact(world, question.prompt, question.right) == pytest.approx(question.ceiling)


def test_problems_are_solved_by_their_steps():
    problem = Problem((3, 4, 9))
    assert problem.text(steps=True) == (
        "add first three second four third nine . "
        "first three . second four makes seven . third nine makes six . answer six ."
    )
    assert problem.text(steps=False) == "add first three second four third nine . answer six ."
    assert problem.totals == (3, 7, 6)


def test_problems_are_of_the_length_asked(prompts: Prompts, world: World, generator: np.random.Generator):
    for digits in (2, 8):
        for problem in prompts.problems(digits, 5, generator):
            assert len(problem.digits) == digits
            assert np.isfinite(world.log_prob(world.encode(f"sums : {problem.text(steps=True)}")))
            assert np.isfinite(world.log_prob(world.encode(f"sums : {problem.text(steps=False)}")))
    with pytest.raises(InputError, match="2 to 8 digits"):
        prompts.problems(9, 1, generator)


@pytest.mark.parametrize(
    "call",
    [
        lambda prompts, rng: prompts.persona("angry", 2, rng),
        lambda prompts, rng: prompts.shots("is_wet", 2, rng),
    ],
)
def test_unknown_names_are_refused(prompts: Prompts, generator: np.random.Generator, call):
    with pytest.raises(InputError, match="no hidden value"):
        call(prompts, generator)
