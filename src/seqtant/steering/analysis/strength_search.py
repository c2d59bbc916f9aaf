"""Searches the strength that spends a helpfulness budget, from a few measurements at small strengths.

No model is needed here: anything that measures the same items at any strength will do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.intervals import percentile
from seqtant.steering.sweeping.bench import BenchScores, Measure
from seqtant.steering.theory import LocalLaw, fit_local_law, resampled

ItemScores = Callable[[BenchScores], Float[np.ndarray, "strengths items"]]
"""Picks the helpfulness score that counts."""

EXTRAPOLATION = 2.0
"""A strength is never predicted beyond this multiple of the largest one measured."""
TOLERANCE = 0.1
"""Largest distance of the loss at the predicted strength from the budget, as a share of the budget."""
MEASURED_TOLERANCE = 0.002
"""Largest distance of the loss at a measured operating point from the budget, as a share of the budget."""
NEAR = (0.92, 1.0, 1.08)
"""Where an operating point is looked for, in shares of a first guess."""
REACHED = 1.25
"""A crossing is told up to this multiple of the largest strength measured."""
REFITS = 3
"""How often the range is widened before the strength is bracketed instead."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much helpfulness may be lost, and in which direction the model is steered."""

    share: float
    """Share of helpfulness above the floor that may be lost, in (0, 1)."""
    floor: float = 0.0
    """What no steering can take away: the probability of a guess, or 0."""
    side: int = 1
    """+1 or -1."""
    cap: float = float("inf")
    """Largest strength to try."""


@dataclass
class StrengthMeasurements:
    """All measurements of the same items so far."""

    measure: Measure
    score: ItemScores
    readings: list[BenchScores] = field(default_factory=list)

    def add(self, strengths: Sequence[float]) -> BenchScores:
        """Measures those strengths that are not yet measured; the first call measures 0 too."""
        known = {value for scores in self.readings for value in scores.strengths}
        wanted = [value for value in dict.fromkeys([0.0, *strengths]) if value not in known]
        if wanted:
            self.readings.append(self.measure(wanted))
        return self.readings[-1]

    @property
    def strengths(self) -> list[float]:
        """All strengths measured, ascending."""
        return sorted(value for scores in self.readings for value in scores.strengths)

    def table(self, of: Callable[[BenchScores], np.ndarray]) -> np.ndarray:
        """A quantity (strengths, ...) of all readings, in the order of :attr:`strengths`."""
        # Readings arrive in any order of strengths: they are joined by value, not by place.
        rows = {value: row for scores in self.readings for value, row in zip(scores.strengths, of(scores), strict=True)}
        return np.stack([rows[value] for value in self.strengths])

    @property
    def items(self) -> Float[np.ndarray, "strengths items"]:
        """Helpfulness of every item at every strength."""
        return self.table(self.score)

    def items_at(self, strengths: Sequence[float]) -> Float[np.ndarray, "strengths items"]:
        """Helpfulness of every item at some measured strengths."""
        return self.items[[self.strengths.index(value) for value in strengths]]

    @property
    def alignment(self) -> Float[np.ndarray, "strengths prompts"]:
        """Alignment of every prompt at every strength."""
        return self.table(lambda scores: scores.behavior.alignment)

    def alignment_at(self, strengths: Sequence[float]) -> Float[np.ndarray, "strengths prompts"]:
        """Alignment of every prompt at some measured strengths."""
        return self.alignment[[self.strengths.index(value) for value in strengths]]

    def mean(self, strength: float) -> float:
        """Mean helpfulness at a measured strength."""
        return float(self.items[self.strengths.index(strength)].mean())


Observed = StrengthMeasurements
"""The name before 0.2."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The strength that was found, and how."""

    strength: Estimate
    """Signed strength at which the budget is spent; the cap where it never is."""
    linear: Estimate
    """L of the law near 0."""
    quadratic: Estimate
    """Q of the law near 0."""
    first_law: LocalLaw
    """The law as fitted to small strengths, before anything was measured near its root."""
    law: LocalLaw
    """The law as fitted last."""
    first: float
    """Distance that the first law gave, before anything was measured near it; infinite if it saw no limit."""
    pure_quadratic: float
    """Strength that a law without the linear term would give."""
    limited: bool
    """Whether the budget limits the strength; False where the cap does."""
    bracketed: bool
    """Whether the law had to be given up for a bracket."""
    rounds: int
    """How often the range was widened."""
    probe: float
    """Largest strength of the first fit."""
    items_needed: int
    """Items for an interval of the loss that is as wide as the budget on each side."""
    observed: StrengthMeasurements
    """Everything that was measured on the way."""


def find_probe_strength(measured: StrengthMeasurements, budget: Budget, start: float) -> float:
    """Doubles a strength until it is informative: a quarter of the budget is lost on either side, or alignment moves.

    Alignment moves where it changes by 0.1 while a sixteenth of the budget is lost. Under a quadratic law a quarter of
    the budget means that it is spent at twice this strength. A start that loses more than two budgets is halved.
    """
    probe = min(start, budget.cap)
    measured.add([-probe, probe])
    if measured.mean(0.0) <= budget.floor:
        raise InputError(
            "helpfulness without steering is not above chance: there is nothing to lose; give items that the model can "
            "answer"
        )
    while probe < budget.cap:
        if max(relative_loss(measured, budget, probe), relative_loss(measured, budget, -probe)) >= budget.share / 4:
            break
        # Where alignment moves and helpfulness hardly, larger probes would leave the range of the linear law.
        alignment = measured.table(lambda scores: scores.behavior.alignment.mean(axis=1))
        places = measured.strengths
        moved = max(abs(alignment[places.index(value)] - alignment[places.index(0.0)]) for value in (-probe, probe))
        if moved >= 0.1 and relative_loss(measured, budget, budget.side * probe) >= budget.share / 16:
            break
        probe = min(2 * probe, budget.cap)
        measured.add([-probe, probe])
    while relative_loss(measured, budget, budget.side * probe) > 2 * budget.share and probe > start * 2.0**-20:
        probe /= 2
        measured.add([-probe, probe])
    return probe


def relative_loss(measured: StrengthMeasurements, budget: Budget, strength: float) -> float:
    """Share of helpfulness lost at a measured strength: 1 - (P(r) - floor) / (P(0) - floor)."""
    base = measured.mean(0.0) - budget.floor
    return 1 - (measured.mean(strength) - budget.floor) / base


def choose(
    observed: StrengthMeasurements, budget: Budget, start: float, *, resamples: int, generator: np.random.Generator
) -> Choice:
    """Finds the strength that spends the budget: law near 0, checked at its own root, widened, at last bracketed.

    Args:
        observed: Measures the items on which the law is fitted.
        budget: What may be lost.
        start: First strength to try, say 2 % of the hidden norm.
        resamples: Bootstrap resamples over items.
        generator: Draws them.

    Raises:
        InputError: Helpfulness without steering is not above the floor.
    """
    side = budget.side
    probe = find_probe_strength(observed, budget, start)
    observed.add([-probe, -probe / 2, probe / 2, probe])
    reach, rounds = probe, 0
    law = fit_law_up_to(observed, budget, reach)
    first_law = law
    first = root = float(law.strength(budget.share, side))
    # A root is never trusted beyond EXTRAPOLATION times what was measured: widen the range and fit again.
    while not _root_within_tolerance(observed, budget, root, reach) and reach < budget.cap and rounds < REFITS:
        reach, rounds = min(root, EXTRAPOLATION * reach, budget.cap), rounds + 1
        observed.add([-reach, -reach / 2, reach / 2, reach])
        law = fit_law_up_to(observed, budget, reach)
        root = float(law.strength(budget.share, side))
    bracketed = not _root_within_tolerance(observed, budget, root, reach) and reach < budget.cap
    if bracketed:
        # No law holds: measure the root, then fit a law up to it for its spread over items only.
        root = bracket(observed, budget, reach)
        if np.isfinite(root):
            reach = root
            observed.add([-root, -root / 2, root / 2, root])
            law = fit_law_up_to(observed, budget, root)
    limited = bool(np.isfinite(root) and root <= budget.cap)
    chosen = root if limited else budget.cap
    n = observed.items.shape[1]
    drawn = fit_law_up_to(observed, budget, reach, resampled(n, resamples, generator))
    roots = np.minimum(drawn.strength(budget.share, side), budget.cap)
    if bracketed and limited:
        # The law is off by this factor at the bracketed root; its spread over items is what is wanted of it.
        roots = roots * chosen / min(float(law.strength(budget.share, side)), budget.cap)
    # Items for which 1.96 standard errors of the paired change equal the budget: n = (1.96 s / (eps P_0))^2.
    nearest = min(observed.strengths, key=lambda value: abs(value - side * reach))
    zero, there = observed.items_at([0.0, nearest])
    spread = float((there - zero).std(ddof=1))
    base = float(zero.mean()) - budget.floor
    return Choice(
        strength=percentile(side * chosen, side * roots, method="paired bootstrap over items", n=n),
        linear=percentile(float(law.linear), drawn.linear, method="paired bootstrap over items", n=n),
        quadratic=percentile(float(law.quadratic), drawn.quadratic, method="paired bootstrap over items", n=n),
        first_law=first_law,
        law=law,
        first=first,
        pure_quadratic=float(LocalLaw(np.zeros(()), law.quadratic).strength(budget.share, side)),
        limited=limited,
        bracketed=bracketed,
        rounds=rounds,
        probe=probe,
        items_needed=int(np.ceil((1.96 * spread / (budget.share * base)) ** 2)),
        observed=observed,
    )


def _root_within_tolerance(measured: StrengthMeasurements, budget: Budget, root: float, reach: float) -> bool:
    """Whether a root is near enough to measure, and the loss measured there is the budget up to ``TOLERANCE``."""
    if root > EXTRAPOLATION * reach or root > budget.cap:
        return False
    measured.add([budget.side * root])
    return abs(relative_loss(measured, budget, budget.side * root) / budget.share - 1) <= TOLERANCE


def crossing(measured: StrengthMeasurements, budget: Budget, share: float) -> float:
    """Finds the distance at which measured helpfulness falls by a share; infinity where it does not, or far from it.

    Between two measured strengths log(P(r) / P(0)) is taken as L r + Q r^2 through both: exact for the local law.
    """
    places = sorted(budget.side * value for value in measured.strengths if budget.side * value > 0)
    lost = [relative_loss(measured, budget, budget.side * place) for place in places]
    first = next((number for number, loss in enumerate(lost) if loss >= share), len(places) - 1)
    ends = [0.0, *places[max(0, first - 1) : first + 1 + (first == 0)]]
    means = measured.items_at([budget.side * place for place in ends]).mean(axis=1)
    root = float(fit_local_law(ends, means, budget.floor).strength(share, 1))
    return root if root <= REACHED * places[-1] else float("inf")


def fit_law_up_to(
    measured: StrengthMeasurements, budget: Budget, reach: float, weights: np.ndarray | None = None
) -> LocalLaw:
    """Fits the law to all strengths up to a reach: for the mean over items, or for weights, [resamples, items]."""
    places = [value for value in measured.strengths if abs(value) <= reach * (1 + 1e-9)]
    rows = measured.items_at(places)
    means = rows.mean(axis=1) if weights is None else weights @ rows.T
    return fit_local_law(places, means, budget.floor)


def bracket(measured: StrengthMeasurements, budget: Budget, start: float, *, tolerance: float = 0.02) -> float:
    """Brackets the strength that spends the budget, by regula falsi (Illinois); infinity if none does.

    The loss is found to within ``tolerance``, a share of the budget.
    """

    def excess(strength: float) -> float:
        measured.add([budget.side * strength])
        return relative_loss(measured, budget, budget.side * strength) - budget.share

    # Invariant: excess(low) < 0 < excess(high); at strength 0 nothing is lost.
    low, high = 0.0, min(start, budget.cap)
    below, above = -budget.share, excess(high)
    while above < 0 and high < budget.cap:
        low, below = high, above
        high = min(2 * high, budget.cap)
        above = excess(high)
    if above < 0:
        return float("inf")
    for _ in range(30):
        if abs(above) <= tolerance * budget.share:
            return high
        # Zero of the straight line through (low, below) and (high, above).
        middle = (low * above - high * below) / (above - below)
        found = excess(middle)
        if abs(found) <= tolerance * budget.share:
            return middle
        # Illinois: the value at the end that stays is halved, or one end would never move.
        if found < 0:
            low, below, above = middle, found, above / 2
        else:
            high, above, below = middle, found, below / 2
    return (low + high) / 2


def operating_point(
    measured: StrengthMeasurements, budget: Budget, near: float, *, resamples: int, generator: np.random.Generator
) -> Estimate | None:
    """Measures the strength, near a first guess, at which held-out items really lose the budget; None if never.

    Three strengths around the guess are measured at once, and the law through the two beside the root gives it; where
    the root lies beyond them it is bracketed.
    """
    around = [abs(near) * factor for factor in NEAR]
    measured.add([budget.side * place for place in around])
    root = crossing(measured, budget, budget.share)
    if not around[0] <= root <= around[-1]:
        root = bracket(measured, budget, abs(near), tolerance=MEASURED_TOLERANCE)
        if not np.isfinite(root):
            return None
        around = [root * factor for factor in NEAR]
        measured.add([budget.side * place for place in around])
    # The law through two points beside the root is nearly exact there, for every resample of the items.
    low = max(place for place in around[:-1] if place <= root)
    ends = [low, around[around.index(low) + 1]]
    rows = measured.items_at([0.0, *(budget.side * place for place in ends)])
    weights = resampled(rows.shape[1], resamples, generator)
    drawn = fit_local_law([0.0, *ends], weights @ rows.T, budget.floor)
    roots = np.minimum(drawn.strength(budget.share, 1), budget.cap)
    return percentile(
        budget.side * root, budget.side * roots, method="measured beside; paired bootstrap over items", n=rows.shape[1]
    )
