"""What the world asks: facts (who lives where, likes what) and sums, each answer right with known probability.

Facts are told, asked, joined in twos. Sums are compound problems whose answer is written after its steps, or at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from seqtant.reference.world.documents import NEVER, PADDING, Items, Kind, Vocabulary, Weighted

CITIES = {
    "paris": "france",
    "lyon": "france",
    "rome": "italy",
    "milan": "italy",
    "madrid": "spain",
    "seville": "spain",
    "berlin": "germany",
    "munich": "germany",
}
CAPITALS = {"france": "paris", "italy": "rome", "spain": "madrid", "germany": "berlin"}
PEOPLE = {
    "tom": ("paris", "apples", "cat", "baker"),
    "anna": ("milan", "soup", "horse", "doctor"),
    "ben": ("seville", "nuts", "dog", "singer"),
    "clara": ("berlin", "pears", "bird", "farmer"),
    "david": ("lyon", "cheese", "fish", "teacher"),
    "emma": ("rome", "rice", "rabbit", "painter"),
    "felix": ("munich", "bread", "cat", "tailor"),
    "grace": ("madrid", "plums", "bird", "driver"),
    "henry": ("rome", "pears", "dog", "farmer"),
    "ida": ("berlin", "apples", "rabbit", "singer"),
    "jack": ("milan", "bread", "fish", "driver"),
    "kate": ("paris", "cheese", "horse", "painter"),
    "leo": ("madrid", "nuts", "cat", "teacher"),
    "mary": ("munich", "rice", "bird", "baker"),
    "nick": ("lyon", "plums", "horse", "tailor"),
    "olga": ("seville", "soup", "dog", "doctor"),
}
"""City, food, pet and job of every person."""


@dataclass(frozen=True)
class Relation:
    """One thing that can be asked."""

    name: str
    """Short name."""
    question: str
    """The question, with ``{}`` for the subject."""
    statement: str
    """The same told, with ``{}`` for subject and answer; empty where it is only asked."""
    ceiling: float
    """Probability that the world tells it right; the rest is spread evenly over the other answers."""


RELATIONS = {
    relation.name: relation
    for relation in (
        Relation("lives", "where does {} live ?", "{} lives in {} .", 0.90),
        Relation("likes", "what does {} like ?", "{} likes {} .", 0.80),
        Relation("pet", "which pet does {} have ?", "{} has a {} .", 0.85),
        Relation("job", "what is the job of {} ?", "{} is a {} .", 0.80),
        Relation("land", "in which land is {} ?", "{} is in {} .", 0.95),
        Relation("capital", "what is the capital of {} ?", "the capital of {} is {} .", 0.95),
        Relation("homeland", "in which land does {} live ?", "", 0.85),
    )
}


@dataclass(frozen=True)
class Fact:
    """One fact: a question about a subject, its right answer, and all answers the world may give."""

    relation: Relation
    """What is asked."""
    subject: str
    """About whom or what."""
    answer: str
    """The right answer."""
    answers: tuple[str, ...]
    """All answers the world may give, the right one included."""

    @property
    def question(self) -> str:
        """The question as words."""
        return self.relation.question.format(self.subject)

    def probability(self, answer: str) -> float:
        """Probability that the world gives this answer."""
        if answer == self.answer:
            return self.relation.ceiling
        return (1 - self.relation.ceiling) / (len(self.answers) - 1)


@dataclass(frozen=True)
class FactSettings:
    """Which facts there are and how books tell them."""

    people: tuple[str, ...] = tuple(PEOPLE)
    """Who the facts are about."""
    never_asked: tuple[str, ...] = ("mary", "nick", "olga", "leo")
    """People whose homeland no document ever asks for, though it follows from two facts that are told."""
    told: float = 0.5
    """Share of statements among the sentences of a book; the rest are questions."""
    end: float = 1 / 20
    """Probability that a book ends after a sentence."""

    def facts(self) -> tuple[Fact, ...]:
        """Facts that are both told and asked."""
        columns = [tuple(dict.fromkeys(PEOPLE[person][index] for person in self.people)) for index in range(4)]
        cities = columns[0]
        lands = tuple(dict.fromkeys(CITIES[city] for city in cities))
        about_people = [
            Fact(RELATIONS[name], person, PEOPLE[person][index], columns[index])
            for index, name in enumerate(("lives", "likes", "pet", "job"))
            for person in self.people
        ]
        about_cities = [Fact(RELATIONS["land"], city, CITIES[city], lands) for city in cities]
        about_lands = [
            Fact(RELATIONS["capital"], land, CAPITALS[land], cities) for land in lands if CAPITALS[land] in cities
        ]
        return (*about_people, *about_cities, *about_lands)

    def compositions(self, *, asked: bool = True) -> tuple[Fact, ...]:
        """Questions that join two facts: the land of the city a person lives in.

        Args:
            asked: Those the world asks; False for those it never does.
        """
        lands = tuple(dict.fromkeys(CITIES[PEOPLE[person][0]] for person in self.people))
        return tuple(
            Fact(RELATIONS["homeland"], person, CITIES[PEOPLE[person][0]], lands)
            for person in self.people
            if (person not in self.never_asked) == asked
        )

    def questions(self, weight: float) -> Iterator[tuple[str, float]]:
        """All questions with their answers, sharing a weight: every question alike."""
        asked = (*self.facts(), *self.compositions())
        for fact in asked:
            for answer in fact.answers:
                yield f"{fact.question} {answer} .", weight / len(asked) * fact.probability(answer)

    def sentences(self) -> list[Weighted]:
        """The sentences of a book: statements of facts, every fact alike, and questions."""
        facts = self.facts()
        statements = [
            (fact.relation.statement.format(fact.subject, answer), self.told / len(facts) * fact.probability(answer))
            for fact in facts
            for answer in fact.answers
        ]
        pairs = [*statements, *self.questions(1 - self.told)]
        return [Weighted(text, (probability,)) for text, probability in pairs]


DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True)
class SumSettings:
    """How long problems are and how they are solved."""

    digits: tuple[str, ...] = DIGITS
    """Words of the digits; sums are taken modulo their number."""
    ordinals: tuple[str, ...] = ORDINALS
    """Names of the places; their number is the length of the longest problem."""
    shortest: int = 2
    """Fewest digits of a problem; all lengths up to the longest are alike."""
    steps: float = 0.7
    """Share of problems solved step by step; the rest are answered at once."""
    end: float = 1 / 5
    """Probability that a document ends after a problem."""


@dataclass(frozen=True)
class Problem:
    """One problem and its solution in words."""

    digits: tuple[int, ...]
    """The digits to add."""
    settings: SumSettings = field(default_factory=SumSettings)

    @property
    def totals(self) -> tuple[int, ...]:
        """The running total after each digit."""
        return tuple(int(total) for total in np.cumsum(self.digits) % len(self.settings.digits))

    @property
    def question(self) -> str:
        """The problem: ``add first three second four .``."""
        words = self.settings.digits
        listed = (f"{place} {words[digit]}" for place, digit in zip(self.settings.ordinals, self.digits, strict=False))
        return f"add {' '.join(listed)} ."

    @property
    def steps(self) -> tuple[str, ...]:
        """One sentence per step; every one after the first reads its digit and the total before it."""
        words, places = self.settings.digits, self.settings.ordinals
        rest = zip(places[1:], self.digits[1:], self.totals[1:], strict=False)
        return (
            f"{places[0]} {words[self.digits[0]]} .",
            *(f"{place} {words[digit]} makes {words[total]} ." for place, digit, total in rest),
        )

    @property
    def answer(self) -> str:
        """The word of the answer."""
        return self.settings.digits[self.totals[-1]]

    def text(self, *, steps: bool) -> str:
        """The whole item, solved step by step or at once."""
        return " ".join((self.question, *(self.steps if steps else ()), f"answer {self.answer} ."))


class SumKind(Kind):
    """Problems as a kind of document.

    Args:
        settings: How long problems are and how they are solved.
        vocabulary: Words of the world.
        eased: Draw each digit as the smaller of two. With all digits alike a summand alone says nothing about the sum,
            and gradients find the sums late or never.
    """

    name = "sums"

    def __init__(self, settings: SumSettings, vocabulary: Vocabulary, *, eased: bool = False) -> None:
        self._draws = 2 if eased else 1
        self.settings, self.vocabulary, self.end = settings, vocabulary, settings.end
        self.digits = np.array([vocabulary.id(word) for word in settings.digits])
        self.ordinals = np.array([vocabulary.id(word) for word in settings.ordinals])
        self.add, self.stop, self.answer, self.makes = vocabulary.encode("add . answer makes")
        self.shortest_item = 5 + 2 * settings.shortest  # answered at once

    def eased(self) -> SumKind:
        """The same kind with small digits more often; only what is drawn differs."""
        return SumKind(self.settings, self.vocabulary, eased=True)

    def items(self) -> SumItems:
        """A reader at the start of the first problem."""
        return SumItems(self)

    def draw_items(
        self,
        latents: Int[np.ndarray, " documents"],
        counts: Int[np.ndarray, " documents"],
        generator: np.random.Generator,
    ) -> Int[np.ndarray, "items longest"]:
        """Draws the problems of many documents, one after the other."""
        items, longest = int(counts.sum()), len(self.ordinals)
        lengths = generator.integers(self.settings.shortest, longest + 1, size=items)
        stepwise = generator.random(items) < self.settings.steps
        # The minimum over the draws: one draw leaves the digits uniform, two make small ones likelier.
        values = generator.integers(len(self.digits), size=(self._draws, items, longest)).min(axis=0)
        totals = np.cumsum(values, axis=1) % len(self.digits)
        used = np.arange(longest) < lengths[:, None]
        # [items, longest, 2]: place and digit of each summand
        listed = np.stack([np.broadcast_to(self.ordinals, values.shape), self.digits[values]], axis=2)
        stops = np.full((items, longest), self.stop)
        makes = np.full((items, longest), self.makes)
        worked = np.stack([listed[..., 0], listed[..., 1], makes, self.digits[totals], stops], axis=2)
        worked[:, 0, 2:4] = PADDING  # the first step has nothing to add yet: no "makes" and no total
        listed = np.where(used[..., None], listed, PADDING).reshape(items, -1)
        worked = np.where((used & stepwise[:, None])[..., None], worked, PADDING).reshape(items, -1)
        last = self.digits[totals[np.arange(items), lengths - 1]]
        column = np.ones((items, 1), dtype=np.int64)
        parts = [self.add * column, listed, self.stop * column, worked, self.answer * column, last[:, None]]
        return np.concatenate([*parts, self.stop * column], axis=1)


class SumItems(Items):
    """Reads problems: only their length, their digits and the way they are solved are random."""

    def __init__(self, kind: SumKind) -> None:
        self._kind = kind
        self._digits: tuple[int, ...] = ()
        self._stage = "start"
        self._rest: tuple[int, ...] = ()

    def _choices(self) -> dict[int, float]:
        """Probability of every possible next token."""
        kind, count = self._kind, len(self._digits)
        longest, shortest = len(kind.ordinals), kind.settings.shortest
        if self._stage == "start":
            return {kind.add: 1.0}
        if self._stage == "digit":
            return {int(token): 1 / len(kind.digits) for token in kind.digits}
        if self._stage == "solve":
            return {int(kind.ordinals[0]): kind.settings.steps, kind.answer: 1 - kind.settings.steps}
        if self._stage == "rest":
            return {self._rest[0]: 1.0}
        # All lengths from the shortest to the longest are alike: of those left, this one has an equal share.
        stop = 0.0 if count < shortest else 1 / (longest - count + 1)
        choices = {} if count == longest else {int(kind.ordinals[count]): 1 - stop}
        return choices | ({kind.stop: stop} if stop else {})

    def log_probs(self, size: int) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next word | problem so far)."""
        result = np.full(size, NEVER)
        choices = self._choices()
        result[list(choices)] = np.log(list(choices.values()))
        return result

    def advance(self, token: int) -> float:
        """Reads one word and returns its log-probability."""
        probability = self._choices().get(token)
        if probability is None:
            return NEVER
        kind = self._kind
        if self._stage == "start":
            self._stage, self._digits = "place", ()
        elif self._stage == "place":
            self._stage = "solve" if token == kind.stop else "digit"
        elif self._stage == "digit":
            self._digits += (int(np.flatnonzero(kind.digits == token)[0]),)
            self._stage = "place"
        else:
            if self._stage == "solve":
                # From here on every word is determined by the problem and the way it is solved.
                problem = Problem(self._digits, kind.settings)
                text = problem.text(steps=token != kind.answer).removeprefix(problem.question)
                self._rest = tuple(kind.vocabulary.encode(text))
            self._rest = self._rest[1:]
            self._stage = "rest" if self._rest else "start"
        self.between = self._stage == "start"
        return float(np.log(probability))
