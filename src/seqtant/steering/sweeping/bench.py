"""Measures both sides of the trade-off for a model and a vector: scores at any strengths, gradients, usable range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float

from seqtant.errors import InputError
from seqtant.lm.hooks import edit_blocks
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import encode, encode_continuations, group_by_length, pad
from seqtant.lm.layers import continue_from, hidden_states, run_to_layer
from seqtant.progress import SILENT, Progress
from seqtant.steering.data.items import BehaviorPrompt, HelpfulnessItem, Passage, Question
from seqtant.steering.sweeping.sweep import ScoredPositions, ScoringPlan, plan_scoring, sweep_log_probs, target_scores
from seqtant.steering.vectors.vector import SteeringVector

LogProbs = Float[np.ndarray, "strengths continuations"]
"""Log-probabilities of the continuations of one item."""

FIRST_STRENGTH = 0.02
"""First strength of a search, in hidden norms."""
LARGEST_STRENGTH = 4.0
"""Largest strength of a search, in hidden norms."""


@dataclass(frozen=True)
class BehaviorScores:
    """Scores of behavior prompts at some strengths."""

    strengths: tuple[float, ...]
    """The strengths, in the order of the rows."""
    good: list[LogProbs]
    """Per prompt: log-probabilities of its good continuations."""
    bad: list[LogProbs]
    """Per prompt: log-probabilities of its bad ones."""

    @cached_property
    def alignment(self) -> Float[np.ndarray, "strengths prompts"]:
        """B = (P(good) - P(bad)) / (P(good) + P(bad)) of each prompt."""
        pairs = zip(self.good, self.bad, strict=True)
        log_odds = np.stack(
            [np.logaddexp.reduce(good, axis=1) - np.logaddexp.reduce(bad, axis=1) for good, bad in pairs], axis=1
        )
        # (e^x - 1) / (e^x + 1) = tanh(x / 2) for the log odds x: exact where both probabilities underflow.
        return np.tanh(log_odds / 2)

    @cached_property
    def mass(self) -> Float[np.ndarray, "strengths prompts"]:
        """P(good) + P(bad): the share of all replies that the score covers."""
        both = [np.concatenate(pair, axis=1) for pair in zip(self.good, self.bad, strict=True)]
        return np.exp(np.stack([np.logaddexp.reduce(scores, axis=1) for scores in both], axis=1))

    def pair_gaps(self, strength: float) -> tuple[Float[np.ndarray, " prompts"], Float[np.ndarray, " prompts"]]:
        """Worst and mean gap per unit of strength between changes of good and of bad log-probabilities.

        The worst gap over all pairs is the margin of Theorem 1; the mean, weighted by probability at strength 0,
        is what predicts the slope.
        """
        row, zero = self.strengths.index(strength), self.strengths.index(0.0)
        worst, mean = [], []
        for good, bad in zip(self.good, self.bad, strict=True):
            up, down = good[row] - good[zero], bad[row] - bad[zero]
            # At a negative strength the roles turn: the guarantee is an upper bound there.
            worst.append((up.min() - down.max() if strength > 0 else up.max() - down.min()) / strength)
            means = []
            for change, start in ((up, good[zero]), (down, bad[zero])):
                # First order: the log of a sum of probabilities changes by the mean change under these shares.
                weights = np.exp(start - np.logaddexp.reduce(start))
                means.append(float(weights @ change))
            mean.append((means[0] - means[1]) / strength)
        return np.array(worst), np.array(mean)


@dataclass(frozen=True)
class HelpfulnessScores:
    """Scores of helpfulness items at some strengths."""

    restricted: Float[np.ndarray, "strengths items"]
    """Probability of the right answer among the options; for texts one over the perplexity."""
    full: Float[np.ndarray, "strengths items"]
    """Probability of the right answer among all tokens; for texts one over the perplexity."""
    format_rate: Float[np.ndarray, "strengths items"]
    """Probability that the reply is one of the options at all; 1 for texts."""
    right: Float[np.ndarray, "strengths items"]
    """1 where the right answer is the likeliest option (accuracy); for texts one over the perplexity."""
    chance: float
    """Restricted score of a guess: the mean of one over the number of options; 0 for texts."""


@dataclass(frozen=True)
class BenchScores:
    """Scores of both sides at the same strengths."""

    strengths: tuple[float, ...]
    behavior: BehaviorScores
    helpfulness: HelpfulnessScores


Measure = Callable[[Sequence[float]], BenchScores]
"""Measures the same items at any strengths."""


def question_scores(log_probs: Sequence[LogProbs], answers: Sequence[int]) -> HelpfulnessScores:
    """Scores multiple choice from the log-probabilities of all options.

    Example:
        >>> scores = question_scores([np.log([[0.4, 0.1]])], [0])
        >>> scores.restricted.round(3).tolist(), scores.full.round(3).tolist(), scores.format_rate.round(3).tolist()
        ([[0.8]], [[0.4]], [[0.5]])
    """
    # All [strengths, items]; sums of probabilities stay in log space.
    total = np.stack([np.logaddexp.reduce(own, axis=1) for own in log_probs], axis=1)
    right = np.stack([own[:, answer] for own, answer in zip(log_probs, answers, strict=True)], axis=1)
    best = np.stack([own.argmax(axis=1) == answer for own, answer in zip(log_probs, answers, strict=True)], axis=1)
    chance = float(np.mean([1 / own.shape[1] for own in log_probs]))
    return HelpfulnessScores(np.exp(right - total), np.exp(right), np.exp(total), best.astype(np.float64), chance)


@dataclass(frozen=True)
class Bench:
    """A model and a vector with the items of both sides, to be scored at any strengths."""

    model: HuggingFaceLM
    vector: SteeringVector
    behavior: Sequence[BehaviorPrompt]
    helpfulness: Sequence[HelpfulnessItem]
    positions: str = "all"
    """Which tokens are steered."""
    tokens_per_batch: int = 4096
    """Most tokens in one forward pass."""
    progress: Progress = SILENT

    def __call__(self, strengths: Sequence[float]) -> BenchScores:
        """Scores both sides at some strengths."""
        return BenchScores(tuple(strengths), self.score_behavior(strengths), self.score_helpfulness(strengths))

    def score_behavior(self, strengths: Sequence[float]) -> BehaviorScores:
        """Scores the behavior prompts at some strengths."""
        log_probs = self.log_probs(self.behavior_plan, strengths, "behavior")
        # The plan holds the good continuations of a prompt first, then the bad ones.
        counts = [len(item.good) for item in self.behavior]
        return BehaviorScores(
            tuple(strengths),
            [own[:, :count] for own, count in zip(log_probs, counts, strict=True)],
            [own[:, count:] for own, count in zip(log_probs, counts, strict=True)],
        )

    def score_helpfulness(self, strengths: Sequence[float]) -> HelpfulnessScores:
        """Scores the helpfulness items at some strengths."""
        log_probs = self.log_probs(self.helpfulness_plan, strengths, "helpfulness")
        if isinstance(self.helpfulness[0], Question):
            return question_scores(log_probs, [item.answer for item in self.questions])
        lengths = [len(target.tokens) for target in self.helpfulness_plan.targets]
        # One over the perplexity: exp(mean log-probability per token).
        scores = np.exp(np.stack([own[:, 0] / n for own, n in zip(log_probs, lengths, strict=True)], axis=1))
        return HelpfulnessScores(scores, scores, np.ones_like(scores), scores, 0.0)

    def log_probs(self, plan: ScoringPlan, strengths: Sequence[float], description: str) -> list[LogProbs]:
        """Log-probabilities of a plan's continuations at some strengths."""
        return sweep_log_probs(
            self.model,
            self.vector,
            plan,
            strengths,
            positions=self.positions,
            tokens_per_batch=self.tokens_per_batch,
            progress=self.progress,
            description=description,
        )

    @property
    def questions(self) -> list[Question]:
        """The helpfulness items if they are questions."""
        return [item for item in self.helpfulness if isinstance(item, Question)]

    @cached_property
    def behavior_plan(self) -> ScoringPlan:
        """How the behavior prompts are scored."""
        encoded = [encode_continuations(self.model, item.prompt, [*item.good, *item.bad]) for item in self.behavior]
        for item, (_, ends) in zip(self.behavior, encoded, strict=True):
            # In sorted order what begins another stands right before one that it begins.
            for (short, one), (long, other) in pairwise(sorted(zip(ends, [*item.good, *item.bad], strict=True))):
                if long[: len(short)] == short:
                    raise InputError(
                        f"after {item.prompt[-40:]!r} the continuation {one!r} begins {other!r}: a reply may be both, "
                        "so their probabilities cannot be added: leave one out"
                    )
        return plan_scoring(self.model, encoded)

    @cached_property
    def helpfulness_plan(self) -> ScoringPlan:
        """How the helpfulness items are scored."""
        if isinstance(self.helpfulness[0], Question):
            return plan_scoring(
                self.model, [encode_continuations(self.model, item.prompt, item.options) for item in self.questions]
            )
        # The first token of a text has nothing before it to be predicted from: it is the prompt.
        tokens = encode(self.model, [item.text for item in self.helpfulness if isinstance(item, Passage)])
        if any(len(ids) < 2 for ids in tokens):
            raise InputError("a helpfulness text has fewer than two tokens: there is nothing to score")
        return plan_scoring(self.model, [(ids[:1], [ids[1:]]) for ids in tokens])

    @cached_property
    def hidden_norm(self) -> float:
        """Mean norm of the hidden states that are steered; measured on the behavior prompts if it is not on record."""
        if self.vector.hidden_norm is not None:
            return self.vector.hidden_norm
        tokens = encode(self.model, [item.prompt for item in self.behavior])
        return float(hidden_states(self.model, tokens, self.vector.layers).norm(dim=-1).mean())


def usable_range(bench: Bench, loss: float, score: str) -> float:
    """Finds the strength at which about a given share of helpfulness is lost, averaged over both directions.

    The strength is doubled from 2 % of the hidden norm until at least the share is lost, then scaled down by the
    quadratic law, r sqrt(loss / lost); it never exceeds four hidden norms. The score that counts is ``restricted`` or
    ``full``.
    """
    reach, limit = FIRST_STRENGTH * bench.hidden_norm, LARGEST_STRENGTH * bench.hidden_norm
    while True:
        items = np.asarray(getattr(bench.score_helpfulness([0.0, -reach, reach]), score))  # [3, items]
        base, lower, upper = items.mean(axis=1)
        lost = 1 - (lower + upper) / 2 / base
        if lost >= loss:
            # After a doubling the law gives at least a half; a quarter bounds what a very steep curve may give.
            return float(reach * max((loss / lost) ** 0.5, 0.25))
        if reach >= limit:
            return limit
        reach = min(2 * reach, limit)


def strength_gradients(
    bench: Bench, plan: ScoringPlan, coefficients: Sequence[Float[np.ndarray, " continuations"]]
) -> Float[np.ndarray, "items layers"]:
    """Computes exact derivatives at strength 0 of sum_c coefficient_c log P(c), per item and per steered block.

    One backward pass through the blocks above the first steered one gives all of them: every row has a strength of its
    own in every block. The sum over blocks is the derivative in the common strength, the same number as a
    Jacobian-vector product along the vector.
    """
    if bench.positions != "all":
        raise InputError("exact slopes are made for steering at all positions: use positions=all")
    model, vector = bench.model, bench.vector
    found = np.zeros((len(plan.counts), len(vector.layers)))
    targets_of = plan.targets_of_rows()
    lengths = [row.tokens.numel() for row in plan.rows]
    directions = {layer: direction.to(model.device) for layer, direction in vector.directions.items()}
    for group in group_by_length(lengths, bench.tokens_per_batch):
        batch = pad([row.tokens for row in plan.rows], group, model, side="right")
        with torch.no_grad():
            below = run_to_layer(model, vector.layers[0], batch.input_ids)
        # One strength per block and row, [layers, rows, 1, 1]: rows do not mix, so one backward pass separates them.
        strengths = torch.zeros(len(vector.layers), len(group), 1, 1, device=model.device, requires_grad=True)
        edits = {
            # Defaults bind r and d now: a closure would see the last block's values in every edit.
            layer: lambda states, _call, r=strengths[column], d=direction: states + (r * d).to(states.dtype)
            for column, (layer, direction) in enumerate(directions.items())
        }
        scored = ScoredPositions.of([plan.rows[index] for index in group], model.device)
        owned = [(t, first) for row, first in zip(group, scored.first, strict=True) for t in targets_of[row]]
        weights = torch.tensor([float(coefficients[t.item][t.number]) for t, _ in owned], dtype=torch.float64)
        with torch.enable_grad(), edit_blocks(model, edits):
            # ``below`` has no graph: gradients flow through the upper blocks only, where the strengths act.
            states = continue_from(model, below)[scored.lines, scored.positions]
            total = target_scores(model, states[None], owned)[0] @ weights.to(model.device)
            (gradient,) = torch.autograd.grad(total, strengths)
        # Several rows may belong to one item.
        for line, row in enumerate(group):
            found[plan.rows[row].item] += gradient[:, line, 0, 0].double().cpu().numpy()
    return found


def alignment_gradients(bench: Bench) -> Float[np.ndarray, "prompts layers"]:
    """Computes the exact dB/dr at strength 0 of each behavior prompt, by steered block.

    With s_c = +1 or -1 and p_c the shares of the continuations, dB/dr = sum_c p_c (s_c - B) d log P(c) / dr.
    """
    scores = bench.score_behavior([0.0])
    coefficients = []
    for number, (good, bad) in enumerate(zip(scores.good, scores.bad, strict=True)):
        signs = np.repeat([1.0, -1.0], [good.shape[1], bad.shape[1]])
        masses = np.exp(np.concatenate([good[0], bad[0]]))
        coefficients.append(masses / masses.sum() * (signs - scores.alignment[0, number]))
    return strength_gradients(bench, bench.behavior_plan, coefficients)


def helpfulness_gradients(bench: Bench, *, restricted: bool) -> Float[np.ndarray, "items layers"]:
    """Computes the exact d log P / dr at strength 0 of each helpfulness item, by steered block.

    Among options with shares p_c the derivative is sum_c (1[c is right] - p_c) d log P(c) / dr.
    """
    plan = bench.helpfulness_plan
    if isinstance(bench.helpfulness[0], Passage):
        return strength_gradients(bench, plan, [np.array([1 / len(target.tokens)]) for target in plan.targets])
    coefficients = []
    for item, own in zip(bench.questions, bench.log_probs(plan, [0.0], "helpfulness"), strict=True):
        shares = np.exp(own[0] - np.logaddexp.reduce(own[0]))
        # Restricted: log of a softmax entry, hence 1[right] - p_c. Full: log P of the right option alone.
        coefficients.append(np.eye(len(shares))[item.answer] - (shares if restricted else 0.0))
    return strength_gradients(bench, plan, coefficients)
