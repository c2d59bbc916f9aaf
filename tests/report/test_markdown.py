"""A record as a section of Markdown: everything that it says, in the order in which people read it."""

from __future__ import annotations

from seqtant.findings import Estimate, Finding, Result, Table
from seqtant.report.markdown import section

WHOLE = """\
## half.json

Half of three. `seqtant demo half`, 1 s.

- **agrees**: Is it half? Yes. Measured 1.50 [1.40, 1.60] (95 %, t).
- **vacuous**: Is it bounded? By infinity.
- warning: 3 is odd

Steps:

| n | half |
| ---: | ---: |
| 3 | 1.5 |

Both exact."""


def test_findings_come_before_warnings_and_tables_last_with_their_note() -> None:
    measured = Estimate(value=1.5, low=1.4, high=1.6, method="t")
    result = Result(
        instrument="demo.half",
        title="Half of three",
        id="0",
        created="",
        config={},
        config_hash="",
        findings=(
            Finding(key="half", question="Is it half?", verdict="agrees", summary="Yes.", measured=measured),
            Finding(key="bound", question="Is it bounded?", verdict="vacuous", summary="By infinity."),
        ),
        warnings=("3 is odd",),
        tables=(Table(name="t", title="Steps", columns=("n", "half"), rows=((3, 1.5),), note="Both exact."),),
    )
    assert section("half.json", result, "`seqtant demo half`, 1 s") == WHOLE
