"""Stories: things lie in places that differ from story to story, are told and asked; the reader must remember.

Where each thing lies is hidden and drawn anew for every story. Telling and answering name the right place with a known
chance, so that the exact posterior of every thing's place is a count of what was said.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from seqtant.reference.world.documents import NEVER, Items, Kind
from seqtant.reference.world.grammar import PADDING
from seqtant.reference.world.vocabulary import UNKNOWN, UNKNOWN_ID, Vocabulary

THINGS = ("key", "ring", "coin", "hat", "ball", "cup", "pen", "map")
PLACES = ("box", "drawer", "bag", "basket", "pocket", "barrel", "jar", "chest")
TOLD = "the {} is in the {} ."
ASKED = "where is the {} ? in the {} ."


@dataclass(frozen=True)
class StorySettings:
    """What may lie where."""

    things: tuple[str, ...] = THINGS
    """Things that lie somewhere."""
    places: tuple[str, ...] = PLACES
    """Where they may lie, all alike."""
    told: float = 0.5
    """Share of statements among the sentences; the rest are questions."""
    faithful: float = 0.95
    """Probability that a sentence names the right place; the rest is spread evenly over the other places."""
    end: float = 1 / 20
    """Probability that a story ends after a sentence."""


@dataclass(frozen=True)
class Story:
    """Documents about where things lie."""

    settings: StorySettings = field(default_factory=StorySettings)

    def texts(self) -> list[str]:
        """Texts that hold every word of such documents."""
        return ["story :", TOLD.format("", ""), ASKED.format("", ""), *self.settings.things, *self.settings.places]

    def kind(self, vocabulary: Vocabulary) -> StoryKind:
        """The kind of document."""
        return StoryKind(self.settings, vocabulary)


class StoryKind(Kind):
    """Stories as a kind of document.

    Args:
        settings: What may lie where.
        vocabulary: Words of the world.
    """

    name = "story"

    def __init__(self, settings: StorySettings, vocabulary: Vocabulary) -> None:
        self.settings, self.vocabulary, self.end = settings, vocabulary, settings.end
        self.things = np.array([vocabulary.id(word) for word in settings.things])
        self.places = np.array([vocabulary.id(word) for word in settings.places])
        self.forms = tuple(tuple(vocabulary.encode(form.replace("{}", UNKNOWN))) for form in (TOLD, ASKED))
        self.log_shares = np.log([settings.told, 1 - settings.told])

    def items(self) -> StoryItems:
        """A reader that knows nothing of any place yet."""
        return StoryItems(self)

    def draw_items(
        self,
        latents: Int[np.ndarray, " documents"],
        counts: Int[np.ndarray, " documents"],
        generator: np.random.Generator,
    ) -> Int[np.ndarray, "items longest"]:
        """Draws the sentences of many stories, one after the other."""
        truth = generator.integers(len(self.places), size=(len(counts), len(self.things)))
        story = np.repeat(np.arange(len(counts)), counts)
        thing = generator.integers(len(self.things), size=len(story))
        shift = generator.integers(1, len(self.places), size=len(story))
        wrong = generator.random(len(story)) >= self.settings.faithful
        place = (truth[story, thing] + np.where(wrong, shift, 0)) % len(self.places)
        form = (generator.random(len(story)) >= self.settings.told).astype(np.int64)
        rows = _table(self.forms)[form]
        slots = np.array([_slots(words) for words in self.forms])[form]
        order = np.arange(len(rows))
        rows[order, slots[:, 0]] = self.things[thing]
        rows[order, slots[:, 1]] = self.places[place]
        return rows

    @property
    def shortest_item(self) -> int:
        """Number of tokens of a sentence."""
        return min(map(len, self.forms))


def _table(forms: tuple[tuple[int, ...], ...]) -> Int[np.ndarray, "forms longest"]:
    longest = max(map(len, forms))
    return np.array([form + (PADDING,) * (longest - len(form)) for form in forms])


def _slots(form: tuple[int, ...]) -> tuple[int, int]:
    first, second = (index for index, token in enumerate(form) if token == UNKNOWN_ID)
    return first, second


class StoryItems(Items):
    """Reads a story and keeps, for every thing, the exact log-likelihood of every place."""

    def __init__(self, kind: StoryKind) -> None:
        self._kind = kind
        self._scores = np.zeros((len(kind.things), len(kind.places)))
        self._form = -1
        self._position = 0
        self._thing = -1

    @property
    def between(self) -> bool:
        """Whether a sentence has just ended."""
        return self._position == 0

    def log_probs(self, size: int) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next word | story so far)."""
        kind = self._kind
        result = np.full(size, NEVER)
        if self._position == 0:
            result[[form[0] for form in kind.forms]] = kind.log_shares
        elif self._here == "thing":
            result[kind.things] = -np.log(len(kind.things))
        elif self._here == "place":
            result[kind.places] = self.log_places(self._thing)
        else:
            result[kind.forms[self._form][self._position]] = 0.0
        return result

    def log_places(self, thing: int) -> Float[np.ndarray, " places"]:
        """Log p(the next sentence about a thing names this place)."""
        scores = self._scores[thing]
        posterior = np.exp(scores - np.logaddexp.reduce(scores))
        faithful = self._kind.settings.faithful
        stray = (1 - faithful) / (len(posterior) - 1)
        return np.log(stray + (faithful - stray) * posterior)

    def advance(self, token: int) -> float:
        """Reads one word and returns its log-probability."""
        kind = self._kind
        if self._position == 0:
            starts = [form[0] for form in kind.forms]
            if token not in starts:
                return NEVER
            self._form, self._position = starts.index(token), 1
            return float(kind.log_shares[self._form])
        surprise = self._read(token)
        self._position = (self._position + 1) % len(kind.forms[self._form])
        return surprise

    def _read(self, token: int) -> float:
        kind = self._kind
        if self._here == "thing":
            found = np.flatnonzero(kind.things == token)
            self._thing = int(found[0]) if len(found) else -1
            return float(-np.log(len(kind.things))) if len(found) else NEVER
        if self._here == "place":
            found = np.flatnonzero(kind.places == token)
            if not len(found):
                return NEVER
            before = float(self.log_places(self._thing)[found[0]])
            self._hear(self._thing, int(found[0]))
            return before
        return 0.0 if token == kind.forms[self._form][self._position] else NEVER

    def _hear(self, thing: int, place: int) -> None:
        faithful = self._kind.settings.faithful
        stray = (1 - faithful) / (self._scores.shape[1] - 1)
        self._scores[thing] += np.log(stray)
        self._scores[thing, place] += np.log(faithful) - np.log(stray)

    @property
    def _here(self) -> str:
        first, second = _slots(self._kind.forms[self._form])
        return {first: "thing", second: "place"}.get(self._position, "word")

    def copy(self) -> StoryItems:
        """An independent reader in the same state."""
        other = StoryItems(self._kind)
        other._scores = self._scores.copy()
        other._form, other._position, other._thing = self._form, self._position, self._thing
        return other
