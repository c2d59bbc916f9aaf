"""Finds the strength of the best measured alignment among those that keep every budget, and the layers that gain most.

An optimum need not lie on the edge of a constraint: beyond its best strength alignment falls again, often long before
helpfulness does, and a score of first tokens does not see broken language. So alignment, helpfulness and the coherence
of replies are measured at the strengths that may be advised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from seqtant.findings import Estimate
from seqtant.stats.intervals import mean
from seqtant.steering.analysis.strength_search import (
    TOLERANCE,
    Budget,
    StrengthMeasurements,
    find_probe_strength,
    fit_law_up_to,
    relative_loss,
)
from seqtant.steering.applying.generation import Reply, generate_replies
from seqtant.steering.sweeping.bench import FIRST_STRENGTH, LARGEST_STRENGTH, Bench

GRID = (0.25, 0.5, 0.75, 1.0)
"""First strengths that are compared, in shares of the one that spends the budget."""
ROUNDS = 3
"""How often the strengths beside the best one are tried too."""
SPEAKERS = 16
"""Most prompts that are answered at every strength to measure coherence."""

Speak = Callable[[Sequence[float]], Sequence[Reply]]
"""Answers the same prompts at any strengths."""


@dataclass
class Coherence:
    """Log-probability per token of steered replies under the model without steering, beside that of its own replies."""

    speak: Speak
    replies: dict[float, list[Reply]] = field(default_factory=dict)

    @staticmethod
    def of(bench: Bench, tokens: int) -> Coherence:
        """Greedy replies of a bench to its first behavior prompts."""
        prompts = [item.prompt for item in bench.behavior[:SPEAKERS]]
        return Coherence(
            lambda strengths: generate_replies(
                bench.model,
                bench.vector,
                prompts,
                strengths,
                tokens=tokens,
                positions=bench.positions,
                tokens_per_batch=bench.tokens_per_batch,
                progress=bench.progress,
            )
        )

    def loss(self, strengths: Sequence[float]) -> list[Estimate]:
        """How much less likely per token replies are than without steering, in nats; the mean over prompts."""
        wanted = [value for value in dict.fromkeys([0.0, *strengths]) if value not in self.replies]
        if wanted:
            made = self.speak(wanted)
            for value in wanted:
                self.replies[value] = [reply for reply in made if reply.strength == value]
        start = np.array([reply.log_prob for reply in self.replies[0.0]])
        return [
            mean(start - [reply.log_prob for reply in self.replies[value]], unit="nats per token")
            for value in strengths
        ]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A strength that was measured, and what it does to the fitting prompts and items."""

    strength: float
    gain: float
    """Alignment gained in the wanted direction, the mean over prompts."""
    loss: float
    """Share of helpfulness lost."""
    incoherence: float
    """Nats per token that replies lose."""
    allowed: bool
    """Whether this strength, and every smaller one that was tried, keeps both budgets."""


def compare_strengths(
    measured: StrengthMeasurements, coherence: Coherence, budget: Budget, edge: float, coherence_budget: float
) -> list[Candidate]:
    """Measures strengths up to the one that spends the helpfulness budget, ever closer around the best allowed one.

    Args:
        measured: Measures alignment and helpfulness.
        coherence: Measures replies.
        budget: What may be lost of helpfulness, and the direction.
        edge: Distance at which it is spent, or the largest to try.
        coherence_budget: Most nats per token that replies may lose.

    Returns:
        All strengths that were tried, by their size; :func:`best` picks one.
    """
    side = budget.side
    tried = [side * edge * share for share in GRID]
    found: list[Candidate] = []
    for attempt in range(ROUNDS + 1):
        measured.add(tried)
        places = sorted(set(tried), key=abs)
        alignment = measured.table(lambda scores: scores.behavior.alignment.mean(axis=1))
        rows = dict(zip(measured.strengths, alignment, strict=True))
        # Replies at a strength that does not gain, or loses too much, decide nothing.
        gains = {r: float(side * (rows[r] - rows[0.0])) for r in places}
        losses = {r: relative_loss(measured, budget, r) for r in places}
        asked = [r for r in places if gains[r] > 0 and losses[r] <= budget.share * (1 + TOLERANCE)]
        spoken = dict(zip(asked, (each.value for each in coherence.loss(asked)), strict=True)) if asked else {}
        # Greedy replies are few: one strength that reads well beyond others that do not is luck.
        limit = min((abs(r) for r in asked if spoken[r] > coherence_budget), default=np.inf)
        found = [
            Candidate(
                strength=r,
                gain=gains[r],
                loss=losses[r],
                incoherence=spoken.get(r, float("nan")),
                allowed=r in spoken and abs(r) < limit,
            )
            for r in places
        ]
        if attempt == ROUNDS:
            break
        at = best(found)
        sizes = [0.0, *map(abs, places)]
        # Between the best strength and its neighbors; where none is allowed, between 0 and the smallest.
        middle = 0 if at is None else sizes.index(abs(at.strength))
        ends = sizes[max(0, middle - 1) : middle + 2]
        tried += [side * (low + high) / 2 for low, high in pairwise(ends)]
    return found


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The allowed strength of the largest gain; None where none gains."""
    return max((each for each in candidates if each.allowed), key=lambda each: each.gain, default=None)


@dataclass(frozen=True, kw_only=True)
class LayerChoice:
    """Some blocks, steered together, and the best that they gain within the budgets."""

    bench: Bench
    measured: StrengthMeasurements
    coherence: Coherence
    budget: Budget
    edge: float
    """Strength at which the law of small strengths spends the budget, at most four hidden norms."""
    edges: np.ndarray
    """The same of bootstrap resamples of the items."""
    quadratic: float
    """Helpfulness lost per squared strength."""
    candidates: list[Candidate]


def search_layers(
    bench: Bench,
    choices: Sequence[Sequence[int]],
    budget: Budget,
    score: Callable[..., np.ndarray],
    *,
    coherence_budget: float,
    reply_tokens: int,
    weights: Callable[[int], np.ndarray],
    sides: Sequence[int] | None = None,
) -> list[LayerChoice]:
    """Measures what each choice of blocks gains within the budgets, from few strengths each.

    The strength that spends the helpfulness budget is that of the law of small strengths; alignment, helpfulness and
    coherence are then measured up to it.

    Args:
        bench: Model, items and a vector that holds all the blocks.
        choices: Blocks that are steered together.
        budget: What may be lost of helpfulness; the cap is four hidden norms of each choice.
        score: The helpfulness score that counts.
        coherence_budget: Most nats per token that replies may lose.
        reply_tokens: Most tokens of a reply.
        weights: Bootstrap weights for a number of items, (resamples, items).
        sides: Per choice +1 or -1; by default that of the budget.
    """
    found = []
    bar = bench.progress.task("layers", len(choices))
    for number, layers in enumerate(choices):
        own = replace(bench, vector=bench.vector.at(list(layers)))
        norm = own.hidden_norm
        limits = replace(budget, cap=LARGEST_STRENGTH * norm, side=budget.side if sides is None else sides[number])
        measured = StrengthMeasurements(own, score)
        probe = find_probe_strength(measured, limits, FIRST_STRENGTH * norm)
        measured.add([-probe, -probe / 2, probe / 2, probe])
        law = fit_law_up_to(measured, limits, probe)
        drawn = fit_law_up_to(measured, limits, probe, weights(measured.items.shape[1]))
        edge = min(float(law.strength(limits.share, limits.side)), limits.cap)
        edges = np.minimum(drawn.strength(limits.share, limits.side), limits.cap)
        coherence = Coherence.of(own, reply_tokens)
        candidates = compare_strengths(measured, coherence, limits, edge, coherence_budget)
        found.append(
            LayerChoice(
                bench=own,
                measured=measured,
                coherence=coherence,
                budget=limits,
                edge=edge,
                edges=edges,
                quadratic=-float(law.quadratic),
                candidates=candidates,
            )
        )
        bar.advance()
    bar.close()
    return found
