"""Stories: things lie in places that differ from story to story, are told and asked; the reader must remember.

Where each thing lies is hidden and drawn anew for every story. Telling and answering name the right place with a known
probability, so that the exact posterior of every thing's place is a count of what was said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from seqtant.reference.world.documents import NEVER, PADDING, UNKNOWN, UNKNOWN_ID, Items, Kind, Vocabulary

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
        # Positions of the thing and of the place in each form, where the unknown token stands.
        self.slots = [tuple(index for index, token in enumerate(form) if token == UNKNOWN_ID) for form in self.forms]
        self.shortest_item = min(map(len, self.forms))

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
        longest = max(map(len, self.forms))
        rows = np.array([words + (PADDING,) * (longest - len(words)) for words in self.forms])[form]
        slots = np.array(self.slots)[form]
        order = np.arange(len(rows))
        rows[order, slots[:, 0]] = self.things[thing]
        rows[order, slots[:, 1]] = self.places[place]
        return rows


class StoryItems(Items):
    """Reads a story and keeps, for every thing, the exact log-likelihood of every place."""

    def __init__(self, kind: StoryKind) -> None:
        self._kind = kind
        self._scores = np.zeros((len(kind.things), len(kind.places)))
        self._form = -1
        self._position = 0
        self._thing = -1

    def log_probs(self, size: int) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next word | story so far)."""
        kind = self._kind
        result = np.full(size, NEVER)
        if self._position == 0:
            result[[form[0] for form in kind.forms]] = kind.log_shares
        elif self._position == kind.slots[self._form][0]:
            result[kind.things] = -np.log(len(kind.things))
        elif self._position == kind.slots[self._form][1]:
            result[kind.places] = self._log_places()
        else:
            result[kind.forms[self._form][self._position]] = 0.0
        return result

    def _log_places(self) -> Float[np.ndarray, " places"]:
        """Log p(the sentence names this place | its thing, story so far)."""
        scores = self._scores[self._thing]
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
            self._form, self._position, self.between = starts.index(token), 1, False
            return float(kind.log_shares[self._form])
        thing_slot, place_slot = kind.slots[self._form]
        log_prob = 0.0 if token == kind.forms[self._form][self._position] else NEVER
        if self._position == thing_slot:
            found = np.flatnonzero(kind.things == token)
            self._thing = int(found[0]) if len(found) else -1
            log_prob = float(-np.log(len(kind.things))) if len(found) else NEVER
        elif self._position == place_slot:
            found = np.flatnonzero(kind.places == token)
            log_prob = NEVER
            if len(found):
                log_prob = float(self._log_places()[found[0]])
                # Bayes' rule: the named place has likelihood `faithful`, every other one `stray`.
                faithful = kind.settings.faithful
                stray = (1 - faithful) / (len(kind.places) - 1)
                self._scores = self._scores.copy()  # copies of this reader share the old array
                self._scores[self._thing] += np.log(stray)
                self._scores[self._thing, found[0]] += np.log(faithful) - np.log(stray)
        self._position = (self._position + 1) % len(kind.forms[self._form])
        self.between = self._position == 0
        return log_prob
