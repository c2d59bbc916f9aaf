"""Whether a model solves compound problems: step by step on its own words, and at once; by number of digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqtant.findings import Estimate
from seqtant.lm.generation import generate
from seqtant.lm.interface import CausalLM
from seqtant.lm.sampling import Sampling
from seqtant.lm.scoring import next_token_log_probs
from seqtant.reference.sums import Problem
from seqtant.reference.world import World
from seqtant.stats.intervals import share


@dataclass(frozen=True)
class Solved:
    """Accuracy on problems of one length, greedy decoding."""

    step_by_step: Estimate
    """Right answers after the model's own steps."""
    chain: Estimate
    """Solutions right word for word."""
    at_once: Estimate
    """Right answers without steps."""


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
    count = len(problems)
    return Solved(
        step_by_step=share(
            sum(_answer(text) == problem.answer for text, problem in zip(words, problems, strict=True)), count
        ),
        chain=share(sum(text.startswith(right) for text, right in zip(words, solutions, strict=True)), count),
        at_once=share(
            sum(
                world.words(int(row[-1].argmax())) == problem.answer
                for row, problem in zip(direct, problems, strict=True)
            ),
            count,
        ),
    )


def _answer(text: str) -> str:
    """The word after the first ``answer``; empty if there is none."""
    return text.partition(" answer ")[2].partition(" ")[0]
