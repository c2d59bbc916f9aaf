"""What the checkup finds on the reference model beside what is known of it: the instruments' own certificate."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Estimate, Finding, Result
from seqtant.lm.folder import REFERENCE
from seqtant.runs.recorder import Recorder
from seqtant.sources import is_path

CALIBRATED = {
    "architecture": {"weights": "parameters"},
    "pretraining": {"world": "gain from related text"},
    "icl": {"within_factor": "shots within 1.5 times"},
    "beb": {"log_inverse_alpha": "log(1/alpha)", "breaking_length": "half-way length"},
    "steering": {"strength": "strength for the budget", "alignment": "alignment there"},
    "subtasks": {"exposure": "whole solutions"},
}
"""Findings of each instrument with a known answer on the reference model, and what they are about."""


def record_calibration(record: Recorder, model: Any, parts: list[tuple[str, Result]]) -> None:
    """Adds the certificate to a checkup of the reference model.

    Args:
        record: The checkup's.
        model: Its model; any other than the reference has no known answers.
        parts: Name of each instrument, and its result.
    """
    if not is_path(model) or str(model) != REFERENCE:
        return
    rows = [
        (name, found, CALIBRATED[name][found.key])
        for name, result in parts
        for found in result.findings
        if found.key in CALIBRATED.get(name, ())
    ]
    if not rows:
        return
    record.table(
        "calibration",
        "Calibration: what was found beside what is known",
        ("instrument", "what", "known", "found", "verdict"),
        [(name, what, _shown(found.predicted), _shown(found.measured), _verdict(found)) for name, found, what in rows],
        note="The reference model learned a synthetic world whose probabilities are known exactly. Known: counted, "
        "exact in the world, or predicted before it was measured on held-out items.",
    )
    record.value("calibrated", sum(found.verdict == "agrees" for _, found, _ in rows))
    record.value("calibrations", len(rows))


def _shown(estimate: Estimate | None) -> str | None:
    return None if estimate is None else f"{estimate.number} {estimate.interval}".strip()


def _verdict(finding: Finding) -> str:
    """The verdict, with the assumption that fails where it is bad news."""
    reasons = [each for each in finding.assumptions if each.status == "fails"]
    if finding.verdict == "agrees" or not reasons:
        return finding.verdict
    return f"{finding.verdict}; fails: {reasons[0].statement} ({reasons[0].how})"
