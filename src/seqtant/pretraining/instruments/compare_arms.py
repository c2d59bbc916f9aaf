"""Trains a small decoder on each arm and compares the arms on the same held-out text, paired by seed and anchor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from seqtant.findings import Assumption, Estimate, Result
from seqtant.models.decoder import Decoder
from seqtant.models.decoder_config import DecoderConfig
from seqtant.pretraining.build.build import open_or_build
from seqtant.pretraining.build.dataset import ExampleBatches, ExampleTable
from seqtant.pretraining.config import BuildConfig, CompareArmsConfig
from seqtant.pretraining.evaluation.arms import MEASURES, Evaluation, Losses, evaluate, sample_evaluation
from seqtant.pretraining.sections import EmbedSettings, ExampleSettings, SegmentSettings
from seqtant.progress import track
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import mean, percentile
from seqtant.training import TrainingConfig, train

_UNIT = "nats per token"
Found = dict[tuple[str, int], Losses]


@verb(CompareArmsConfig)
def compare_arms(config: CompareArmsConfig, context: Context) -> Result:
    """Trains a small decoder on each arm of a build and compares the arms on the same held-out text.

    Training losses are those of different texts; compared are losses of the same held-out tokens: of anchors after
    their neighbors, of anchors alone, of their rare tokens that a neighbor holds, of running text. Differences are
    paired by seed and anchor; the interval draws seeds and documents.

    Returns:
        Losses of every arm, and the first arm minus each of the others, per measure.

    Raises:
        InputError: The build holds no documents out, or lacks an arm.

    Example:
        >>> from seqtant.pretraining import Build
        >>> documents = [f"Thing {n} lies in box {n % 7}. Box {n % 7} stands in room {n % 3}." for n in range(60)]
        >>> segment = {"tokenizer": "bytes", "hold_out": 4}
        >>> built = Build.from_corpus([documents], segment=segment, examples={"window": 128})
        >>> tiny = {"depth": 1, "width": 8, "heads": 1, "steps": 2, "rows": 2, "seeds": 2, "anchors": 8}
        >>> "knn_minus_split_alone" in compare_arms(built, arms=("knn", "split"), **tiny).values
        True
    """
    small = BuildConfig(
        segment=SegmentSettings(vocabulary=400, shortest=3, hold_out=4),
        embed=EmbedSettings(dimension=32, buckets=1024),
        examples=ExampleSettings(arms=config.arms, window=64),
    )
    seeds = range(context.seed, context.seed + config.seeds)
    title = f"{', '.join(config.arms)}: {config.seeds} seeds, {config.steps} steps of {config.rows} examples"
    warmup = min(config.steps, max(1, config.steps // 20))
    settings = TrainingConfig(steps=config.steps, learning_rate=config.learning_rate, warmup=warmup)
    with open_or_build(config.folder, small, seed=context.seed) as built:
        evaluation = sample_evaluation(built, config.anchors, context.seed)
        shape = DecoderConfig(
            vocabulary=int(built.manifest["vocabulary"]),
            depth=config.depth,
            width=config.width,
            heads=config.heads,
            context=built.window,
            tied=True,
        )
        with Recorder("pretraining.compare-arms", title, config, context, papers=(6,)) as record:
            found: Found = {}
            for arm, seed in track([(a, s) for s in seeds for a in config.arms], context.progress, "runs"):
                place = None if context.folder is None else context.folder / "training" / f"{arm}-{seed}"
                # Runs of equal seed start from the same weights.
                model = Decoder(shape, generator=torch.Generator().manual_seed(seed))
                batches = ExampleBatches(ExampleTable(built, arm, seed=seed), rows=config.rows)
                here = Context(seed=seed, device="cpu", folder=place, progress=context.progress)
                train(model, batches, settings, context=here)
                found[arm, seed] = evaluate(model, evaluation)
            _record_losses(record, config, found, seeds)
            for control in config.arms[1:]:
                for name in MEASURES:
                    _record_difference(record, config.arms[0], control, name, found, seeds, evaluation)
            record.value("share", built.manifest["config"]["examples"]["share"])
            record.value("tokens_per_run", config.steps * config.rows * built.window)
    return record.result


def _record_losses(record: Recorder, config: CompareArmsConfig, found: Found, seeds: Sequence[int]) -> None:
    rows = []
    for arm in config.arms:
        line: list[str] = [arm]
        for name in MEASURES:
            losses = [float(np.nanmean(found[arm, seed].by_measure[name])) for seed in seeds]
            record.value(f"{arm}_{name.replace(' ', '_')}_loss", float(np.mean(losses)))
            line.append(mean(losses).number)
            for seed, loss in zip(seeds, losses, strict=True):
                record.measure(name, loss, unit=_UNIT, seed=seed, group=arm)
        similarity = [found[arm, seed].similarity for seed in seeds]
        record.value(f"{arm}_similarity", float(np.mean(similarity)))
        rows.append((*line, mean(similarity).number))
    record.table(
        "losses",
        "Losses on the same held-out text, in nats per token",
        ("arm", *MEASURES, "similarity"),
        rows,
        note="cloze: rare words of a segment, read alone, that a neighbor in the training text holds too. similarity: "
        "rank correlation of averaged token embeddings with being of one document.",
    )


def _record_difference(
    record: Recorder, first: str, control: str, name: str, found: Found, seeds: Sequence[int], evaluation: Evaluation
) -> None:
    """One measure of the first arm minus a control, paired by seed and anchor."""
    ours, theirs = (np.stack([found[arm, seed].by_measure[name] for seed in seeds]) for arm in (first, control))
    differences = ours - theirs
    clusters = np.array([anchor.document for anchor in evaluation.anchors])
    if name == "running text":
        clusters = np.arange(differences.shape[1])
    # NaN marks anchors without a token of that kind; they drop out of every seed alike.
    there = np.isfinite(differences).all(axis=0)
    key = f"{first}_minus_{control}_{name.replace(' ', '_')}"
    if len(np.unique(clusters[there])) < 2:
        record.warn(f"{key}: too few documents to compare")
        return
    estimate = mean_over_both(differences[:, there], clusters[there])
    low, high = estimate.low or 0.0, estimate.high or 0.0
    record.value(key, estimate.value)
    record.finding(
        key,
        f"Is the loss '{name}' lower after training on {first} than on {control}?",
        "agrees" if high < 0 else "disagrees" if low > 0 else "inconclusive",
        f"{estimate.value:+.4f} nats per token.",
        predicted=Estimate(value=0.0, high=0.0, method="the paper's claim: lower", unit=_UNIT),
        measured=estimate,
        assumptions=(
            Assumption(
                statement="There are seeds enough to tell their scatter",
                status="holds" if len(seeds) >= 5 else "not checked",
                how=f"{len(seeds)} seeds, paired; the interval draws seeds and documents",
            ),
        ),
    )


def mean_over_both(differences: Float[np.ndarray, "seeds rows"], clusters: np.ndarray) -> Estimate:
    """Estimates a mean with the percentile interval of a bootstrap over seeds and, independently, clusters."""
    generator = np.random.default_rng(0)
    names, index = np.unique(clusters, return_inverse=True)
    sums = np.stack([np.bincount(index, weights=row) for row in differences])
    counts = np.bincount(index)
    seeds = len(differences)
    by_seed = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=2000)
    by_cluster = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=2000)
    # [2000, seeds] @ [seeds, clusters]: sum of the resampled seeds per cluster, then over the resampled clusters.
    draws = ((by_seed @ sums) * by_cluster).sum(axis=1) / (by_cluster @ counts) / seeds
    return percentile(
        float(differences.mean()),
        draws,
        method="bootstrap of seeds and documents",
        n=differences.size,
        clusters=len(names),
        unit=_UNIT,
    )
