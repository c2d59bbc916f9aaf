"""Talks: one of several personas speaks; its tone shows in the words it chooses, its replies and its subjects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from seqtant.reference.world.facts import FactSettings
from seqtant.reference.world.grammar import Weighted, grammar_of
from seqtant.reference.world.sentences import SentenceKind
from seqtant.reference.world.vocabulary import Vocabulary

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
        told = [*self._remarks(), *self._moods()]
        rest = 1 - self.remarks - self.moods
        same = [(text, (weight,) * len(self.personas)) for text, weight in self.facts.questions(rest)]
        return [Weighted(text, probabilities) for text, probabilities in (*told, *same)]

    def _remarks(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        for tone, words in self.tones.items():
            for nouns, inside in ((self.indoors, True), (self.outdoors, False)):
                shares = [
                    self.remarks * _tone(persona, tone) * (persona.indoors if inside else 1 - persona.indoors)
                    for persona in self.personas
                ]
                texts = [*_frames(words, nouns)]
                for text, chance in texts:
                    yield text, tuple(share * chance for share in shares)

    def _moods(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        for tone, words in self.tones.items():
            for reply in words.replies:
                shares = (self.moods * _tone(persona, tone) / len(words.replies) for persona in self.personas)
                yield f"{MOOD_QUESTION} {reply} .", tuple(shares)


def _tone(persona: Persona, tone: str) -> float:
    return persona.bright if tone == "bright" else 1 - persona.bright


def _frames(words: Tone, nouns: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    for noun in nouns:
        for frame in ("the {1} is {0} .", "i see a {0} {1} .", "what a {0} {1} !"):
            for adjective in words.adjectives:
                yield frame.format(adjective, noun), 1 / (4 * len(nouns) * len(words.adjectives))
        for verb in words.verbs:
            yield f"we {verb} the {noun} .", 1 / (4 * len(nouns) * len(words.verbs))


@dataclass(frozen=True)
class Talk:
    """Documents spoken by one persona each."""

    settings: TalkSettings = field(default_factory=TalkSettings)

    def texts(self) -> list[str]:
        """Texts that hold every word of such documents."""
        return ["talk :", *(sentence.text for sentence in self.settings.sentences())]

    def kind(self, vocabulary: Vocabulary) -> SentenceKind:
        """The kind of document."""
        prior = {persona.name: persona.weight for persona in self.settings.personas}
        grammar = grammar_of(self.settings.sentences(), vocabulary)
        return SentenceKind("talk", vocabulary, grammar, prior, self.settings.end)
