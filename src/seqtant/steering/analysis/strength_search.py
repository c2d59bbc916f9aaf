"""Chooses the strength that spends a budget of helpfulness, from a few measurements at small strengths.

No model is needed here: anything that measures the same items at any strength will do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.bootstrap import percentile
from seqtant.steering.analysis.fits import LocalLaw, fit_local_law, resampled
from seqtant.steering.sweeping.scores import Readings

Helpful = Callable[[Readings], Float[np.ndarray, "strengths items"]]
"""Which of the helpfulness scores counts."""

EXTRAPOLATION = 2.0
"""A strength is never predicted beyond this multiple of the largest one measured."""
TOLERANCE = 0.1
"""How far from the budget the loss at the predicted strength may be, as a share of the budget."""
MEASURED = 0.002
"""How close to the budget the loss at a measured operating point must come, as a share of the budget."""
REFITS = 3
"""How often the range is widened before the strength is bracketed instead."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be spent, and in which direction."""

    share: float
    """Share of helpfulness above the floor that may be lost, in (0, 1)."""
    floor: float = 0.0
    """What no steering can take away: chance, or 0."""
    side: int = 1
    """+1 or -1."""
    cap: float = float("inf")
    """Largest strength to try."""


@dataclass
class Observed:
    """Everything measured on the fitting items so far, ascending in strength."""

    measure: Callable[[Sequence[float]], Readings]
    helpful: Helpful
    readings: list[Readings] = field(default_factory=list)

    def add(self, strengths: Sequence[float]) -> Readings:
        """Measures further strengths; the first call measures 0 too."""
        known = {value for read in self.readings for value in read.strengths}
        wanted = [value for value in dict.fromkeys([0.0, *strengths]) if value not in known]
        if wanted:
            self.readings.append(self.measure(wanted))
        return self.readings[-1]

    @property
    def strengths(self) -> list[float]:
        """All strengths measured, ascending."""
        return sorted(value for read in self.readings for value in read.strengths)

    def table(self, of: Callable[[Readings], np.ndarray]) -> np.ndarray:
        """A quantity (strengths, ...) of all readings, in the order of :attr:`strengths`."""
        rows = {value: row for read in self.readings for value, row in zip(read.strengths, of(read), strict=True)}
        return np.stack([rows[value] for value in self.strengths])

    @property
    def items(self) -> Float[np.ndarray, "strengths items"]:
        """Helpfulness of every item at every strength."""
        return self.table(self.helpful)

    def mean(self, strength: float) -> float:
        """Mean helpfulness at a measured strength."""
        return float(self.items[self.strengths.index(strength)].mean())


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen, and how."""

    strength: Estimate
    """Signed strength at which the budget is spent; the cap where it never is."""
    linear: Estimate
    """L of the law near 0."""
    quadratic: Estimate
    """Q of the law near 0."""
    predicted_loss: float
    """Relative loss that the law gives at the chosen strength."""
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
    observed: Observed


def find_scale(observed: Observed, budget: Budget, start: float) -> float:
    """Doubles a strength until a quarter of the budget is lost on either side, alignment moves by 0.1, or the cap.

    Under a quadratic law a quarter of the budget means that the budget is spent at twice this strength.

    Raises:
        InputError: Helpfulness without steering is not above the floor.
    """
    scale = min(start, budget.cap)
    observed.add([-scale, scale])
    if observed.mean(0.0) <= budget.floor:
        raise InputError(
            "helpfulness without steering is not above chance: there is nothing to lose; give items that the model can "
            "answer"
        )
    while scale < budget.cap and not _enough(observed, budget, scale):
        scale = min(2 * scale, budget.cap)
        observed.add([-scale, scale])
    while _spent(observed, budget, budget.side * scale) > 2 * budget.share and scale > start * 2.0**-20:
        scale /= 2
        observed.add([-scale, scale])
    return scale


def _enough(observed: Observed, budget: Budget, scale: float) -> bool:
    if max(_spent(observed, budget, scale), _spent(observed, budget, -scale)) >= budget.share / 4:
        return True
    alignment = observed.table(lambda read: read.behavior.alignment.mean(axis=1))
    places = observed.strengths
    moved = [abs(alignment[places.index(value)] - alignment[places.index(0.0)]) for value in (-scale, scale)]
    return max(moved) >= 0.1 and _spent(observed, budget, budget.side * scale) >= budget.share / 16


def _spent(observed: Observed, budget: Budget, strength: float) -> float:
    base = observed.mean(0.0) - budget.floor
    return 1 - (observed.mean(strength) - budget.floor) / base


def choose(
    observed: Observed, budget: Budget, start: float, *, resamples: int, generator: np.random.Generator
) -> Choice:
    """Finds the strength that spends the budget.

    Args:
        observed: Measures the items on which the law is fitted.
        budget: What may be spent.
        start: First strength to try, say 2 % of the hidden norm.
        resamples: Bootstrap resamples over items.
        generator: Their randomness.

    Raises:
        InputError: Helpfulness without steering is not above the floor.
    """
    probe = find_scale(observed, budget, start)
    observed.add([-probe, -probe / 2, probe / 2, probe])
    reach, rounds = probe, 0
    law = _law(observed, budget, reach)
    first = root = float(law.strength(budget.share, budget.side))
    while not _confirmed(observed, budget, root, reach) and reach < budget.cap and rounds < REFITS:
        reach, rounds = min(root, EXTRAPOLATION * reach, budget.cap), rounds + 1
        observed.add([-reach, -reach / 2, reach / 2, reach])
        law = _law(observed, budget, reach)
        root = float(law.strength(budget.share, budget.side))
    bracketed = not _confirmed(observed, budget, root, reach) and reach < budget.cap
    if bracketed:
        root = bracket(observed, budget, reach)
        if np.isfinite(root):
            reach = root
            observed.add([-root, -root / 2, root / 2, root])
            law = _law(observed, budget, root)
    limited = bool(np.isfinite(root) and root <= budget.cap)
    chosen = root if limited else budget.cap
    drawn = _law(observed, budget, reach, resampled(observed.items.shape[1], resamples, generator))
    roots = np.minimum(drawn.strength(budget.share, budget.side), budget.cap)
    if bracketed and limited:
        # The law is off by this factor at the bracketed root; its spread over items is what is wanted of it.
        roots = roots * chosen / min(float(law.strength(budget.share, budget.side)), budget.cap)
    n = observed.items.shape[1]
    side = budget.side
    return Choice(
        strength=percentile(side * chosen, side * roots, method="paired bootstrap over items", n=n),
        linear=percentile(float(law.linear), drawn.linear, method="paired bootstrap over items", n=n),
        quadratic=percentile(float(law.quadratic), drawn.quadratic, method="paired bootstrap over items", n=n),
        # A bracket measures what the law misses: then the fitting items themselves say what the others will lose.
        predicted_loss=_spent(observed, budget, side * chosen)
        if bracketed and limited
        else float(law.loss(side * chosen)),
        first=first,
        pure_quadratic=float(LocalLaw(np.zeros(()), law.quadratic).strength(budget.share, side)),
        limited=limited,
        bracketed=bracketed,
        rounds=rounds,
        probe=probe,
        items_needed=_needed(observed, budget, reach),
        observed=observed,
    )


def _confirmed(observed: Observed, budget: Budget, root: float, reach: float) -> bool:
    """Whether the law's root may be believed: near enough to measure, and the loss measured there is the budget."""
    if root > EXTRAPOLATION * reach or root > budget.cap:
        return False
    observed.add([budget.side * root])
    return abs(_spent(observed, budget, budget.side * root) / budget.share - 1) <= TOLERANCE


def _law(observed: Observed, budget: Budget, reach: float, weights: np.ndarray | None = None) -> LocalLaw:
    """The law from all strengths up to a reach, of all items or of resamples."""
    places = [value for value in observed.strengths if abs(value) <= reach * (1 + 1e-9)]
    rows = observed.items[[observed.strengths.index(value) for value in places]]
    means = rows.mean(axis=1) if weights is None else weights @ rows.T
    return fit_local_law(places, means, budget.floor)


def bracket(observed: Observed, budget: Budget, start: float, *, tolerance: float = 0.02) -> float:
    """Strength at which the budget is spent, by regula falsi (Illinois) on the paired loss; infinity if never.

    Args:
        observed: Measures the items.
        budget: What may be spent.
        start: A strength to begin from.
        tolerance: How close to the budget the loss must come, as a share of the budget.
    """

    def excess(strength: float) -> float:
        observed.add([budget.side * strength])
        return _spent(observed, budget, budget.side * strength) - budget.share

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
        middle = (low * above - high * below) / (above - below)
        found = excess(middle)
        if abs(found) <= tolerance * budget.share:
            return middle
        if found < 0:
            low, below, above = middle, found, above / 2
        else:
            high, above, below = middle, found, below / 2
    return (low + high) / 2


def _needed(observed: Observed, budget: Budget, reach: float) -> int:
    """Items for which 1.96 standard errors of the paired change are as large as the budget."""
    places = observed.strengths
    zero = observed.items[places.index(0.0)]
    nearest = min(places, key=lambda value: abs(value - budget.side * reach))
    change = observed.items[places.index(nearest)] - zero
    base = float(zero.mean()) - budget.floor
    return int(np.ceil((1.96 * float(change.std(ddof=1)) / (budget.share * base)) ** 2))


def operating_point(
    observed: Observed, budget: Budget, near: float, *, resamples: int, generator: np.random.Generator
) -> Estimate | None:
    """Strength at which other items really lose the budget: bracketed, with a paired bootstrap; None if they never do.

    Args:
        observed: Measures the held-out items.
        budget: What may be spent.
        near: Where to look first.
        resamples: Bootstrap resamples.
        generator: Their randomness.
    """
    root = bracket(observed, budget, abs(near), tolerance=MEASURED)
    if not np.isfinite(root):
        return None
    around = [budget.side * root * factor for factor in (0.75, 1.0, 1.25)]
    observed.add(around)
    places = observed.strengths
    rows = observed.items[[places.index(value) for value in (0.0, *around)]]
    weights = resampled(rows.shape[1], resamples, generator)
    ratio = np.log(np.maximum((weights @ rows.T - budget.floor), 1e-9))
    ratio = ratio[:, 1:] - ratio[:, :1]
    # log(P/P0)/r is nearly a straight line in r, whatever the order of the loss: three points give the root.
    distances = np.abs(around)
    design = np.stack([distances, distances**2], axis=1)
    fitted = ratio @ np.linalg.pinv(design).T
    roots = LocalLaw(fitted[:, 0], fitted[:, 1]).strength(budget.share, 1)
    roots = np.minimum(roots, budget.cap)
    return percentile(
        budget.side * root, budget.side * roots, method="bracketed; paired bootstrap over items", n=rows.shape[1]
    )
