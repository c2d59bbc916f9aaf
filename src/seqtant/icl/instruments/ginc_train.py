"""Trains a network on GINC and asks it prompts: does accuracy rise with the number of shots, how far from Bayes?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqtant.findings import Estimate, Result
from seqtant.icl.config import GincTrainConfig
from seqtant.icl.ginc.bayes import query_log_probs, record_accuracy, record_loss
from seqtant.icl.ginc.dataset import open_ginc, sample_documents, sample_prompts
from seqtant.icl.ginc.networks import PROMPT_SEED, VALIDATION_SEED, save_network, train_network, wrap_network
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import mean


@verb(GincTrainConfig)
def ginc_train(config: GincTrainConfig, context: Context) -> Result:
    """Trains a network on documents of GINC, measures its loss against exact Bayes, and asks it prompts.

    With a folder the network is kept in ``model``, and a run that was stopped resumes.

    Returns:
        ``cross_entropy``, ``bayes_cross_entropy`` and ``cross_entropy_gap``, ``accuracy_kK_nN`` after N shots of K
        symbols, their ``rise`` from none to many, ``parameters`` and ``symbols_read``.

    Raises:
        InputError: The configuration does not fit.

    Example:
        >>> from seqtant.training import TrainingConfig
        >>> few = {"context": 24, "rows": 2, "example_lengths": (3,), "shots": (0, 1), "prompts": 4, "validation": 2}
        >>> tiny = {"name": "lstm", "layers": 1, "width": 8}
        >>> result = ginc_train(network=tiny, training=TrainingConfig(steps=2), device="cpu", **few)
        >>> result.values["symbols_read"]
        92
    """
    title = f"{config.network.name} of {config.network.layers} layers trained on GINC-{config.vocabulary}"
    with Recorder("icl.ginc-train", title, config, context, papers=(4,)) as record:
        ginc = open_ginc(config)
        bos = not config.documents
        network, history = train_network(
            config.network,
            ginc,
            config.training,
            length=config.context,
            rows=config.rows,
            documents=config.documents,
            context=context,
        )
        model = wrap_network(network, bos_id=ginc.settings.vocabulary if bos else None, name=title)
        if context.folder is not None:
            save_network(network, context.folder / "model", ginc.names, bos=bos, context=config.context)
            context.progress.note(f"model written to {context.folder / 'model'}")
        record.value("parameters", sum(weights.numel() for weights in network.parameters()))
        record.value("symbols_read", history.tokens)
        for step in np.linspace(0, history.steps - 1, min(history.steps, 100)).astype(int):
            record.measure("training_loss", history.losses[step], unit="nats per symbol", step=float(step + 1))
        generator = np.random.default_rng([context.seed, VALIDATION_SEED])
        record_loss(
            record,
            model,
            ginc,
            sample_documents(ginc, config.validation, config.context - 1, generator).tokens,
            question="How far is the trained network from the exact Bayes predictor on documents?",
            summary="{ours:.3f} nats per symbol against {best:.3f} of exact Bayes.",
        )
        rows = []
        for length in config.example_lengths:
            generator = np.random.default_rng([context.seed, PROMPT_SEED, length])
            prompts = sample_prompts(ginc, config.prompts, max(config.shots), length, generator)
            log_probs = query_log_probs(model, prompts, ginc.settings.vocabulary, progress=context.progress)
            right = log_probs.argmax(axis=2) == prompts.labels
            rates = record_accuracy(record, right, config.shots, f"{length} symbols")
            for number, rate in rates.items():
                record.value(f"accuracy_k{length}_n{number}", rate.value)
            rows.append((length, *(round(100 * rate.value, 1) for rate in rates.values())))
            if length < max(config.example_lengths):
                continue
            # The gain from no shots to the mean of the larger half of shot numbers, prompt by prompt.
            asked = right[:, list(config.shots)]  # [prompts, numbers of shots]
            gain = mean(asked[:, asked.shape[1] // 2 :].mean(axis=1) - asked[:, 0])
            record.value("rise", gain.value)
            record.finding(
                "rise",
                f"Does accuracy rise with the number of shots at {length} symbols per example?",
                "agrees" if (gain.low or 0) > 0 else "disagrees" if (gain.high or 0) < 0 else "inconclusive",
                f"With many shots accuracy is {100 * gain.value:.1f} points above that with none.",
                predicted=Estimate(value=0.0, low=0.0, method="it rises"),
                measured=replace(gain, method="paired by prompt, Student t"),
            )
        columns = ("example length", *(f"{number} shots" for number in config.shots))
        record.table("accuracy", "Accuracy in context, per cent", columns, rows)
    return record.result
