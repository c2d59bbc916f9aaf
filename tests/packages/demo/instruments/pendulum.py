"""Times simulated swings, beside the law of the small pendulum."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import numpy as np
from scipy.special import ellipk
from seqtant.demo.config import PendulumConfig

from seqtant.findings import Assumption, Estimate, Result, Verdict
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

GRAVITY = 9.81


@verb(PendulumConfig)
def time_pendulum(config: PendulumConfig, context: Context) -> Result:
    """Predicts by the small-angle law, measures on exact swings with a noisy clock."""
    generator = np.random.default_rng(context.seed)
    law = 2 * math.pi * math.sqrt(config.length / GRAVITY)
    swing = law * 2 / math.pi * ellipk(math.sin(math.radians(config.angle) / 2) ** 2)
    with Recorder("demo.pendulum", f"A pendulum of {config.length:g} m", config, context, papers=(3, 8)) as record:
        means = []
        for start in range(config.starts):
            timed = swing + generator.normal(0, config.clock.error, config.swings)
            for step, value in enumerate(timed):
                record.measure("period", value, unit="s", step=step, seed=context.seed, group=f"start {start}")
            means.append(fmean(timed))
        half = 2.5 * stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.inf
        measured = Estimate(
            value=fmean(means),
            low=fmean(means) - half,
            high=fmean(means) + half,
            method="Student t",
            n=config.starts * config.swings,
            clusters=config.starts,
            unit="s",
        )
        inside = measured.low <= law <= measured.high
        verdict: Verdict = "inconclusive" if math.isinf(half) else "agrees" if inside else "disagrees"
        small = config.angle <= 15
        record.finding(
            "period_seconds",
            "How long does one swing take?",
            verdict,
            f"One swing takes {measured.number}; the law of the small pendulum says {law:.4g} s.",
            predicted=Estimate.exact(law, "s", method="2 pi sqrt(length / g)"),
            measured=measured,
            assumptions=(
                Assumption(
                    statement="The angle is small.",
                    status="holds" if small else "fails",
                    how=f"amplitude {config.angle:g} degrees, the law is good to 0.5 % up to 15",
                ),
                Assumption(statement="The string has no mass.", how="a simulated string has none"),
            ),
            advice="Trust the law." if inside else "Swing it less, or use the elliptic integral.",
        )
        record.value("period_seconds", measured.value)
        record.value("law_seconds", law)
        rows = [(f"start {n}", mean, mean - law) for n, mean in enumerate(means)]
        record.table("starts", "Mean of each start", ("start", "mean, s", "mean - law, s"), rows, note="Equal weights.")
    return record.result
