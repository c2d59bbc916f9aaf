"""Two checks that can refuse a number: has the divergence converged, and can the model be a mixture with P- at all?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seqtant.beb.estimation.alpha import Area
from seqtant.beb.prompts.divergence import Evidence
from seqtant.findings import Assumption, AssumptionStatus, Estimate

LARGEST_FLOOR = 0.25
"""Largest floor, as a share of beta, at which the divergence counts as converged."""
SLACK = 0.25
"""Nats by which sums may exceed log(1/alpha) before the mixture is called inexact."""
LARGEST_SYSTEMATIC = 0.125
"""Nats by which readings at different stops may differ: half of the 0.25 that log(1/alpha) is allowed to be off, since
errors before the first stop are not seen. It was held against the cases of results/beb/stops/stops.json."""
LARGEST_SHARE = 0.03
"""The same as a share of log(1/alpha), for rarer parts: lengths are proportional to it."""


@dataclass(frozen=True)
class Gates:
    """What the checks said."""

    unconverged: tuple[str, ...]
    """Why the divergence has not converged; empty where it has."""
    inconsistent: tuple[str, ...]
    """Why the model cannot be a mixture with P-, not even roughly; empty where it can."""
    systematic: float | None
    """Nats by which readings at different stops differ, as they do not for a mixture; None where there is but one."""
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
        """Whether readings agree; where there is but one, whether the mixture is exact."""
        return self.exact if self.systematic is None else not self.inconsistent

    def assumptions(self) -> tuple[Assumption, ...]:
        """Both checks, for a finding, and whether the mixture is exact."""
        status: AssumptionStatus = "not checked" if self.systematic is None else _status(not self.inconsistent)
        readings = "there is only one" if self.systematic is None else f"they differ by {self.systematic:.3f} nats"
        return (
            Assumption(
                statement="Along the prompts the divergence of P- from the model falls to a floor near 0",
                status=_status(not self.unconverged),
                how="; ".join(self.unconverged) or f"floor at most {100 * LARGEST_FLOOR:g} % of beta",
            ),
            Assumption(
                statement="The model is a mixture that holds P-: log(1/alpha) is the same wherever prompts are stopped",
                status=status,
                how=f"{readings}; {LARGEST_SYSTEMATIC:g} or {100 * LARGEST_SHARE:g} % are allowed",
            ),
            Assumption(
                statement="The mixture is exact: no prompt's evidence exceeds log(1/alpha)",
                status=_status(self.exact),
                how=f"the largest sum exceeds it by {self.excess:.2f} nats, floor included; {SLACK:g} are allowed. "
                "This refuses no number",
            ),
        )


def check(evidence: Evidence, area: Area, beta: float, estimate: Estimate) -> Gates:
    """Runs both checks.

    Args:
        evidence: For P- against the model.
        area: The reading of log(1/alpha).
        beta: Evidence per sentence that P- gives against P+.
        estimate: log(1/alpha) with its interval.
    """
    most = estimate.value if estimate.high is None else estimate.high
    largest = max(float(evidence.log_ratio.cumsum(axis=1).max()), area.raw)
    return Gates(
        unconverged=tuple(_unconverged(evidence.divergence, area, beta)),
        inconsistent=tuple(_inconsistent(area)),
        systematic=area.systematic,
        excess=largest - estimate.value,
        exact=largest <= most + SLACK,
    )


def _unconverged(divergence: np.ndarray, area: Area, beta: float) -> Iterator[str]:
    if beta <= 0:
        yield "P- and P+ cannot be told apart: beta is 0"
    elif area.floor > LARGEST_FLOOR * beta:
        yield f"the floor of {area.floor:.3f} nats per sentence is {100 * area.floor / beta:.0f} % of beta"
    part = max(2, divergence.shape[1] // 4)
    fall = divergence[:, :part].mean(axis=1) - divergence[:, -part:].mean(axis=1)
    if fall.mean() <= 2 * fall.std(ddof=1) / np.sqrt(len(fall)):
        yield "the divergence does not fall along the prompts"
    if area.floor * divergence.shape[1] > max(area.value, 0.0):
        yield f"the floor sums to {area.floor * divergence.shape[1]:.2f} nats, more than the {area.value:.2f} above it"


def _inconsistent(area: Area) -> Iterator[str]:
    if area.others == ():
        yield "no weight of P- explains the divergence up to where P- would have taken over"
    if area.systematic is not None and area.systematic > max(LARGEST_SYSTEMATIC, LARGEST_SHARE * area.value):
        low, high = area.ends
        yield (
            f"prompts stopped sooner or later read {low:.2f} to {high:.2f} nats: the model is no mixture of P- and P+ "
            "that learns from its prompt by Bayes' rule"
        )


def _status(holds: bool) -> AssumptionStatus:
    return "holds" if holds else "fails"
