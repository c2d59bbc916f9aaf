"""The reference model's compound problems: sums solved step by step on the model's own words, and at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import next_token_log_probs
from seqtant.reference.measures.problems import Solved, solve
from seqtant.reference.prompts import Prompts
from seqtant.reference.world.sums import Problem
from seqtant.reference.world.world import World
from seqtant.subtasks.training.scores import Scores


@dataclass(frozen=True)
class SolvedProblems:
    """Problems with one number of steps."""

    steps: int
    """Number of steps, one per digit but the first."""
    solved: Solved
    """Own steps and direct answers."""
    teacher: Scores
    """Totals and answer given the true words before them."""


def solve_problems(
    model: CausalLM, prompts: Prompts, count: int, generator: np.random.Generator
) -> list[SolvedProblems]:
    """Solves problems of every length the world has.

    Args:
        model: A model over the world's vocabulary.
        prompts: Where problems come from.
        count: Problems of each length.
        generator: Source of the problems.
    """
    settings = prompts.settings.sums
    found: list[SolvedProblems] = []
    for digits in range(settings.shortest, len(settings.ordinals) + 1):
        problems = prompts.problems(digits, count, generator)
        solved = solve(model, prompts.world, problems)
        found.append(SolvedProblems(digits - 1, solved, _teacher(model, prompts.world, problems)))
    return found


def _teacher(model: CausalLM, world: World, problems: list[Problem]) -> Scores:
    """Whether each total and the answer is the likeliest digit after the true words."""
    texts = [world.encode(f"sums : {problem.text(steps=True)}") for problem in problems]
    digits = np.array([world.vocabulary.id(word) for word in problems[0].settings.digits])
    marks = [world.vocabulary.id(word) for word in ("makes", "answer")]
    places = [[place for place, token in enumerate(text) if token in marks] for text in texts]
    found = next_token_log_probs(model, texts, places)
    chosen = np.stack([digits[np.asarray(rows)[:, digits].argmax(axis=1)] for rows in found])
    wanted = np.array([[text[place + 1] for place in own] for text, own in zip(texts, places, strict=True)])
    right = chosen == wanted
    return Scores(right, right[:, -1])
