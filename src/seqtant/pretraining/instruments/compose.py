"""Two facts in one example or in two: trains the arms over several seeds and compares what each can join."""

from __future__ import annotations

import numpy as np

from seqtant.findings import Assumption, Estimate, Result, Verdict
from seqtant.pretraining.config import ComposeConfig
from seqtant.pretraining.evaluation.composition import ARMS, Accuracy, ComposeArm, run_arm
from seqtant.progress import track
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean

_TITLES = {"knn": "both facts in one example", "split": "in two examples", "random": "with another entity's"}


def run(config: ComposeConfig, context: Context) -> Result:
    """Trains every arm on every seed."""
    seeds = [context.seed + number for number in range(config.seeds)]
    jobs: list[tuple[ComposeArm, int]] = [(arm, seed) for seed in seeds for arm in ARMS]
    title = f"Joining two facts: {config.seeds} seeds, {config.steps} steps, chance {1 / config.values:g}"
    with Recorder("pretraining.compose", title, config, context, papers=(6,)) as record:
        found = {job: run_arm(config, *job) for job in track(jobs, context.progress, "runs")}
        for arm in ARMS:
            accuracies = [found[arm, seed].held_out for seed in seeds]
            record.value(f"{arm}_accuracy", float(np.mean(accuracies)))
            for seed, each in zip(seeds, accuracies, strict=True):
                record.measure("held_out_accuracy", each, seed=seed, group=arm)
        _record_table(record, found, seeds)
        _record_difference(record, config, found, seeds, "split")
        _record_difference(record, config, found, seeds, "random")
    return record.result


def _column(found: dict[tuple[ComposeArm, int], Accuracy], arm: ComposeArm, seeds: list[int], name: str) -> np.ndarray:
    return np.array([getattr(found[arm, seed], name) for seed in seeds])


def _record_table(record: Recorder, found: dict[tuple[ComposeArm, int], Accuracy], seeds: list[int]) -> None:
    names = ("held_out", "shown", "first", "second")
    record.table(
        "accuracy",
        "Share answered right",
        ("arm", "joined, never shown", "joined, shown", "first fact", "second fact"),
        [
            (f"{arm} ({_TITLES[arm]})", *(mean(_column(found, arm, seeds, name)).number for name in names))
            for arm in ARMS
        ],
        note="Means over seeds and over all places in a row. All arms show every fact equally often.",
    )


def _record_difference(
    record: Recorder,
    config: ComposeConfig,
    found: dict[tuple[ComposeArm, int], Accuracy],
    seeds: list[int],
    control: ComposeArm,
) -> None:
    together, apart = (_column(found, arm, seeds, "held_out") for arm in ("knn", control))
    difference = mean(together - apart)
    low = -1.0 if difference.low is None else difference.low
    high = 1.0 if difference.high is None else difference.high
    verdict: Verdict = "agrees" if low > 0 else "disagrees" if high < 0 else "inconclusive"
    record.value(f"knn_minus_{control}", difference.value)
    facts = [_column(found, control, seeds, name).mean() for name in ("first", "second")]
    record.finding(
        f"knn_against_{control}",
        f"Can facts be joined better when they shared an example than {_TITLES[control]}?",
        verdict,
        f"{together.mean():.2f} against {apart.mean():.2f} of the joined facts that were never shown.",
        predicted=Estimate(value=0.0, low=0.0, method="theory: the difference is positive"),
        measured=difference,
        assumptions=(
            Assumption(
                statement="The control knows the single facts",
                status="holds" if min(facts) > 0.9 else "fails",
                how=f"it answers {facts[0]:.2f} of the first and {facts[1]:.2f} of the second facts",
            ),
            Assumption(statement="Chance", status="holds", how=f"one in {config.values} values"),
        ),
        advice="Facts that are to be joined should meet in one training example." if verdict == "agrees" else "",
    )
