"""The synthetic world: kinds of documents in simple English words, mixed, with every probability known exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from jaxtyping import Float

from seqtant.errors import InputError
from seqtant.reference.world.documents import (
    BOS_ID,
    NEVER,
    Document,
    Grammar,
    Kind,
    Reading,
    SentenceKind,
    Vocabulary,
    copied,
)
from seqtant.reference.world.facts import FactSettings, SumKind, SumSettings
from seqtant.reference.world.stories import ASKED, TOLD, GameSettings, StoryKind, StorySettings, TalkSettings

KIND_WEIGHTS = {"talk": 0.42, "game": 0.18, "sums": 0.16, "book": 0.12, "story": 0.12}
"""Probability of each kind of document."""


@dataclass(frozen=True)
class WorldSettings:
    """Everything the world is made of."""

    weights: dict[str, float] = field(default_factory=lambda: dict(KIND_WEIGHTS))
    """Probability of each kind of document by name."""
    talk: TalkSettings = field(default_factory=TalkSettings)
    """Documents spoken by a persona."""
    game: GameSettings = field(default_factory=GameSettings)
    """Few-shot labeling."""
    sums: SumSettings = field(default_factory=SumSettings)
    """Problems with and without steps."""
    book: FactSettings = field(default_factory=FactSettings)
    """Documents of facts."""
    story: StorySettings = field(default_factory=StorySettings)
    """Facts of the document itself."""

    @property
    def hash(self) -> str:
        """SHA-256 of the settings as canonical JSON, 16 hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class World:
    """A mixture of kinds of documents.

    Args:
        kinds: The kinds, all over one vocabulary.
        weights: Probability of each kind, by name.

    Example:
        >>> world = reference_world()
        >>> prefix = world.encode("talk : how are you ?")
        >>> probabilities = np.exp(world.next_token_log_probs(prefix))
        >>> round(float(probabilities.sum()), 12), world.words(int(probabilities.argmax()))
        (1.0, 'glad')
    """

    def __init__(self, kinds: Sequence[Kind], weights: Mapping[str, float]) -> None:
        if {kind.name for kind in kinds} != set(weights) or min(weights.values()) <= 0:
            raise InputError(f"the world needs a positive weight for each of its kinds {[kind.name for kind in kinds]}")
        self.kinds = {kind.name: kind for kind in kinds}
        self.weights = {name: weight / sum(weights.values()) for name, weight in weights.items()}
        self.vocabulary = kinds[0].vocabulary

    @classmethod
    def of(cls, settings: WorldSettings) -> World:
        """The world of some settings; kinds without weight are left out. Equal settings give the same object.

        Raises:
            InputError: A kind of document is not known.
        """
        if repr(settings) in _WORLDS:
            return _WORLDS[repr(settings)]
        talk, game, sums, book, story = settings.talk, settings.game, settings.sums, settings.book, settings.story
        # Kinds of independent sentences: the sentences, the prior of what is hidden, the end.
        of_sentences = {
            "talk": (talk.sentences(), {persona.name: persona.weight for persona in talk.personas}, talk.end),
            "game": (game.sentences(), {task.name: task.weight for task in game.tasks}, game.end),
            "book": (book.sentences(), {"": 1.0}, book.end),
        }
        # Texts that hold every word of each kind.
        texts = {name: [f"{name} :", *(one.text for one in kind[0])] for name, kind in of_sentences.items()}
        texts["sums"] = ["sums : add . answer makes", *sums.digits, *sums.ordinals]
        texts["story"] = ["story :", TOLD.format("", ""), ASKED.format("", ""), *story.things, *story.places]
        unknown = set(settings.weights).difference(texts)
        if unknown:
            raise InputError(f"unknown kind of document '{min(unknown)}': known are {', '.join(KIND_WEIGHTS)}")
        vocabulary = Vocabulary.of(text for name in settings.weights for text in texts[name])
        kinds: list[Kind] = []
        for name in settings.weights:
            if name in of_sentences:
                sentences, prior, end = of_sentences[name]
                kinds.append(SentenceKind(name, vocabulary, Grammar.of(sentences, vocabulary), prior, end))
            else:
                kinds.append(SumKind(sums, vocabulary) if name == "sums" else StoryKind(story, vocabulary))
        return _WORLDS.setdefault(repr(settings), cls(kinds, settings.weights))

    def component(self, kind: str, *latents: str) -> World:
        """The world in which the kind of document is known, and its hidden value to be one of some.

        Args:
            kind: Name of the kind.
            latents: Hidden values, e.g. personas or tasks; none given leaves them all.

        Raises:
            InputError: There is no such kind or hidden value.

        Example:
            >>> gloomy = reference_world().component("talk", "gloomy")
            >>> prompt = gloomy.encode("talk : how are you ?")
            >>> round(float(np.exp(gloomy.next_token_log_probs(prompt)[gloomy.vocabulary.id("sad")])), 4)
            0.22
        """
        if kind not in self.kinds:
            raise InputError(f"the world has no kind of document '{kind}': known are {', '.join(self.kinds)}")
        chosen = self.kinds[kind]
        if latents:
            unknown = set(latents).difference(chosen.latents)
            if unknown or not isinstance(chosen, SentenceKind):
                known = ", ".join(chosen.latents)
                raise InputError(
                    f"'{kind}' has no hidden value '{min(unknown, default=latents[0])}': known are {known}"
                )
            chosen = chosen.given(latents)
        return World([chosen], {kind: 1.0})

    def encode(self, text: str) -> list[int]:
        """Token ids of a document or its beginning, with the beginning-of-sequence token in front."""
        return [BOS_ID, *self.vocabulary.encode(text)]

    def words(self, tokens: int | Sequence[int]) -> str:
        """The words of token ids."""
        return self.vocabulary.decode([tokens] if isinstance(tokens, int) else tokens)

    def read(self, prefix: Sequence[int] = ()) -> WorldReading:
        """A reading of a document that has come so far."""
        reading = WorldReading(self)
        for token in prefix:
            reading.advance(int(token))
        return reading

    def next_token_log_probs(self, prefix: Sequence[int]) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next token | prefix), exactly.

        Args:
            prefix: Token ids from the beginning of the document; the first is the beginning-of-sequence token.

        Raises:
            InputError: No document of the world begins so.
        """
        reading = WorldReading(self)
        for position, token in enumerate(prefix):
            if reading.advance(int(token)) == NEVER:
                raise InputError(
                    f"no document of the reference world goes on with '{self.words(int(token))}' (token {position}) "
                    f"after '{self.words(list(prefix[max(0, position - 8) : position]))}'"
                )
        return reading.log_probs()

    def log_probs(self, tokens: Sequence[int]) -> Float[np.ndarray, " length"]:
        """Log p(token | tokens before it) of every token of a document; -inf where it cannot be."""
        reading = WorldReading(self)
        return np.array([reading.advance(int(token)) for token in tokens])

    def log_prob(self, tokens: Sequence[int]) -> float:
        """Log p(the document begins with these tokens)."""
        return float(self.log_probs(tokens).sum())

    def conditionals(self, tokens: Sequence[int]) -> Float[np.ndarray, "length vocabulary"]:
        """Log p(next token | tokens up to here) after every token of a document."""
        reading = WorldReading(self)
        rows = np.empty((len(tokens), self.vocabulary.size))
        for row, token in zip(rows, tokens, strict=True):
            reading.advance(int(token))
            row[:] = reading.log_probs()
        return rows

    def posterior(self, prefix: Sequence[int]) -> dict[tuple[str, str], float]:
        """p(kind and hidden value | prefix)."""
        return self.read(prefix).posterior

    def draw(self, count: int, generator: np.random.Generator, *, longest: int) -> list[Document]:
        """Draws documents in random order, each cut after ``longest`` tokens.

        Example:
            >>> documents = reference_world().draw(2, np.random.default_rng(0), longest=32)
            >>> [len(document.tokens) <= 32 for document in documents]
            [True, True]
        """
        counts = generator.multinomial(count, list(self.weights.values()))
        drawn: list[Document] = []
        for name, number in zip(self.weights, counts, strict=True):
            drawn += self.kinds[name].draw(int(number), longest, generator)
        return [drawn[index] for index in generator.permutation(count)]


class WorldReading:
    """One document of unknown kind, read token by token, with the exact posterior over kinds."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._started = False
        self._joint = {name: float(np.log(weight)) for name, weight in world.weights.items()}
        self._readings = {name: Reading(kind) for name, kind in world.kinds.items()}

    def copy(self) -> WorldReading:
        """An independent reading in the same state."""
        other = copied(self)
        # ``_joint`` may be shared: it is replaced as a whole and never changed in place.
        other._readings = {name: reading.copy() for name, reading in self._readings.items()}
        return other

    def log_probs(self) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next token | read so far); all -inf if nothing of the world begins so."""
        size = self._world.vocabulary.size
        if not self._started:
            result = np.full(size, NEVER)
            result[BOS_ID] = 0.0
            return result
        if not self._joint:
            return np.full(size, NEVER)
        if len(self._joint) == 1:
            return self._readings[next(iter(self._joint))].log_probs()
        total = np.logaddexp.reduce(list(self._joint.values()))
        rows = [self._readings[name].log_probs() + (joint - total) for name, joint in self._joint.items()]
        return np.logaddexp.reduce(rows, axis=0)

    def advance(self, token: int) -> float:
        """Reads one token and returns its log-probability; -inf if it cannot come here."""
        if not self._started:
            self._started = True
            if token != BOS_ID:
                self._joint, self._readings = {}, {}
            return 0.0 if token == BOS_ID else NEVER
        if not self._joint:
            return NEVER
        if len(self._joint) == 1:
            ((name, value),) = self._joint.items()
            gain = self._readings[name].advance(token)
            self._joint = {name: value + gain} if gain > NEVER else {}
            return gain
        # log p(token | before) = log sum over kinds of p(kind, before, token) - the same sum without the token
        before = np.logaddexp.reduce(list(self._joint.values()))
        joint = {name: self._joint[name] + self._readings[name].advance(token) for name in self._joint}
        # A kind of probability 0 is dropped for good: no later token can bring it back.
        self._joint = {name: value for name, value in joint.items() if value > NEVER}
        self._readings = {name: self._readings[name] for name in self._joint}
        return float(np.logaddexp.reduce(list(self._joint.values())) - before) if self._joint else NEVER

    @property
    def posterior(self) -> dict[tuple[str, str], float]:
        """p(kind and hidden value | read so far)."""
        total = np.logaddexp.reduce(list(self._joint.values())) if self._joint else 0.0
        return {
            (name, latent): float(np.exp(joint - total + log_share))
            for name, joint in self._joint.items()
            for latent, log_share in zip(
                self._world.kinds[name].latents, self._readings[name].items.log_posterior, strict=True
            )
        }


_WORLDS: dict[str, World] = {}
"""Worlds that were made, by their settings: nothing changes a world, and its grammars take long to make."""


def reference_world() -> World:
    """The world the reference model is trained on."""
    return World.of(WorldSettings())
