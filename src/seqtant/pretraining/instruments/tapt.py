"""Adapts a masked language model to each arm; compares sentence similarity from averaged token embeddings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from seqtant.findings import Assumption, Estimate, Result
from seqtant.pretraining.build.build import open_or_build
from seqtant.pretraining.build.dataset import ExampleBatches, ExampleTable
from seqtant.pretraining.config import BuildConfig, TaptConfig
from seqtant.pretraining.evaluation.arms import (
    MaskedBatches,
    masked_loss,
    masked_model,
    pair_similarities,
    read_pairs,
    sample_pairs,
    spearman,
)
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import percentile
from seqtant.training import TrainingConfig, train


@verb(TaptConfig)
def tapt(config: TaptConfig, context: Context) -> Result:
    """Adapts a masked language model to text, with and without neighbors in the same example.

    Each arm starts from the same weights; a model in memory is copied and keeps its own. Compared is the rank
    correlation of sentence similarity, the cosine of averaged input embeddings, with the scores of sentence pairs.

    Returns:
        Spearman correlation before and after each arm, and the first arm minus each of the others.

    Raises:
        InputError: The model, the build or the pairs cannot be used, or do not fit each other.

    Example:
        >>> from seqtant.pretraining import Build
        >>> documents = [f"Thing {n} lies in box {n % 7}. Box {n % 7} stands in room {n % 3}." for n in range(60)]
        >>> built = Build.from_corpus([documents], segment={"tokenizer": "bytes"}, examples={"window": 128})
        >>> result = tapt(None, built, arms=("knn", "split"), steps=1, rows=2, evaluation_pairs=20)
        >>> -1 <= result.values["knn_spearman"] <= 1
        True
    """
    settings = TrainingConfig(steps=config.steps, learning_rate=config.learning_rate, warmup=config.steps // 10)
    with open_or_build(config.folder, BuildConfig.smoke(), seed=context.seed) as built:
        pairs = (
            read_pairs(config.pairs, built)
            if config.pairs is not None
            else sample_pairs(built, config.evaluation_pairs, context.seed)
        )
        vocabulary = int(built.manifest["vocabulary"])
        title = f"Task-adaptive pretraining on {', '.join(config.arms)}, {config.steps} steps"
        with Recorder("pretraining.tapt", title, config, context, papers=(6,)) as record:
            found: dict[str, np.ndarray] = {}
            losses: dict[str, float] = {}
            for arm in ("before", *config.arms):
                model: Any = masked_model(config.model, vocabulary=vocabulary, window=built.window, seed=context.seed)
                if arm != "before":
                    place = None if context.folder is None else context.folder / "training" / arm
                    examples = ExampleTable(built, arm, seed=context.seed)
                    batches = MaskedBatches(
                        ExampleBatches(examples, rows=config.rows),
                        mask=int(getattr(model.config, "mask_token_id", None) or examples.separator),
                        vocabulary=vocabulary,
                        share=config.masked,
                        seed=context.seed,
                    )
                    here = replace(context, folder=place)
                    history = train(model, batches, settings, loss=masked_loss, context=here)
                    losses[arm] = float(np.mean(history.losses[-max(1, config.steps // 10) :]))
                table = model.get_input_embeddings().weight.detach().cpu().float().numpy()
                found[arm] = pair_similarities(table, pairs)
            _record(record, config, found, losses, pairs.score)
    return record.result


def _record(
    record: Recorder, config: TaptConfig, found: dict[str, np.ndarray], losses: dict[str, float], score: np.ndarray
) -> None:
    # The same resamples of the pairs for every arm: differences between arms are paired.
    n = len(score)
    draws = np.random.default_rng([record.context.seed, 9]).integers(n, size=(500, n))
    resampled = {arm: np.array([spearman(line[rows], score[rows]) for rows in draws]) for arm, line in found.items()}
    own = {arm: spearman(line, score) for arm, line in found.items()}
    for arm, value in own.items():
        record.value(f"{arm}_spearman", value)
        record.measure("spearman", value, group=arm)
    record.table(
        "similarity",
        "Rank correlation of sentence similarity with the scores",
        ("arm", "Spearman", "masked loss, own text"),
        [(arm, str(percentile(own[arm], resampled[arm], n=n)), losses.get(arm)) for arm in found],
        note="Cosine of averaged input token embeddings. Losses of different arms are those of different texts.",
    )
    first, *controls = config.arms
    given = config.pairs is not None
    for control in controls:
        difference = percentile(
            own[first] - own[control], resampled[first] - resampled[control], method="paired bootstrap", n=n
        )
        low, high = difference.low or 0.0, difference.high or 0.0
        record.value(f"{first}_minus_{control}_spearman", difference.value)
        record.finding(
            f"{first}_against_{control}",
            f"Do the embeddings tell alike sentences better after {first} than after {control}?",
            "agrees" if low > 0 else "disagrees" if high < 0 else "inconclusive",
            f"{difference.value:+.3f} in rank correlation over {n} pairs.",
            predicted=Estimate(value=0.0, low=0.0, method="the paper's claim: better"),
            measured=difference,
            assumptions=(
                Assumption(
                    statement="The scores are judgments of meaning",
                    status="holds" if given else "fails",
                    how="read from the file" if given else "being of one document stands in for them",
                ),
            ),
        )
