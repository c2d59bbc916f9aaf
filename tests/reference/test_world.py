"""The world's probabilities against every document written out, and its draws against its probabilities."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from seqtant.errors import InputError
from seqtant.reference.world.world import World, WorldSettings

_spec = importlib.util.spec_from_file_location("enumeration", Path(__file__).with_name("enumeration.py"))
enumeration = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(enumeration)

KINDS = ("talk", "game", "sums", "book", "story")
MOST = {"talk": 2, "game": 3, "sums": 2, "book": 2, "story": 3}


@pytest.mark.parametrize("kind", KINDS)
def test_every_document_has_its_probability(kind: str, small_settings: WorldSettings, small_world: World):
    weight = small_settings.weights[kind] / sum(small_settings.weights.values())
    documents = enumeration.kind_documents(small_settings, kind, MOST[kind])
    chosen = list(documents.items())
    rng = np.random.default_rng(1)
    for index in rng.choice(len(chosen), size=min(400, len(chosen)), replace=False):
        text, expected = chosen[index]
        assert small_world.log_prob([*small_world.encode(text), 2]) == pytest.approx(
            np.log(weight * expected), abs=1e-10
        )


@pytest.mark.parametrize("kind", KINDS)
def test_next_words_are_ratios_of_summed_documents(kind: str, small_settings: WorldSettings, small_world: World):
    """All documents that go on with a word, over all that go on at all: the definition, by enumeration.

    Documents longer than those listed have items after the listed ones, so each listed text stands for its beginning:
    dividing by the end's probability gives the mass of everything that begins so.
    """
    component = small_world.component(kind)
    end = component.kinds[kind].end
    documents = enumeration.kind_documents(small_settings, kind, MOST[kind])
    items = max(_items(text, kind) for text in documents)
    mass: Counter[str] = Counter()
    for text, probability in documents.items():
        words = text.split()
        complete = _items(text, kind) == items
        for length in range(len(words) + 1):
            mass[" ".join(words[:length])] += probability / end if complete else probability
    rng = np.random.default_rng(2)
    prefixes = [text for text in mass if len(text.split()) >= 2]
    for index in rng.choice(len(prefixes), size=150, replace=False):
        prefix = prefixes[index]
        tokens = component.encode(prefix)
        listed = component.next_token_log_probs(tokens)
        if prefix in documents:
            assert np.exp(listed[2]) == pytest.approx(end, rel=1e-12)
            if _items(prefix, kind) == items:
                continue
        for word in np.flatnonzero(listed > -np.inf):
            if word == 2:
                continue
            longer = f"{prefix} {component.words(int(word))}"
            assert np.exp(listed[word]) == pytest.approx(mass[longer] / mass[prefix], rel=1e-9), longer


def _items(text: str, kind: str) -> int:
    if kind == "sums":
        return text.count("answer")
    return text.count(" .") + text.count(" !")


def test_next_token_probabilities_sum_to_one(world: World, generator: np.random.Generator):
    for document in world.draw(40, generator, longest=80):
        sums = np.exp(world.conditionals(document.tokens)).sum(axis=1)
        np.testing.assert_allclose(sums, 1, atol=1e-12)


def test_conditionals_multiply_to_the_document(world: World, generator: np.random.Generator):
    for document in world.draw(20, generator, longest=80):
        rows = world.conditionals(document.tokens)
        step = rows[np.arange(len(document.tokens) - 1), document.tokens[1:]]
        assert step.sum() == pytest.approx(world.log_prob(document.tokens), abs=1e-9)
        np.testing.assert_allclose(world.next_token_log_probs(document.tokens[:9]), rows[min(8, len(rows) - 1)])


@pytest.mark.parametrize("kind", KINDS)
def test_draws_follow_the_probabilities(kind: str, small_settings: WorldSettings, small_world: World):
    """A chi-squared test of drawn documents against enumerated ones; fails by chance once in ten thousand."""
    component = small_world.component(kind)
    drawn = component.draw(20000, np.random.default_rng(3), longest=400)
    seen = Counter(component.words(document.tokens[1:-1].tolist()) for document in drawn if document.tokens[-1] == 2)
    documents = enumeration.kind_documents(small_settings, kind, 1)
    expected = {text: 20000 * probability for text, probability in documents.items() if 20000 * probability >= 5}
    observed = [seen[text] for text in expected]
    rest = 20000 - sum(expected.values())
    test = stats.chisquare([*observed, 20000 - sum(observed)], [*expected.values(), rest])
    assert test.pvalue > 1e-4
    assert len(expected) > 5


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_what_the_oracle_expects(kind: str, world: World):
    """Mean surprise of drawn documents equals the mean entropy of their next words, within five standard errors."""
    component = world.component(kind)
    differences = []
    for document in component.draw(150, np.random.default_rng(4), longest=120):
        rows = component.conditionals(document.tokens[:-1])
        probabilities = np.exp(rows)
        entropies = -np.where(probabilities > 0, probabilities * np.where(probabilities > 0, rows, 0), 0).sum(axis=1)
        surprises = -component.log_probs(document.tokens)[1:]
        differences.append((surprises - entropies).sum())
    z = np.mean(differences) / (np.std(differences, ddof=1) / np.sqrt(len(differences)))
    assert abs(z) < 5


def test_titles_give_the_kind_away(world: World):
    posterior = world.posterior(world.encode("game :"))
    assert sum(value for (kind, _), value in posterior.items() if kind == "game") == pytest.approx(1)
    assert posterior["game", "size"] == pytest.approx(0.16)


def test_posterior_is_bayes_rule(world: World):
    text = "the lamp is dull ."
    posterior = world.posterior(world.encode(f"talk : {text}"))
    kind = world.kinds["talk"]
    index = kind.grammar.sentences.index(tuple(world.vocabulary.encode(text)))
    joint = kind.prior * kind.grammar.probabilities[index]
    for latent, value in zip(kind.latents, joint / joint.sum(), strict=True):
        assert posterior["talk", latent] == pytest.approx(value)


def test_evidence_does_not_underflow(world: World):
    prompt = world.encode("talk : " + "the lamp is dull . " * 2000)
    assert np.isfinite(world.next_token_log_probs(prompt)).any()
    assert sum(world.posterior(prompt).values()) == pytest.approx(1)


def test_component_of_several_hidden_values_is_their_mixture(world: World):
    prompt = world.encode("talk : how are you ?")
    both = np.exp(world.component("talk", "gloomy", "grumpy").next_token_log_probs(prompt))
    apart = [np.exp(world.component("talk", name).next_token_log_probs(prompt)) for name in ("gloomy", "grumpy")]
    np.testing.assert_allclose(both, 0.6 * apart[0] + 0.4 * apart[1], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda world: world.component("tale"), "no kind of document 'tale'"),
        (lambda world: world.component("talk", "angry"), "no hidden value 'angry'"),
        (lambda world: world.component("story", "key"), "no hidden value 'key'"),
        (lambda world: world.encode("talk : hovv are you ?"), "no word 'hovv'"),
        (lambda world: world.next_token_log_probs(world.encode("talk : the the")), "goes on with 'the' .token 4."),
        (lambda world: World([*world.kinds.values()], {"talk": 1.0}), "positive weight for each"),
    ],
)
def test_what_cannot_be_is_refused(call, message: str, world: World):
    with pytest.raises(InputError, match=message):
        call(world)


def test_impossible_documents_have_no_probability(world: World):
    assert world.log_prob(world.encode("talk : the the")) == -np.inf
    assert world.log_prob([5, 6]) == -np.inf
    wrong = "sums : add first one second two . first one . second two makes four ."
    assert world.log_prob(world.encode(wrong)) == -np.inf


def test_same_settings_same_hash():
    assert WorldSettings().hash == WorldSettings().hash
    assert WorldSettings(weights={"talk": 1.0}).hash != WorldSettings().hash
