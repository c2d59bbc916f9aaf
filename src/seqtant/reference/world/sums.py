"""Sums: compound problems whose answer is written after its steps, or at once.

``add first three second four third nine .`` is solved in steps, ``first three . second four makes seven . third nine
makes six . answer six .`` (sums are modulo ten), or directly, ``answer six .``. Each step reads two earlier words.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from seqtant.reference.world.documents import NEVER, PADDING, Items, Kind, Vocabulary

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
