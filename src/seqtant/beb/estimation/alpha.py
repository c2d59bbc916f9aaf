"""Estimates log(1/alpha) as the area under a divergence, at several stops, and checks whether it may be given.

Let R_n be the log-ratio of P- against the model after n sentences, L_n that against P+, and w_n the weight of P- after
them (Eq. 10). For an exact mixture R_n - log w_n = log(1/alpha) on every prompt and for every n; so its mean is
log(1/alpha) wherever prompts are stopped, as long as what decides is the text so far. For any other model, two stops
give numbers that differ by just what the model's errors add up to between them. Errors before the first stop cannot be
seen in this way: up to there the model is a mixture of another alpha.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from seqtant.beb.estimation.estimates import Sums, cumulative_sums
from seqtant.beb.prompts.divergence import Evidence
from seqtant.beb.theory import bad_weight
from seqtant.findings import Assumption, AssumptionStatus, Estimate

TAIL = 1 / 3
"""Share of the sentences, at the end of the prompts, whose unexplained divergence is the floor."""
FLATTEST = -0.2
"""Slope of the equation for log(1/alpha) above which its solution would multiply every error by more than five: the
prompts are too short to tell a floor from what is still to come."""
EVEN, TAKEN_OVER = 0.5, 0.75
"""Weights of P- at which prompts are stopped, beside their ends; at the second log(1/alpha) is estimated."""
LARGEST_FLOOR = 0.25
"""Largest floor, as a share of beta, at which the divergence counts as converged."""
SLACK = 0.25
"""Nats by which sums may exceed log(1/alpha) before the mixture is called inexact."""
LARGEST_SYSTEMATIC = 0.125
"""Nats by which estimates at different stops may differ: half of the 0.25 that log(1/alpha) is allowed to be off, since
errors before the first stop are not seen. Chosen on the cases of results/beb/stops/stops.json."""
LARGEST_SHARE = 0.03
"""The same as a share of log(1/alpha), for rarer parts: lengths are proportional to it."""
_NEWTON_STEPS = 40
_LARGEST_STEP = 2.0
_BRACKETS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Distances from the full-length estimate within which a root is looked for, in nats: of several, the nearest."""


@dataclass(frozen=True)
class AlphaEstimate:
    """log(1/alpha), estimated from the divergence of P- from the model."""

    log_inverse_alpha: float
    """The area above the floor until P- has taken over, and what its weight then lacks, in nats."""
    raw: float
    """The area under the divergence as far as the prompts go, in nats: at most log(1/alpha) for an exact mixture."""
    floor: float
    """Divergence that no mixture explains, in nats per sentence: what P- has and the model has not."""
    tail: float
    """Part of the area that lies beyond the prompts, in nats."""
    other_stops: tuple[float, ...] | None = None
    """log(1/alpha) at the other stops: when P- is as likely as P+, and at the end of the prompts. None where there is
    but one estimate, empty where no alpha explains the divergence up to the stops."""

    @property
    def systematic(self) -> float | None:
        """Largest distance to another stop's estimate, in nats: 0 for an exact mixture. None where there is none."""
        return max((abs(other - self.log_inverse_alpha) for other in self.other_stops or ()), default=None)

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest estimate of all stops."""
        estimates = (self.log_inverse_alpha, *(self.other_stops or ()))
        return min(estimates), max(estimates)


def estimate_alpha(to_model: Evidence, to_plus: Evidence | None) -> AlphaEstimate:
    """Estimates log(1/alpha) by the chain rule: the divergences of all sentences from the model sum to it.

    The end of the prompts gives a first estimate and the floor. With them, prompts are stopped where the weight of P-
    passes :data:`EVEN` and :data:`TAKEN_OVER`, and the area up to there is taken: a model that never becomes quite sure
    of P- adds to the area for ever, but not yet there. Without a P+ of its own (it is the model itself), or where the
    prompts are too short, the plain area above the floor is all there is.

    Args:
        to_model: Evidence of P- against the model.
        to_plus: Evidence of P- against P+, along the same prompts; None where P+ is the model.
    """
    whole = _estimate_full_length(to_model, to_plus)
    if to_plus is None or whole.other_stops is None:
        return whole
    sums = tuple(cumulative_sums(each) for each in (to_model.log_ratio, to_model.divergence, to_plus.log_ratio))
    # Stops depend on the text so far only, so the mean of R_n - log w_n stays log(1/alpha) at them (optional stopping).
    weight = bad_weight(-max(whole.log_inverse_alpha, 1e-6), sums[2])  # [prompts, sentences + 1]
    early, value = (_estimate_at_stop(sums, weight >= least, whole) for least in (EVEN, TAKEN_OVER))
    if early is None or value is None:
        return whole
    return replace(whole, log_inverse_alpha=value, other_stops=(early, whole.log_inverse_alpha))


def _estimate_full_length(to_model: Evidence, to_plus: Evidence | None) -> AlphaEstimate:
    """The estimate at the end of the prompts, and the floor.

    The plain area, refined: sums of divergences and of log-ratios have one mean, and their combination of least
    variance is taken; what the prompts have not yet shown is the mean of -log w-; the floor is what the last sentences
    have beyond a mixture of that weight. The weight depends on log(1/alpha), which Newton's method finds.
    """
    divergence, ratio = to_model.divergence, to_model.log_ratio
    sentences = divergence.shape[1]
    tail = max(2, round(TAIL * sentences))
    # The plain area: both sums have mean log(1/alpha) where prompts are long and there is no floor.
    # The sum over a prompt telescopes: log P-(s) / P(s) = log(w_n / alpha) for a mixture, which tends to log(1/alpha).
    raw = float(least_variance(ratio.sum(axis=1), divergence.sum(axis=1)).mean())
    least = float(divergence[:, -tail:].mean())
    plain = AlphaEstimate(raw - least * sentences, raw, least, 0.0)
    if to_plus is None:
        return plain
    value, known = raw, to_plus.log_ratio.cumsum(axis=1)
    for _ in range(_NEWTON_STEPS):
        # w- where the tail begins and at the end.  # [prompts, 2]
        weight = np.maximum(bad_weight(-max(value, 1e-6), known[:, [-1 - tail, -1]]), 1e-300)
        log_weight, good = np.log(weight), 1 - weight.mean(axis=0)
        # A mixture's log-ratio over the tail is just the rise of log w-; anything more is floor.
        expected = (log_weight[:, 1] - log_weight[:, 0]) / tail
        unexplained = ratio[:, -tail:].mean(axis=1) - expected
        smoother = divergence[:, -tail:].mean(axis=1) - expected.mean()
        floor, beyond = float(least_variance(unexplained, smoother).mean()), float(-log_weight[:, 1].mean())
        whole = least_variance(ratio.sum(axis=1) - log_weight[:, 1], divergence.sum(axis=1) + beyond)
        gap = float(whole.mean()) - floor * sentences - value
        if abs(gap) < 1e-10:
            return AlphaEstimate(value, float(whole.mean()) - beyond, floor, beyond, other_stops=())
        # d log w- / d log(1/alpha) is about -(1 - w-), at the end and where the tail begins.
        slope = -1 + good[1] + sentences / tail * (good[0] - good[1])
        if slope > FLATTEST:
            return plain
        # Newton's step, cut off: far from the root the slope is only a rough guide.
        value += float(np.clip(-gap / slope, -_LARGEST_STEP, _LARGEST_STEP))
    return plain


def _estimate_at_stop(sums: tuple[Sums, ...], reached: np.ndarray, whole: AlphaEstimate) -> float | None:
    """The log(1/alpha) by which the area up to the stops is that of a mixture; None where no alpha does.

    ``sums`` over the first n sentences: log-ratio against the model, divergence from it, log-ratio against P+.
    """
    # argmax finds the first length at which it is reached.
    stops = np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1] - 1)
    ratio, divergence, known = (each[np.arange(len(stops)), stops] for each in sums)
    # The floor is paid for as many sentences as were read.
    surplus, center = whole.floor * stops.mean(), whole.log_inverse_alpha

    def gap(value: float) -> float:
        log_weight = np.log(np.maximum(bad_weight(-value, known), 1e-300))
        return float(least_variance(ratio - log_weight, divergence - log_weight).mean()) - surplus - value

    # gap has a root in a bracket where it changes sign; the smallest bracket with one is taken.
    for distance in _BRACKETS:
        low, high = max(center - distance, 1e-6), max(center, 0.0) + distance
        if gap(low) >= 0 >= gap(high):
            return float(brentq(gap, low, high, xtol=1e-10))  # type: ignore[arg-type]
    return None


def least_variance(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Combines two paired measurements with the same mean such that they scatter least, weights within 0 to 1."""
    apart = second - first
    spread = apart.var()
    if spread == 0:
        return first
    # Least var(first + s (second - first)): s = -cov(first, second - first) / var(second - first).
    share = -np.mean((first - first.mean()) * (apart - apart.mean())) / spread
    return first + np.clip(share, 0.0, 1.0) * apart


@dataclass(frozen=True)
class AlphaDiagnostics:
    """Two checks that can refuse the number: has the divergence converged, and can the model hold P- at all?"""

    unconverged: tuple[str, ...]
    """Why the divergence has not converged; empty where it has."""
    inconsistent: tuple[str, ...]
    """Why the model cannot be a mixture with P-, not even roughly."""
    systematic: float | None
    """Nats by which estimates at different stops differ, as they do not for a mixture; None where there is but one."""
    excess: float
    """Nats by which the largest sum of evidence exceeds log(1/alpha), as it cannot for an exact mixture."""
    exact: bool
    """Whether no sum does, beyond what is allowed."""

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why no log(1/alpha) is given; empty where it is."""
        return self.unconverged + self.inconsistent

    @property
    def consistent(self) -> bool:
        """Whether the stops agree; where there is but one, whether the mixture is exact."""
        return self.exact if self.systematic is None else not self.inconsistent

    def assumptions(self) -> tuple[Assumption, ...]:
        """Both checks, for a finding, and whether the mixture is exact."""
        status: dict[bool, AssumptionStatus] = {True: "holds", False: "fails"}
        readings = "there is only one" if self.systematic is None else f"they differ by {self.systematic:.3f} nats"
        return (
            Assumption(
                statement="Along the prompts the divergence of P- from the model falls to a floor near 0",
                status=status[not self.unconverged],
                how="; ".join(self.unconverged) or f"floor at most {100 * LARGEST_FLOOR:g} % of beta",
            ),
            Assumption(
                statement="The model is a mixture that holds P-: log(1/alpha) is the same wherever prompts are stopped",
                status="not checked" if self.systematic is None else status[not self.inconsistent],
                how=f"{readings}; {LARGEST_SYSTEMATIC:g} or {100 * LARGEST_SHARE:g} % are allowed",
            ),
            Assumption(
                statement="The mixture is exact: no prompt's evidence exceeds log(1/alpha)",
                status=status[self.exact],
                how=f"the largest sum exceeds it by {self.excess:.2f} nats, floor included; {SLACK:g} are allowed. "
                "This refuses no number",
            ),
        )


def diagnose(evidence: Evidence, alpha: AlphaEstimate, beta: float, estimate: Estimate) -> AlphaDiagnostics:
    """Checks convergence and consistency of an estimate of log(1/alpha); the evidence is P-'s against the model."""
    divergence, unconverged, inconsistent = evidence.divergence, list[str](), list[str]()
    if beta <= 0:
        unconverged.append("P- and P+ cannot be told apart: beta is 0")
    elif alpha.floor > LARGEST_FLOOR * beta:
        unconverged.append(
            f"the floor of {alpha.floor:.3f} nats per sentence is {100 * alpha.floor / beta:.0f} % of beta"
        )
    # The first quarter of the sentences must lie above the last by two standard errors over prompts.
    part = max(2, divergence.shape[1] // 4)
    fall = divergence[:, :part].mean(axis=1) - divergence[:, -part:].mean(axis=1)
    if fall.mean() <= 2 * fall.std(ddof=1) / np.sqrt(len(fall)):
        unconverged.append("the divergence does not fall along the prompts")
    value, floor_sum = alpha.log_inverse_alpha, alpha.floor * divergence.shape[1]
    if floor_sum > max(value, 0.0):
        unconverged.append(f"the floor sums to {floor_sum:.2f} nats, more than the {value:.2f} above it")
    if alpha.other_stops == ():
        inconsistent.append("no weight of P- explains the divergence up to where P- would have taken over")
    if alpha.systematic is not None and alpha.systematic > max(LARGEST_SYSTEMATIC, LARGEST_SHARE * value):
        low, high = alpha.range
        inconsistent.append(
            f"prompts stopped sooner or later read {low:.2f} to {high:.2f} nats: the model is no mixture of P- and P+ "
            "that learns from its prompt by Bayes' rule"
        )
    # An exact mixture has R_n <= log(1/alpha) on every prompt and for every n.
    most = estimate.value if estimate.high is None else estimate.high
    largest = max(float(evidence.log_ratio.cumsum(axis=1).max()), alpha.raw)
    return AlphaDiagnostics(
        unconverged=tuple(unconverged),
        inconsistent=tuple(inconsistent),
        systematic=alpha.systematic,
        excess=largest - estimate.value,
        exact=largest <= most + SLACK,
    )
