"""A trained model on prompts of GINC beside exact Bayes on the very same prompts: the Bayes gap."""

from __future__ import annotations

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.icl.config import GincEvalConfig, GincNetwork, GincTrainConfig
from seqtant.icl.ginc.answers import record_accuracy, right_answers
from seqtant.icl.ginc.bayes import bayes_model, query_log_probs, read_shots
from seqtant.icl.ginc.learning import fit
from seqtant.icl.ginc.losses import record_loss
from seqtant.icl.ginc.networks import load_network, wrap
from seqtant.icl.ginc.opening import open_ginc
from seqtant.icl.ginc.parameters import Ginc
from seqtant.icl.ginc.sampling import draw_documents, draw_prompts
from seqtant.lm.interface import CausalLM
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean
from seqtant.training import TrainingConfig


def run(config: GincEvalConfig, context: Context) -> Result:
    """Asks the model and exact Bayes the same prompts and documents.

    Raises:
        InputError: The model cannot be read or does not know GINC's symbols, or prompts do not fit its context.
    """
    title = f"{config.model or 'A tiny model'} on GINC-{config.vocabulary}, {config.example_length} symbols per example"
    with Recorder("icl.ginc-eval", title, config, context, papers=(4,)) as record:
        ginc = open_ginc(config)
        model = _open_model(config, context, ginc, record)
        fitting = _that_fit(config, model, record)
        generator = np.random.default_rng([context.seed, config.example_length])
        _loss(record, config, context, model, ginc, generator)
        prompts = draw_prompts(
            ginc,
            config.prompts,
            max(fitting),
            config.example_length,
            generator,
            labels=config.labels,
            outside=config.outside,
        )
        said = query_log_probs(model, prompts, config.vocabulary, progress=context.progress)
        best = read_shots(bayes_model(ginc, smoothing=config.smoothing), prompts, progress=context.progress).log_probs
        right, ideal = right_answers(said, prompts), right_answers(best, prompts)
        _compare(record, config, fitting, right, ideal)
    return record.result


def _open_model(config: GincEvalConfig, context: Context, ginc: Ginc, record: Recorder) -> CausalLM:
    if config.model is not None:
        model = load_network(config.model, device=context.device)
    else:
        record.warn("no model was given: a tiny one was trained for a moment, to show what is measured")
        tiny = GincTrainConfig(
            vocabulary=config.vocabulary,
            network=GincNetwork(name="lstm", layers=1, width=48),
            context=128,
            rows=8,
            training=TrainingConfig(steps=60, learning_rate=1e-2, warmup=5),
            shots=(0,),
        )
        network, _ = fit(tiny, ginc, Context(seed=context.seed, device="cpu"))
        model = wrap(network, bos_id=config.vocabulary, name="tiny lstm")
    if not config.vocabulary <= model.vocabulary_size <= config.vocabulary + 1:
        raise InputError(
            f"'{model.name}' knows {model.vocabulary_size} tokens, GINC-{config.vocabulary} has {config.vocabulary}: "
            "give a model that was trained on it"
        )
    return model


def _that_fit(config: GincEvalConfig, model: CausalLM, record: Recorder) -> list[int]:
    room = model.context_length or 10**9
    fitting = [number for number in config.shots if (number + 1) * (config.example_length + 1) <= room]
    if not fitting:
        raise InputError(f"'{model.name}' reads {room} tokens: not even {min(config.shots)} shots fit")
    if len(fitting) < len(config.shots):
        record.warn(f"'{model.name}' reads {room} tokens: more than {max(fitting)} shots do not fit and are left out")
    return fitting


def _loss(
    record: Recorder,
    config: GincEvalConfig,
    context: Context,
    model: CausalLM,
    ginc: Ginc,
    generator: np.random.Generator,
) -> None:
    length = min(config.document_length, (model.context_length or 10**9) - 1)
    tokens = draw_documents(ginc, config.documents, length, generator).tokens
    record_loss(
        record,
        model,
        ginc,
        tokens,
        question="How far is the model from the smallest possible loss on documents?",
        summary="{ours:.3f} nats per symbol, {gap:.3f} above exact Bayes.",
        progress=context.progress,
    )


def _compare(record: Recorder, config: GincEvalConfig, shots: list[int], right: np.ndarray, ideal: np.ndarray) -> None:
    rates = record_accuracy(record, right, shots, "model")
    best = record_accuracy(record, ideal, shots, "exact Bayes")
    rows = []
    for number in shots:
        gap = mean(ideal[:, number].astype(float) - right[:, number])
        record.value(f"accuracy_{number}", rates[number].value)
        record.value(f"bayes_accuracy_{number}", best[number].value)
        record.value(f"bayes_gap_{number}", gap.value)
        cells = (rates[number].value, rates[number].low, rates[number].high, best[number].value, gap.value)
        rows.append((number, *(round(100 * (cell or 0.0), 1) for cell in cells)))
    columns = ("shots", "accuracy, %", "low", "high", "exact Bayes, %", "gap, points")
    record.table("accuracy", "Accuracy in context", columns, rows, note=f"Labels shown: {config.labels}.")
    last = shots[-1]
    gap = mean(ideal[:, last].astype(float) - right[:, last])
    sure = gap.low is not None and gap.low > 0
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
