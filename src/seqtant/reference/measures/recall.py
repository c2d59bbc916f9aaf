"""Whether a model recalls facts and labels inputs: its likeliest answer, and its probability beside the exact one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float

from seqtant.findings import Estimate
from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import next_token_log_probs
from seqtant.reference.prompts import Question
from seqtant.reference.world.world import World
from seqtant.stats.intervals import share


@dataclass(frozen=True)
class Recall:
    """Answers to some questions."""

    accuracy: Estimate
    """Share of questions whose likeliest answer (among all tokens) is the right one."""
    exact_accuracy: Estimate
    """The same for the world itself."""
    probability: float
    """Mean probability of the right answer."""
    exact_probability: float
    """The same for the world itself."""
    divergence: float
    """Mean divergence KL(world || model) over the answers, each distribution renormalized to them; in nats."""


def answer(model: CausalLM, world: World, questions: Sequence[Question]) -> Recall:
    """Asks a model some questions.

    Args:
        model: A model over the world's vocabulary.
        world: The world.
        questions: Prompts with their answers and exact probabilities.
    """
    scores = next_token_log_probs(model, [world.encode(question.prompt) for question in questions])
    hits = exact_hits = 0
    probability = exact_probability = divergence = 0.0
    for question, row in zip(questions, scores, strict=True):
        ids = torch.tensor([world.vocabulary.id(answer) for answer in question.answers])
        right = question.answers.index(question.right)
        truth = torch.tensor(question.probabilities, dtype=torch.float64)
        hits += int(row[-1].argmax()) == int(ids[right])
        exact_hits += int(truth.argmax()) == right
        probability += float(row[-1, ids[right]].exp())
        exact_probability += float(truth[right])
        divergence += _divergence(truth, row[-1, ids].double())
    count = len(questions)
    return Recall(
        accuracy=share(hits, count),
        exact_accuracy=share(exact_hits, count),
        probability=probability / count,
        exact_probability=exact_probability / count,
        divergence=divergence / count,
    )


def _divergence(truth: Float[torch.Tensor, " answers"], scores: Float[torch.Tensor, " answers"]) -> float:
    truth = truth / truth.sum()
    return float((truth * (truth.log() - scores.log_softmax(dim=0))).sum())
