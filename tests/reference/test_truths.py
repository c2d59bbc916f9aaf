"""Truths about personas and tasks against listing all sentences, and against drawing them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from seqtant.errors import InputError
from seqtant.reference.prompts import Prompts
from seqtant.reference.truths import PersonaTruths, SentenceClasses, TaskTruths
from seqtant.reference.world.stories import GameSettings, TalkSettings
from seqtant.reference.world.world import World, WorldSettings


@pytest.fixture(scope="module")
def truths(world: World) -> PersonaTruths:
    return PersonaTruths(world.kinds["talk"], TalkSettings(), sentences=6)


def test_divergences_are_sums_over_all_sentences(world: World):
    grammar = world.kinds["talk"].grammar
    divergences = SentenceClasses(grammar).divergences()
    variances = SentenceClasses(grammar).variances()
    for first, second in product(range(4), repeat=2):
        p, q = grammar.probabilities[:, first], grammar.probabilities[:, second]
        ratio = np.log(p / q)
        assert divergences[first, second] == pytest.approx((p * ratio).sum(), abs=1e-12)
        assert variances[first, second] == pytest.approx((p * (ratio - (p * ratio).sum()) ** 2).sum(), abs=1e-12)


def test_divergence_has_the_closed_form_of_independent_choices():
    """Tone in remarks and moods, subject in remarks: two independent Bernoulli choices, written out by hand."""
    settings = TalkSettings()
    kind = World.of(WorldSettings()).kinds["talk"]
    divergences = SentenceClasses(kind.grammar).divergences()

    def bernoulli(p: float, q: float) -> float:
        return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))

    for (i, first), (j, second) in product(enumerate(settings.personas), repeat=2):
        tone, subject = bernoulli(first.bright, second.bright), bernoulli(first.indoors, second.indoors)
        expected = (settings.remarks + settings.moods) * tone + settings.remarks * subject
        assert divergences[i, j] == pytest.approx(expected, abs=1e-12)


def test_curves_are_sums_over_all_prompts(small_settings: WorldSettings, small_world: World):
    """Two personas, prompts of two sentences: every pair of sentences listed, Bayes' rule by hand."""
    kind = small_world.kinds["talk"]
    truths = PersonaTruths(kind, small_settings.talk, negative=("gloomy",), sentences=2)
    p = kind.grammar.probabilities
    alpha = truths.alpha
    pairs = np.einsum("az,bz->abz", p, p).reshape(-1, 2)
    mixture = pairs @ kind.prior
    weight = alpha * pairs[:, 1] / mixture
    next_sentence = weight[:, None] * p[:, 1] + (1 - weight[:, None]) * p[:, 0]
    divergence = (p[:, 1] * (np.log(p[:, 1]) - np.log(next_sentence))).sum(axis=1)
    assert truths.target_divergence_curve[2] == pytest.approx(pairs[:, 1] @ divergence, abs=1e-10)
    plain, gloomy = small_settings.talk.personas
    tones = weight * (2 * gloomy.bright - 1) + (1 - weight) * (2 * plain.bright - 1)
    assert truths.tone_curve[2] == pytest.approx(pairs[:, 1] @ tones, abs=1e-10)
    ratio = np.log(pairs[:, 1] / pairs[:, 0])
    variance = pairs[:, 1] @ (ratio - pairs[:, 1] @ ratio) ** 2
    assert truths.variance_curve[1] == pytest.approx(variance / 2, abs=1e-10)


def test_beta_of_two_personas_is_their_divergence(small_settings: WorldSettings, small_world: World):
    truths = PersonaTruths(small_world.kinds["talk"], small_settings.talk, negative=("gloomy",), sentences=3)
    plain_from_gloomy, gloomy_from_plain = truths.classes.divergences()[[0, 1], [1, 0]]
    np.testing.assert_allclose(truths.divergence_curve, gloomy_from_plain, atol=1e-10)
    assert truths.beta == pytest.approx(gloomy_from_plain)
    assert truths.beta_prime == pytest.approx(plain_from_gloomy)
    assert truths.sigma2 == pytest.approx(truths.classes.variances()[1, 0])


def test_sum_of_divergences_tends_to_log_inverse_alpha(world: World):
    """The chain rule: it approaches from below, and what is missing is the divergence of the whole prompts."""
    truths = PersonaTruths(world.kinds["talk"], TalkSettings(), sentences=24)
    sums = truths.target_divergence_curve.cumsum()
    assert (np.diff(sums) > 0).all()
    assert truths.log_inverse_alpha - 0.02 < sums[-1] < truths.log_inverse_alpha


def test_curves_agree_with_drawn_talks(world: World, truths: PersonaTruths):
    """Next-sentence tone and divergence after four drawn sentences, from the word-by-word oracle."""
    prompts = Prompts()
    rng = np.random.default_rng(5)
    personas = {persona.name: 2 * persona.bright - 1 for persona in TalkSettings().personas}
    tones = []
    for name in rng.choice(["gloomy", "grumpy"], size=600, p=[0.6, 0.4]):
        posterior = world.posterior(world.encode(prompts.persona(str(name), 4, rng)))
        tones.append(sum(value * personas[latent] for (kind, latent), value in posterior.items() if kind == "talk"))
    error = np.std(tones, ddof=1) / np.sqrt(len(tones))
    assert abs(np.mean(tones) - truths.tone_curve[4]) < 5 * error


def test_halfway_lies_between_lengths(truths: PersonaTruths):
    goal = (truths.tone_curve[0] + truths.negative_tone) / 2
    below = int(truths.halfway)
    assert truths.tone_curve[below] >= goal >= truths.tone_curve[below + 1]


def test_halfway_needs_long_enough_prompts(world: World):
    with pytest.raises(InputError, match="follow more"):
        PersonaTruths(world.kinds["talk"], TalkSettings(), sentences=1).halfway  # noqa: B018


@pytest.mark.parametrize("negative", [(), ("angry",), ("cheerful", "plain", "gloomy", "grumpy")])
def test_negative_personas_must_be_some_of_all(world: World, negative: tuple[str, ...]):
    with pytest.raises(InputError, match="some, not all"):
        PersonaTruths(world.kinds["talk"], TalkSettings(), negative=negative)


def test_task_divergences_split_into_inputs_and_labels(world: World):
    truths = TaskTruths(world.kinds["game"], GameSettings())
    inputs, labels = truths.inputs, truths.labels
    np.testing.assert_allclose(inputs.sum(axis=1), 1)
    np.testing.assert_allclose(labels.sum(axis=2), 1)
    for first, second in ((3, 4), (3, 6), (0, 1), (7, 5)):
        by_hand = (inputs[first][:, None] * labels[first] * np.log(labels[first] / labels[second])).sum()
        assert truths.label_divergences[first, second] == pytest.approx(by_hand)
    assert truths.label_divergences.min() >= -1e-12
    names = list(truths.tasks)
    assert truths.input_divergences[names.index("is_big"), names.index("is_small")] == 0
    assert truths.input_divergences[names.index("is_pet"), names.index("is_beast")] > 0.5


def test_task_accuracy_is_that_of_drawn_shots(world: World):
    truths = TaskTruths(world.kinds["game"], GameSettings())
    prompts = Prompts()
    rng = np.random.default_rng(6)
    kind = world.kinds["game"]
    for index, task in enumerate(prompts.settings.game.tasks):
        rows = kind.grammar.draw(np.full(2000, index), rng)
        words = [world.words(row.tolist()).split() for row in rows]
        hits = [task.label((word[0], word[1], word[2])) == word[4] for word in words]
        assert abs(np.mean(hits) - truths.accuracy[index]) < 5 * np.sqrt(0.25 / 2000)
