"""What the checkup finds on the reference model beside what is known of it: the instruments' own certificate."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Cell, Result
from seqtant.runs.recorder import Recorder
from seqtant.sources import REFERENCE, is_path

CALIBRATED = {
    "architecture": {"weights": "parameters"},
    "pretraining": {"world": "gain from related text"},
    "icl": {"within_factor": "shots within 1.5 times"},
    "beb": {"log_inverse_alpha": "log(1/alpha)", "breaking_length": "half-way length"},
    "steering": {"edge": "strength for the budget", "strength": "alignment gained"},
    "subtasks": {"exposure": "whole solutions"},
}
"""Findings of each instrument with a known answer on the reference model, and what they are about."""


def record_calibration(record: Recorder, model: Any, parts: list[tuple[str, Result]]) -> None:
    """Adds the certificate to a checkup of the reference model; no other model has known answers."""
    if not is_path(model) or str(model) != REFERENCE:
        return
    found = [(name, each) for name, result in parts for each in result.findings]
    known = [(name, each) for name, each in found if each.key in CALIBRATED.get(name, ())]
    rows: list[tuple[Cell, ...]] = []
    for name, each in known:
        reasons = [one for one in each.assumptions if one.status == "fails"]
        verdict: str = each.verdict
        if verdict != "agrees" and reasons:
            verdict = f"{verdict}; fails: {reasons[0].statement} ({reasons[0].how})"
        sides = (
            None if side is None else f"{side.number} {side.interval}".strip()
            for side in (each.predicted, each.measured)
        )
        rows.append((name, CALIBRATED[name][each.key], *sides, verdict))
    if not rows:
        return
    record.table(
        "calibration",
        "Calibration: what was found beside what is known",
        ("instrument", "what", "known", "found", "verdict"),
        rows,
        note="The reference model learned a synthetic world whose probabilities are known exactly. Known: counted, "
        "exact in the world, or predicted before it was measured on held-out items.",
    )
    record.values(calibrated=sum(each.verdict == "agrees" for _, each in known), calibrations=len(rows))
