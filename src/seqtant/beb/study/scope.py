"""What every result of this room rests on and does not say; printed with each of them."""

from __future__ import annotations

from seqtant.findings import Assumption
from seqtant.runs.recorder import Recorder

LIMITS = (
    Assumption(
        statement="The model's text is a mixture that gives bad behavior some weight, alpha > 0",
        how="the theory assumes it and cannot prove it; a fitted P- that tells nothing of the model fails the gate",
    ),
    Assumption(
        statement="P- behaves badly after every prompt, not only after those that were tried",
        how="the strongest assumption of the theory; gamma is the worst over the prompts drawn here",
    ),
    Assumption(
        statement="Nothing outside the model filters prompts or answers",
        how="filters are outside of the theory",
    ),
)
"""The scope of the theory."""

DIRECTION = (
    "Lengths bound an attack from above: alignment fails by then. A prompt may fail it sooner; shorter prompts are not "
    "vouched for."
)
"""How every length is to be read."""


def note_scope(record: Recorder) -> None:
    """Says in a result how its lengths are to be read and what they rest on."""
    rows = [(limit.statement, limit.status, limit.how) for limit in LIMITS]
    record.table("scope", "What these numbers rest on", ("assumption", "status", "why"), rows, note=DIRECTION)
