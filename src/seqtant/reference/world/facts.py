"""Facts of the world: who lives where, likes what; told, asked, joined in twos, each right with known probability."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seqtant.reference.world.sentences import Weighted

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
