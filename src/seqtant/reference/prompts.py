"""Prompts with known truth, for every instrument: questions of fact, moods, shots, problems, words of a persona.

Prompts are words separated by spaces, without the beginning-of-sequence token; the tokenizer (and ``World.encode``)
puts it in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seqtant.errors import InputError
from seqtant.reference.world.documents import SentenceKind
from seqtant.reference.world.facts import Fact, Problem
from seqtant.reference.world.stories import MOOD_QUESTION, LabelTask
from seqtant.reference.world.world import World, WorldSettings


@dataclass(frozen=True)
class Question:
    """A prompt, what may be answered to it in one word, and how likely each answer truly is."""

    prompt: str
    """Everything before the answer."""
    answers: tuple[str, ...]
    """All answers of one word that count."""
    probabilities: tuple[float, ...]
    """Exact probability of each given the prompt."""
    right: str
    """The right one."""
    topic: str
    """What is asked: a relation, ``mood``, or a task."""

    @property
    def ceiling(self) -> float:
        """Exact probability of the right answer: the most a perfectly calibrated model can give it."""
        return self.probabilities[self.answers.index(self.right)]


class Prompts:
    """Draws prompts from the reference world.

    Args:
        settings: What the world is made of.

    Example:
        >>> prompts = Prompts()
        >>> question = prompts.facts()[0]
        >>> question.prompt, question.right, round(question.ceiling, 3)
        ('book : where does tom live ?', 'paris', 0.9)
        >>> prompts.problems(3, 1, np.random.default_rng(0))[0].question
        'add first eight second six third five .'
    """

    def __init__(self, settings: WorldSettings | None = None) -> None:
        self.settings = settings or WorldSettings()

    @cached_property
    def world(self) -> World:
        """The world the prompts come from."""
        return World.of(self.settings)

    def persona(self, name: str, sentences: int, generator: np.random.Generator, *, remarks_only: bool = False) -> str:
        """The beginning of a talk: some sentences of one persona.

        Args:
            name: Name of the persona.
            sentences: Number of sentences.
            generator: Random generator.
            remarks_only: Whether to leave out questions of mood and fact.
        """
        kind, latent = self._hidden("talk", name)
        said: list[str] = []
        while len(said) < sentences:
            row = kind.grammar.draw(np.array([latent]), generator)[0]
            sentence = self.world.words(row[row >= 0].tolist())
            if not (remarks_only and "?" in sentence):
                said.append(sentence)
        return " ".join(["talk :", *said])

    def tone_pairs(self, count: int, sentences: int, generator: np.random.Generator) -> list[tuple[str, str]]:
        """Openings of talks in two tones, all else alike: what a steering vector of tone is read from.

        Args:
            count: Number of pairs.
            sentences: Sentences of each opening.
            generator: Random generator.

        Returns:
            Pairs of a bright and a dark opening, word for word the same but for the words of the tone.

        Example:
            >>> Prompts().tone_pairs(1, 1, np.random.default_rng(0))
            [('talk : what a lovely road !', 'talk : what a bad road !')]
        """
        bright, dark = (self.settings.talk.tones[tone] for tone in ("bright", "dark"))
        pairs = [*zip(bright.adjectives, dark.adjectives, strict=True), *zip(bright.verbs, dark.verbs, strict=True)]
        to_bright, to_dark = {second: first for first, second in pairs}, dict(pairs)
        drawn = [
            self.persona(self.settings.talk.personas[0].name, sentences, generator, remarks_only=True).split()
            for _ in range(count)
        ]
        return [
            (
                " ".join(to_bright.get(word, word) for word in words),
                " ".join(to_dark.get(word, word) for word in words),
            )
            for words in drawn
        ]

    def mood(self, opening: str = "talk :") -> Question:
        """The question ``how are you ?`` after an opening; its topic is ``mood``, its right answer the likeliest."""
        prompt = f"{opening} {MOOD_QUESTION}"
        answers = tuple(reply for tone in self.settings.talk.tones.values() for reply in tone.replies)
        return self._question(prompt, answers, None, "mood")

    def bright_replies(self) -> tuple[str, ...]:
        """Replies to the question of mood that count as bright (+1)."""
        return self.settings.talk.tones["bright"].replies

    def dark_replies(self) -> tuple[str, ...]:
        """Replies to the question of mood that count as dark (-1)."""
        return self.settings.talk.tones["dark"].replies

    def facts(self, opening: str = "book :") -> list[Question]:
        """Every single fact as a question after an opening, e.g. after the words of a persona."""
        return [self._fact(fact, opening) for fact in self.settings.book.facts()]

    def compositions(self, opening: str = "book :") -> list[Question]:
        """Every question that joins two facts and is asked in the world."""
        return [self._fact(fact, opening) for fact in self.settings.book.compositions()]

    def unasked(self) -> list[Fact]:
        """Questions that join two facts and are never asked: what a model says to them it must have joined itself."""
        return list(self.settings.book.compositions(asked=False))

    def shots(self, task: str, count: int, generator: np.random.Generator) -> Question:
        """Some shots of a task and one more input to label."""
        kind, latent = self._hidden("game", task)
        latents = np.full(count + 1, latent)
        texts = [self.world.words(row[row >= 0].tolist()) for row in kind.grammar.draw(latents, generator)]
        shown, _, _ = texts[-1].partition(" : ")
        size, color, animal = shown.split()
        right = self.task(task).label((size, color, animal))
        prompt = " ".join(["game :", *texts[:-1], shown, ":"])
        return self._question(prompt, self.settings.game.labels, right, task)

    def task(self, name: str) -> LabelTask:
        """A labeling task by name."""
        return next(task for task in self.settings.game.tasks if task.name == name)

    def problems(self, digits: int, count: int, generator: np.random.Generator) -> list[Problem]:
        """Problems with a given number of digits.

        Raises:
            InputError: The world has no problems of that length.
        """
        settings = self.settings.sums
        if not settings.shortest <= digits <= len(settings.ordinals):
            raise InputError(f"problems have {settings.shortest} to {len(settings.ordinals)} digits, not {digits}")
        drawn = generator.integers(len(settings.digits), size=(count, digits))
        return [Problem(tuple(row), settings) for row in drawn.tolist()]

    def _fact(self, fact: Fact, opening: str) -> Question:
        probabilities = tuple(fact.probability(answer) for answer in fact.answers)
        return Question(f"{opening} {fact.question}", fact.answers, probabilities, fact.answer, fact.relation.name)

    def _question(self, prompt: str, answers: Sequence[str], right: str | None, topic: str) -> Question:
        log_probs = self.world.next_token_log_probs(self.world.encode(prompt))
        probabilities = np.exp(log_probs[[self.world.vocabulary.id(answer) for answer in answers]])
        best = answers[int(probabilities.argmax())]
        return Question(prompt, tuple(answers), tuple(probabilities.tolist()), right or best, topic)

    def _hidden(self, kind_name: str, name: str) -> tuple[SentenceKind, int]:
        """A kind of independent sentences and the number of one of its hidden values."""
        kind = self.world.kinds[kind_name]
        if not isinstance(kind, SentenceKind):
            raise InputError(f"'{kind_name}' is no kind of independent sentences")
        if name not in kind.latents:
            raise InputError(f"'{kind_name}' has no hidden value '{name}': known are {', '.join(kind.latents)}")
        return kind, kind.latents.index(name)
