"""A trained model on prompts of GINC beside exact Bayes on the very same prompts: the Bayes gap."""

from __future__ import annotations

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.icl.config import GincEvalConfig, GincNetwork
from seqtant.icl.ginc.bayes import bayes_model, predict_prompts, query_log_probs, record_accuracy, record_loss
from seqtant.icl.ginc.dataset import open_ginc, sample_documents, sample_prompts
from seqtant.icl.ginc.networks import load_network, train_network, wrap_network
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import name_of
from seqtant.stats.intervals import mean
from seqtant.training import TrainingConfig


@verb(GincEvalConfig)
def ginc_eval(config: GincEvalConfig, context: Context) -> Result:
    """Asks a trained model and exact Bayes the same prompts and documents of GINC.

    Returns:
        ``accuracy_N``, ``bayes_accuracy_N`` and ``bayes_gap_N`` after N shots, ``cross_entropy``,
        ``bayes_cross_entropy`` and ``cross_entropy_gap`` of documents, in nats per symbol.

    Raises:
        InputError: The model cannot be read or does not know GINC's symbols, or prompts do not fit its context.

    Example:
        >>> few = {"shots": (0, 1), "prompts": 4, "documents": 2, "document_length": 32}
        >>> result = ginc_eval(example_length=3, **few)
        >>> "bayes_gap_1" in result.values
        True
    """
    name = "A tiny model" if config.model is None else name_of(config.model)
    title = f"{name} on GINC-{config.vocabulary}, {config.example_length} symbols per example"
    with Recorder("icl.ginc-eval", title, config, context, papers=(4,)) as record:
        ginc = open_ginc(config)
        if config.model is not None:
            model = load_network(config.model, device=context.device)
        else:
            record.warn("no model was given: a tiny one was trained for a moment, to show what is measured")
            network, _ = train_network(
                GincNetwork(name="lstm", layers=1, width=48),
                ginc,
                TrainingConfig(steps=60, learning_rate=1e-2, warmup=5),
                length=128,
                rows=8,
                context=Context(seed=context.seed, device="cpu"),
            )
            model = wrap_network(network, bos_id=config.vocabulary, name="tiny lstm")
        if not config.vocabulary <= model.vocabulary_size <= config.vocabulary + 1:
            raise InputError(
                f"'{model.name}' knows {model.vocabulary_size} tokens, GINC-{config.vocabulary} has "
                f"{config.vocabulary}: give a model that was trained on it"
            )
        limit = model.context_length or 10**9
        fitting = [number for number in config.shots if (number + 1) * (config.example_length + 1) <= limit]
        if not fitting:
            raise InputError(f"'{model.name}' reads {limit} tokens: not even {min(config.shots)} shots fit")
        if len(fitting) < len(config.shots):
            record.warn(
                f"'{model.name}' reads {limit} tokens: more than {max(fitting)} shots do not fit and are left out"
            )
        generator = np.random.default_rng([context.seed, config.example_length])
        record_loss(
            record,
            model,
            ginc,
            # One token less than the limit: a beginning-of-sequence token may stand before the document.
            sample_documents(ginc, config.documents, min(config.document_length, limit - 1), generator).tokens,
            question="How far is the model from the smallest possible loss on documents?",
            summary="{ours:.3f} nats per symbol, {gap:.3f} above exact Bayes.",
        )
        length, law = config.example_length, config.labels
        prompts = sample_prompts(
            ginc, config.prompts, max(fitting), length, generator, labels=law, outside=config.outside
        )
        ours = query_log_probs(model, prompts, config.vocabulary, progress=context.progress)
        mixture = bayes_model(ginc, smoothing=config.smoothing)
        best, _ = predict_prompts(mixture, prompts, progress=context.progress)
        right, ideal = (log_probs.argmax(axis=2) == prompts.labels for log_probs in (ours, best))
        _compare(record, config, fitting, right, ideal)
    return record.result


def _compare(record: Recorder, config: GincEvalConfig, shots: list[int], right: np.ndarray, ideal: np.ndarray) -> None:
    """Compares the model and exact Bayes prompt by prompt: the gap's interval is that of paired differences."""
    rates = record_accuracy(record, right, shots, "model")
    best = record_accuracy(record, ideal, shots, "exact Bayes")
    gaps = {number: mean(ideal[:, number].astype(float) - right[:, number]) for number in shots}
    rows = []
    for number, gap in gaps.items():
        record.value(f"accuracy_{number}", rates[number].value)
        record.value(f"bayes_accuracy_{number}", best[number].value)
        record.value(f"bayes_gap_{number}", gap.value)
        cells = (rates[number].value, rates[number].low, rates[number].high, best[number].value, gap.value)
        rows.append((number, *(round(100 * (cell or 0.0), 1) for cell in cells)))
    columns = ("shots", "accuracy, %", "low", "high", "exact Bayes, %", "gap, points")
    record.table("accuracy", "Accuracy in context", columns, rows, note=f"Labels shown: {config.labels}.")
    last = shots[-1]
    sure = (gaps[last].low or 0) > 0
    record.finding(
        "bayes_gap",
        f"Does the model predict as well as exact Bayes after {last} shots?",
        "disagrees" if sure else "agrees",
        f"{100 * rates[last].value:.0f} % against {100 * best[last].value:.0f} %.",
        predicted=best[last],
        measured=rates[last],
        advice="Its loss on documents may be near the optimum all the same: prompts jump where documents do not."
        if sure
        else "",
    )
