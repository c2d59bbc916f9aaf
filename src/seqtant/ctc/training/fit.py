"""Training one recognizer on one objective with the shared loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from seqtant.ctc.losses.objective import Objective
from seqtant.ctc.recognition.dataset import Corpus, CorpusBatches, step_seed
from seqtant.ctc.recognition.recognizer import Recognizer
from seqtant.runs.context import Context
from seqtant.training import LossSum, Periodic, TrainingConfig, TrainingHistory, train
from seqtant.training.batches import Batch

StatsSink = Callable[[int, Mapping[str, float]], None]


def fit(
    recognizer: Recognizer,
    corpus: Corpus,
    objective: Objective,
    config: TrainingConfig,
    *,
    batch_size: int,
    context: Context,
    seed: int,
    callbacks: tuple[Periodic, ...] = (),
    stats: StatsSink | None = None,
) -> TrainingHistory:
    """Trains the encoder in place; the same seed gives the same batches and, on one device, the same weights.

    Args:
        recognizer: What is trained.
        corpus: Utterances to learn from.
        objective: What is minimized.
        config: Steps, learning rate.
        batch_size: Utterances per step.
        context: Device, folder of checkpoints, progress.
        seed: Of the order of utterances and of the sampled paths.
        callbacks: What else to do periodically.
        stats: Told the step and the statistics of each forward pass.
    """

    def loss(model: nn.Module, batch: Batch) -> LossSum:
        log_probs, lengths = model(batch["features"], batch["lengths"])
        step = int(batch["step"][0])
        generator = torch.Generator(log_probs.device).manual_seed(step_seed(seed + 1, step))
        result = objective(
            log_probs, lengths, batch["targets"], batch["target_lengths"], generator=generator, step=step
        )
        if stats is not None:
            stats(step, result.stats)
        rows = len(batch["step"])
        return LossSum(result.loss * rows, torch.tensor(float(rows), device=log_probs.device))

    objective.train()
    batches = CorpusBatches(corpus, batch_size, seed=seed, trim=objective.trim)
    return train(recognizer.encoder, batches, config, loss=loss, context=context, callbacks=callbacks)
