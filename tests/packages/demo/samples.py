"""Results of every kind for tests of what shows them: all verdicts, a failure, claims, hostile text."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seqtant.demo.config import PendulumConfig

from seqtant.experiments.claims import judge
from seqtant.findings import Artifact, Claim, Estimate, Result
from seqtant.instruments import run
from seqtant.runs.recorder import Context, Recorder

HOSTILE = "</script><script>alert('x')</script><!-- [red]&amp; {{ 7 * 7 }} [/red] \u2028"


@dataclass(frozen=True)
class ReportConfig:
    """What the composite was asked."""

    model: str = HOSTILE
    """A model with a nasty name."""


def single(**settings: object) -> Result:
    """One run that agrees, with figure, table and claims."""
    result = run(PendulumConfig(**settings), Context(seed=1, command="seqtant demo pendulum --seed 1"))
    text = Claim(id="p8.depth", paper=8, statement="", locator="T1", published=96, tolerance=1, source="text")
    memory = replace(text, id="p7.redundancy", source="memory")
    return replace(
        result,
        claims=(judge(text, Estimate.exact(95)), judge(memory, None)),
        artifacts=(Artifact(path="weights.bin", kind="weights", sha256="ab" * 32, bytes=12),),
    )


def composite() -> Result:
    """All verdicts, a failed part, and hostile text wherever text goes."""
    context = Context(command="seqtant checkup model --out report")
    with Recorder("checkup", f"Checkup of {HOSTILE}", ReportConfig(), context, papers=(3, 8)) as whole:
        whole.part(single())
        whole.part(run(PendulumConfig(length=2.5, angle=60.0), Context(seed=1)))
        whole.part(run(PendulumConfig(starts=1, swings=2), Context(seed=1)))
        with Recorder("elsewhere.bound", HOSTILE, ReportConfig(), Context(), papers=(3,)) as bound:
            bound.finding(
                "length",
                "How long?",
                "vacuous",
                HOSTILE,
                predicted=Estimate(value=float("inf"), method="Theorem 2", unit="sentences"),
                advice=HOSTILE,
            )
            bound.warn(HOSTILE)
            bound.table("t", HOSTILE, (HOSTILE, "n"), [(HOSTILE, 1), (None, 2)], note=HOSTILE)
            bound.value("length", float("inf"))
        whole.part(bound.result)
        with Recorder("demo.pendulum", "demo failed", ReportConfig(), Context()) as failed:
            failed.warn("demo failed: the string broke")
        whole.part(replace(failed.result, status="failed"))
    return whole.result
