"""The documents of a world, listed with their probabilities from the world's description alone.

Nothing here reads a tree, keeps a posterior or goes word by word: a document's probability is a sum over hidden values
of products over items, written out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import product

from seqtant.reference.world.world import WorldSettings

Documents = dict[str, float]


def sentence_documents(name: str, sentences, prior: dict[str, float], end: float, most: int) -> Documents:
    """All documents of up to ``most`` sentences of a kind of independent sentences."""
    found: Documents = defaultdict(float)
    for count in range(1, most + 1):
        for chosen in product(sentences, repeat=count):
            text = " ".join([f"{name} :", *(sentence.text for sentence in chosen)])
            likely = sum(
                weight * math.prod(sentence.probabilities[index] for sentence in chosen)
                for index, weight in enumerate(prior.values())
            )
            found[text] += likely * (1 - end) ** (count - 1) * end
    return found


def story_documents(settings, most: int) -> Documents:
    """All stories of up to ``most`` sentences, by summing over every arrangement of the things."""
    stray = (1 - settings.faithful) / (len(settings.places) - 1)
    arrangements = list(product(settings.places, repeat=len(settings.things)))
    said = list(product(("told", "asked"), settings.things, settings.places))
    forms = {"told": "the {} is in the {} .", "asked": "where is the {} ? in the {} ."}
    found: Documents = defaultdict(float)
    for count in range(1, most + 1):
        for chosen in product(said, repeat=count):
            total = 0.0
            for arrangement in arrangements:
                lies = dict(zip(settings.things, arrangement, strict=True))
                likely = 1 / len(arrangements)
                for form, thing, place in chosen:
                    likely *= settings.told if form == "told" else 1 - settings.told
                    likely *= 1 / len(settings.things)
                    likely *= settings.faithful if lies[thing] == place else stray
                total += likely
            text = " ".join(["story :", *(forms[form].format(thing, place) for form, thing, place in chosen)])
            found[text] += total * (1 - settings.end) ** (count - 1) * settings.end
    return found


def problem_texts(settings) -> dict[str, float]:
    """All problems with both solutions."""
    words, places = settings.digits, settings.ordinals
    lengths = range(settings.shortest, len(places) + 1)
    found: dict[str, float] = {}
    for length in lengths:
        for digits in product(range(len(words)), repeat=length):
            chance = 1 / len(lengths) / len(words) ** length
            question = "add " + " ".join(f"{places[i]} {words[d]}" for i, d in enumerate(digits)) + " ."
            total, steps = digits[0], [f"{places[0]} {words[digits[0]]} ."]
            for i in range(1, length):
                total = (total + digits[i]) % len(words)
                steps.append(f"{places[i]} {words[digits[i]]} makes {words[total]} .")
            answer = f"answer {words[total]} ."
            found[" ".join([question, *steps, answer])] = chance * settings.steps
            found[f"{question} {answer}"] = chance * (1 - settings.steps)
    return found


def sum_documents(settings, most: int) -> Documents:
    """All documents of up to ``most`` problems."""
    items = problem_texts(settings)
    return {
        " ".join(["sums :", *chosen]): math.prod(items[text] for text in chosen)
        * (1 - settings.end) ** (count - 1)
        * settings.end
        for count in range(1, most + 1)
        for chosen in product(items, repeat=count)
    }


def kind_documents(settings: WorldSettings, kind: str, most: int) -> Documents:
    """All documents of one kind with up to ``most`` items, their end included."""
    if kind == "story":
        return story_documents(settings.story, most)
    if kind == "sums":
        return sum_documents(settings.sums, most)
    source = {"talk": settings.talk, "game": settings.game, "book": settings.book}[kind]
    prior = {
        "talk": {persona.name: persona.weight for persona in settings.talk.personas},
        "game": {task.name: task.weight for task in settings.game.tasks},
        "book": {"": 1.0},
    }[kind]
    total = sum(prior.values())
    shares = {name: weight / total for name, weight in prior.items()}
    return sentence_documents(kind, source.sentences(), shares, source.end, most)
