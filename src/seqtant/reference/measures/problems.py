"""Whether a model solves compound problems: step by step on its own words, and at once; by number of digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from seqtant.findings import Estimate
from seqtant.lm.generation import Sampling, generate
from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import next_token_log_probs
from seqtant.reference.world.sums import Problem
from seqtant.reference.world.world import World
from seqtant.stats.intervals import share


@dataclass(frozen=True)
class Solved:
    """Which problems of one length are solved, by greedy decoding."""

    own_steps: Bool[np.ndarray, " problems"]
    """Whether the answer after the model's own steps is right."""
    word_for_word: Bool[np.ndarray, " problems"]
    """Whether the whole solution is right."""
    direct: Bool[np.ndarray, " problems"]
    """Whether the answer without steps is right."""

    @property
    def step_by_step(self) -> Estimate:
        """Share of right answers after the model's own steps."""
        return _share(self.own_steps)

    @property
    def chain(self) -> Estimate:
        """Share of solutions right word for word."""
        return _share(self.word_for_word)

    @property
    def at_once(self) -> Estimate:
        """Share of right answers without steps."""
        return _share(self.direct)


def solve(model: CausalLM, world: World, problems: Sequence[Problem]) -> Solved:
    """Solves problems both ways.

    Args:
        model: A model over the world's vocabulary.
        world: The world.
        problems: Problems of one length.
    """
    first = problems[0].settings.ordinals[0]
    openings = [world.encode(f"sums : {problem.question}") for problem in problems]
    starts = [[*opening, world.vocabulary.id(first)] for opening in openings]
    longest = max(len(problem.text(steps=True).split()) for problem in problems)
    made = generate(model, starts, max_tokens=longest, sampling=Sampling(temperature=0))
    words = [f"{first} {world.words(line.tokens)}" for line in made]
    solutions = [problem.text(steps=True).removeprefix(f"{problem.question} ") for problem in problems]
    asked = [[*opening, world.vocabulary.id("answer")] for opening in openings]
    direct = next_token_log_probs(model, asked)
    answers = [problem.answer for problem in problems]
    return Solved(
        own_steps=np.array([_answer(text) == right for text, right in zip(words, answers, strict=True)]),
        word_for_word=np.array([text.startswith(right) for text, right in zip(words, solutions, strict=True)]),
        direct=np.array(
            [world.words(int(row[-1].argmax())) == right for row, right in zip(direct, answers, strict=True)]
        ),
    )


def _share(right: Bool[np.ndarray, " problems"]) -> Estimate:
    return share(int(right.sum()), len(right))


def _answer(text: str) -> str:
    """The word after the first ``answer``; empty if there is none."""
    return text.partition(" answer ")[2].partition(" ")[0]
