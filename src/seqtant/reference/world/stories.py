"""What the world hides: places of things in stories, the task of a game, the persona of a talk.

A game shows shots of one of several labeling tasks over shared inputs. A persona shows in the words it chooses, in its
replies and its subjects. Where each thing of a story lies is drawn anew for every story. Telling and answering name the
right place with a known probability, so that the exact posterior of every thing's place is a count of what was said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np
from jaxtyping import Float, Int

from seqtant.reference.world.documents import NEVER, PADDING, UNKNOWN, UNKNOWN_ID, Items, Kind, Vocabulary, Weighted
from seqtant.reference.world.facts import FactSettings

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
        # A shift from 1 to places - 1, modulo their number, is uniform over the other places.
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
        # sum over true places q of p(q) (faithful if q is named, else stray) = stray + (faithful - stray) p(named).
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


SIZES = ("small", "big")
COLORS = ("red", "blue", "green", "black")
PETS = ("cat", "dog", "rabbit")
BEASTS = ("wolf", "fox", "bear")
Input = tuple[str, str, str]
"""Size, color, animal."""


@dataclass(frozen=True)
class LabelTask:
    """One labeling task: which label is right for which input, how noisy, and which inputs it prefers."""

    name: str
    """Name of the task."""
    weight: float
    """Probability that a game plays this task."""
    rule: str
    """What decides the label: ``size``, ``color``, ``animal``; or, answered with yes or no, ``big?``, ``small?``,
    ``dark?``, ``pet?``, ``beast?``."""
    flip: float
    """Probability of another label of the same task instead of the right one."""
    animals: tuple[float, ...] = ()
    """Weight of each animal in the inputs; empty means all alike. Such a task shows in its inputs already."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels the task uses."""
        named = {"size": SIZES, "color": COLORS, "animal": ("pet", "beast")}
        return named.get(self.rule, ("yes", "no"))

    def label(self, shown: Input) -> str:
        """The right label of an input."""
        size, color, animal = shown
        named = {"size": size, "color": color, "animal": "pet" if animal in PETS else "beast"}
        if self.rule in named:
            return named[self.rule]
        holds = {
            "big?": size == "big",
            "small?": size == "small",
            "dark?": color in {"blue", "black"},
            "pet?": animal in PETS,
            "beast?": animal in BEASTS,
        }
        return "yes" if holds[self.rule] else "no"


TASKS = (
    LabelTask("size", 0.16, "size", flip=0.05),
    LabelTask("color", 0.14, "color", flip=0.06),
    LabelTask("animal", 0.14, "animal", flip=0.05),
    LabelTask("is_big", 0.20, "big?", flip=0.05),
    LabelTask("is_small", 0.05, "small?", flip=0.05),
    LabelTask("is_dark", 0.14, "dark?", flip=0.08),
    LabelTask("is_pet", 0.12, "pet?", flip=0.10, animals=(3, 3, 3, 1, 1, 1)),
    LabelTask("is_beast", 0.05, "beast?", flip=0.10, animals=(1, 1, 1, 3, 3, 3)),
)


@dataclass(frozen=True)
class GameSettings:
    """Which tasks there are."""

    tasks: tuple[LabelTask, ...] = TASKS
    """The tasks, with their probabilities."""
    sizes: tuple[str, ...] = SIZES
    """First word of an input."""
    colors: tuple[str, ...] = COLORS
    """Second word of an input."""
    animals: tuple[str, ...] = PETS + BEASTS
    """Third word of an input."""
    stray: float = 0.02
    """Probability of a label drawn from all labels of all tasks: it keeps every label possible in every task."""
    end: float = 1 / 28
    """Probability that a game ends after a shot."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All inputs."""
        return tuple(product(self.sizes, self.colors, self.animals))

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels of all tasks."""
        return tuple(dict.fromkeys(label for task in self.tasks for label in task.labels))

    def input_probability(self, task: LabelTask, shown: Input) -> float:
        """p(input | task)."""
        weights = dict(zip(self.animals, task.animals or (1,) * len(self.animals), strict=True))
        return weights[shown[2]] / sum(weights.values()) / (len(self.sizes) * len(self.colors))

    def label_probability(self, task: LabelTask, shown: Input, label: str) -> float:
        """p(label | input, task)."""
        stray = self.stray / len(self.labels)
        if label not in task.labels:
            return stray
        right = label == task.label(shown)
        return stray + (1 - self.stray) * (1 - task.flip if right else task.flip / (len(task.labels) - 1))

    def sentences(self) -> list[Weighted]:
        """The shots with their probability under each task."""
        return [
            Weighted(
                f"{' '.join(shown)} : {label} .",
                tuple(
                    self.input_probability(task, shown) * self.label_probability(task, shown, label)
                    for task in self.tasks
                ),
            )
            for shown, label in product(self.inputs, self.labels)
        ]


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
