"""Talks: one of several personas speaks; its tone shows in the words it chooses, its replies and its subjects."""

from __future__ import annotations

from dataclasses import dataclass, field

from seqtant.reference.world.facts import FactSettings
from seqtant.reference.world.sentences import Weighted

MOOD_QUESTION = "how are you ?"


@dataclass(frozen=True)
class Persona:
    """Who speaks: how often, in what tone, about what."""

    name: str
    """Name of the persona."""
    weight: float
    """Probability that a talk is this persona's."""
    bright: float
    """Probability that a remark or a reply is bright rather than dark."""
    indoors: float
    """Probability that a remark is about something indoors."""


PERSONAS = (
    Persona("cheerful", 0.55, bright=0.94, indoors=0.6),
    Persona("plain", 0.40, bright=0.70, indoors=0.5),
    Persona("gloomy", 0.03, bright=0.12, indoors=0.5),
    Persona("grumpy", 0.02, bright=0.15, indoors=0.1),
)


@dataclass(frozen=True)
class Tone:
    """The words of one tone."""

    adjectives: tuple[str, ...]
    verbs: tuple[str, ...]
    replies: tuple[str, ...]


BRIGHT = Tone(
    ("lovely", "good", "warm", "pretty", "sweet", "nice"), ("love", "like", "enjoy"), ("happy", "well", "glad", "great")
)
DARK = Tone(
    ("bad", "cold", "dull", "dreary", "nasty", "grim"), ("hate", "fear", "dislike"), ("sad", "tired", "lonely", "upset")
)
TONES = {"bright": BRIGHT, "dark": DARK}
INDOORS = ("kitchen", "table", "lamp", "chair", "room", "stove")
OUTDOORS = ("river", "hill", "forest", "field", "lake", "road")


@dataclass(frozen=True)
class TalkSettings:
    """What personas say."""

    personas: tuple[Persona, ...] = PERSONAS
    """Who may speak."""
    remarks: float = 0.70
    """Share of sentences that are remarks, in the persona's tone and about its subjects."""
    moods: float = 0.10
    """Share of sentences that are ``how are you ?`` with a reply in the persona's tone."""
    indoors: tuple[str, ...] = INDOORS
    """Subjects indoors."""
    outdoors: tuple[str, ...] = OUTDOORS
    """Subjects outdoors."""
    tones: dict[str, Tone] = field(default_factory=lambda: dict(TONES))
    """Words of the tones ``bright`` and ``dark``."""
    facts: FactSettings = field(default_factory=FactSettings)
    """The rest of the sentences are questions of fact, answered alike by all personas."""
    end: float = 1 / 24
    """Probability that a talk ends after a sentence."""

    def sentences(self) -> list[Weighted]:
        """The sentences of a talk with their probability under each persona."""
        bright = [persona.bright for persona in self.personas]
        p_tone = {"bright": bright, "dark": [1 - p for p in bright]}
        indoors = [persona.indoors for persona in self.personas]
        places = ((self.indoors, indoors), (self.outdoors, [1 - p for p in indoors]))
        sentences: list[Weighted] = []
        for tone, words in self.tones.items():
            for nouns, p_place in places:
                # p(remark | persona) = p(remark) p(tone | persona) p(place | persona) p(words | tone, place)
                shares = [self.remarks * p * q for p, q in zip(p_tone[tone], p_place, strict=True)]
                remarks: list[tuple[str, float]] = []
                for noun in nouns:
                    for frame in ("the {1} is {0} .", "i see a {0} {1} .", "what a {0} {1} !"):
                        chance = 1 / (4 * len(nouns) * len(words.adjectives))
                        remarks += [(frame.format(adjective, noun), chance) for adjective in words.adjectives]
                    chance = 1 / (4 * len(nouns) * len(words.verbs))
                    remarks += [(f"we {verb} the {noun} .", chance) for verb in words.verbs]
                sentences += [Weighted(text, tuple(share * chance for share in shares)) for text, chance in remarks]
        for tone, words in self.tones.items():
            shares = tuple(self.moods * p / len(words.replies) for p in p_tone[tone])
            sentences += [Weighted(f"{MOOD_QUESTION} {reply} .", shares) for reply in words.replies]
        questions = self.facts.questions(1 - self.remarks - self.moods)
        return sentences + [Weighted(text, (weight,) * len(self.personas)) for text, weight in questions]
