"""Two checks that can refuse a number: has the divergence converged, and can the model be a mixture with P- at all?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqtant.beb.evidence import Evidence
from seqtant.beb.readings import Area
from seqtant.findings import Assumption, Estimate

LARGEST_FLOOR = 0.25
"""Largest floor, as a share of beta, at which the divergence counts as converged."""
SLACK = 0.25
"""Nats by which sums may exceed log(1/alpha) before the mixture is called inconsistent."""


@dataclass(frozen=True)
class Gates:
    """What the checks said."""

    refusals: tuple[str, ...]
    """Why no log(1/alpha) is given; empty where it is."""
    consistent: bool
    """Whether no sum of evidence exceeds log(1/alpha), as it cannot for an exact mixture."""
    excess: float
    """Nats by which the largest sum exceeds it."""

    def assumptions(self) -> tuple[Assumption, ...]:
        """Both checks, for a finding."""
        return (
            Assumption(
                statement="Along the prompts the divergence of P- from the model falls to a floor near 0",
                status="fails" if self.refusals else "holds",
                how="; ".join(self.refusals) or f"floor at most {100 * LARGEST_FLOOR:g} % of beta",
            ),
            Assumption(
                statement="The model is an exact mixture that holds P-: no prompt's evidence exceeds log(1/alpha)",
                status="holds" if self.consistent else "fails",
                how=f"the largest sum exceeds it by {self.excess:.2f} nats; {SLACK:g} are allowed",
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
    return Gates(tuple(_refusals(evidence.divergence, area, beta)), *_consistency(evidence, area, estimate))


def _refusals(divergence: np.ndarray, area: Area, beta: float) -> Sequence[str]:
    found = []
    if beta <= 0:
        found.append("P- and P+ cannot be told apart: beta is 0")
    elif area.floor > LARGEST_FLOOR * beta:
        found.append(f"the floor of {area.floor:.3f} nats per sentence is {100 * area.floor / beta:.0f} % of beta")
    part = max(2, divergence.shape[1] // 4)
    fall = divergence[:, :part].mean(axis=1) - divergence[:, -part:].mean(axis=1)
    if fall.mean() <= 2 * fall.std(ddof=1) / np.sqrt(len(fall)):
        found.append("the divergence does not fall along the prompts")
    if area.floor * divergence.shape[1] > max(area.value, 0.0):
        found.append(
            f"the floor sums to {area.floor * divergence.shape[1]:.2f} nats, more than the {area.value:.2f} above it"
        )
    return found


def _consistency(evidence: Evidence, area: Area, estimate: Estimate) -> tuple[bool, float]:
    most = estimate.value if estimate.high is None else estimate.high
    largest = max(float(evidence.log_ratio.cumsum(axis=1).max()), area.raw)
    return largest <= most + SLACK, largest - estimate.value
