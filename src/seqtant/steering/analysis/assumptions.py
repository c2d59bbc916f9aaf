"""What Theorems 1 and 2 assume, stated once, with the status that a check gave."""

from __future__ import annotations

from seqtant.findings import Assumption, AssumptionStatus

LINEAR = "A1: the change of the logits grows linearly with the strength"
MARGIN = "A2: every good reply gains on every bad one (a margin above 0)"
NOISE = "A3: on unrelated questions wrong answers gain or lose like Gaussian noise around 0"


def assumption(statement: str, status: AssumptionStatus = "not checked", how: str = "") -> Assumption:
    """One assumption; without a check it names the command that makes it."""
    return Assumption(statement=statement, status=status, how=how or "`seqtant steering diagnose` checks it")
