"""Trains recognizers: plain CTC, a method from a checkpoint, with a guard against collapse; loads what verbs run on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from seqtant.ctc.config import Guard, Network, Optimization, Purpose, TrainConfig
from seqtant.ctc.decoding.word_errors import WordErrors, word_errors
from seqtant.ctc.inputs import RecognizerSource, SoundSource, utterance_of
from seqtant.ctc.lattice.paths import CTCInput
from seqtant.ctc.losses.align_with_purpose import AlignWithPurpose
from seqtant.ctc.losses.base import LossTerm, Objective, PlainCTC, Schedule
from seqtant.ctc.losses.registry import MethodSettings, method_of
from seqtant.ctc.recognition.dataset import Corpus, CorpusBatches, step_seed
from seqtant.ctc.recognition.recognizer import Recognizer, blank_share
from seqtant.ctc.recognition.sources import Corpora, load_corpora
from seqtant.data.audio import read_audio
from seqtant.data.speech import Utterance
from seqtant.errors import InputError
from seqtant.models.ctc_encoder import CTCEncoder, CTCEncoderConfig
from seqtant.runs.recorder import Context
from seqtant.sources import is_path
from seqtant.training import LossSum, Periodic, TrainingConfig, train
from seqtant.training.batches import Batch

StatsSink = Callable[[int, Mapping[str, float]], None]
"""Takes the step and the statistics of its forward pass."""

NETWORK, OPTIMIZATION, QUIET = Network(), Optimization(), Context()
DEMO_WARNING = "No model was given: a small one was trained on tones, which are no speech."


def fit(
    recognizer: Recognizer,
    corpus: Corpus,
    objective: Objective,
    optimization: Optimization,
    *,
    steps: int,
    peak: float,
    warmup: int,
    schedule: Literal["cosine", "constant"] = "cosine",
    context: Context,
    seed: int,
    callbacks: tuple[Periodic, ...] = (),
    stats: StatsSink | None = None,
) -> None:
    """Trains the encoder in place, up to the ``peak`` learning rate; the folder of the context is not used.

    The same seed gives the same batches and paths and, on one device, the same weights.
    """

    def loss(model: nn.Module, batch: Batch) -> LossSum:
        log_probs, lengths = model(batch["features"], batch["lengths"])
        step = int(batch["step"][0])
        # Paths have a seed of their own at every step: two methods sample alike, and a resumed run goes on alike.
        generator = torch.Generator(log_probs.device).manual_seed(step_seed(seed + 1, step))
        data = CTCInput.of(log_probs, lengths, batch["targets"], batch["target_lengths"], blank=objective.blank)
        result = objective.compute(data, generator=generator, step=step)
        if stats is not None:
            stats(step, result.stats)
        rows = len(batch["step"])
        return LossSum(result.loss * rows, torch.tensor(float(rows), device=log_probs.device))

    objective.train()
    batches = CorpusBatches(corpus, optimization.batch_size, seed=seed, trim=objective.trim)
    config = TrainingConfig(
        steps=steps,
        learning_rate=peak,
        schedule=schedule,
        warmup=min(warmup, steps),
        final_fraction=0.0,
        weight_decay=0.0,
        betas=optimization.betas,
        clip=optimization.clip,
    )
    context = replace(context, folder=None)
    train(recognizer.encoder, batches, config, loss=loss, context=context, callbacks=callbacks)


def train_recognizer(
    corpora: Corpora,
    network: Network = NETWORK,
    optimization: Optimization = OPTIMIZATION,
    *,
    steps: int,
    seed: int = 0,
    context: Context = QUIET,
    to_zero: bool = True,
) -> Recognizer:
    """Trains a fresh recognizer with plain CTC.

    Args:
        corpora: What to learn from.
        network: Shape of the encoder.
        optimization: Learning rate, batch size.
        steps: Optimizer steps.
        seed: Of weights and order.
        context: Device and progress.
        to_zero: Whether the learning rate falls to 0 (a finished model) or stays (a start for methods).
    """
    shape = CTCEncoderConfig(
        features=corpora.log_mel.bands,
        labels=len(corpora.labels.names),
        stack=network.stack,
        channels=network.channels,
        dilations=network.dilations,
    )
    encoder = CTCEncoder(shape, seed=seed)
    frames = torch.cat(corpora.train.features)  # [frames, bands]
    encoder.set_normalization(frames.mean(0), frames.std(0))
    recognizer = Recognizer(encoder, corpora.labels, corpora.log_mel)
    fit(
        recognizer,
        corpora.train,
        Objective([PlainCTC(blank=corpora.labels.blank)]),
        optimization,
        steps=steps,
        peak=optimization.learning_rate,
        warmup=optimization.warmup,
        schedule="cosine" if to_zero else "constant",
        context=context,
        seed=seed,
    )
    return recognizer


@dataclass(frozen=True)
class Finetuned:
    """A recognizer after a method, and how the run went.

    Args:
        recognizer: With its new weights, or the last good ones if the run collapsed.
        collapse: Why the run was stopped; empty if it was not.
        guard: The guard with its history; None if there was none.
    """

    recognizer: Recognizer
    collapse: str
    guard: CollapseGuard | None


def finetune_recognizer(
    recognizer: Recognizer,
    corpora: Corpora,
    objective: LossTerm,
    optimization: Optimization = OPTIMIZATION,
    *,
    steps: int,
    seed: int = 0,
    context: Context = QUIET,
    guard: Guard | None = None,
    stats: StatsSink | None = None,
) -> Finetuned:
    """Trains a copy of a recognizer on an objective; the learning rate falls to 0.

    Args:
        recognizer: Start; left as it is.
        corpora: What to learn from, and what the guard evaluates on.
        objective: What is minimized: one loss, or several in an :class:`Objective`.
        optimization: Learning rate, batch size.
        steps: Optimizer steps.
        seed: Of the order and the sampled paths: the same for all methods that are compared.
        context: Device and progress.
        guard: When to stop; None never stops.
        stats: Takes the statistics of each step.
    """
    trained = Recognizer(copy.deepcopy(recognizer.encoder), recognizer.labels, recognizer.log_mel)
    watch = CollapseGuard(trained, corpora.development, guard) if guard else None
    collapse = ""
    try:
        fit(
            trained,
            corpora.train,
            objective if isinstance(objective, Objective) else Objective([objective]),
            optimization,
            steps=steps,
            peak=optimization.finetune_rate,
            warmup=10,
            context=context,
            seed=seed + 10_000,  # another order than that of the training before
            callbacks=(Periodic(watch.settings.every, watch.check),) if watch else (),
            stats=stats,
        )
        # The loop checks every so many steps: the weights that are handed back are checked too.
        if watch:
            watch.check(steps, trained.encoder)
    except CollapseError as error:
        collapse = str(error)
        if watch:
            trained.encoder.load_state_dict(watch.good_weights)
    return Finetuned(trained, collapse, watch)


def objective_of(method: str, weight: float, purpose: Purpose, corpora: Corpora, *, ramp: int = 0) -> Objective:
    """Builds the objective of a method at a weight."""
    settings = MethodSettings(
        blank=corpora.labels.blank,
        space=corpora.labels.space,
        feature_rate=corpora.log_mel.rate / corpora.log_mel.hop,
        num_samples=purpose.num_samples,
        candidates=purpose.candidates,
        shifts=purpose.shifts,
        temperature=purpose.temperature,
        margin=purpose.margin,
    )
    objective = method_of(method)(weight, settings)
    for term in objective.terms:
        if ramp and isinstance(term, AlignWithPurpose):
            # From 0 to the weight in a straight line, constant from there on.
            term.weights = tuple(Schedule(((0, 0.0), (ramp, schedule.at(0)))) for schedule in term.weights)
    return objective


class CollapseError(Exception):
    """The run collapsed; the guard holds the last good weights."""


class CollapseGuard:
    """Stops a run whose word errors or silence explode on some of the corpus, and keeps the last good weights."""

    def __init__(self, recognizer: Recognizer, corpus: Corpus, settings: Guard) -> None:
        self.recognizer, self.settings = recognizer, settings
        count = settings.utterances
        self.corpus = Corpus(corpus.utterances[:count], corpus.features[:count], corpus.targets[:count])
        self.start_wer = word_error_rate(recognizer, self.corpus)
        self.good_step = 0
        self.good_weights: dict[str, Tensor] = copy.deepcopy(dict(recognizer.encoder.state_dict()))
        self.history: list[tuple[int, float, float]] = []
        """(step, word error rate in percent, blank share) of each check."""

    def check(self, step: int, model: nn.Module) -> None:
        """Evaluates the model as it is now, in a periodic callback of the training loop.

        Raises:
            CollapseError: It has collapsed.
        """
        wer, silence = word_error_rate(self.recognizer, self.corpus), blank_share(self.recognizer, self.corpus)
        model.train()
        self.history.append((step, wer, silence))
        if wer > self.start_wer + self.settings.wer_increase:
            raise CollapseError(f"step {step}: the word error rate rose from {self.start_wer:.1f} to {wer:.1f} %")
        if silence > self.settings.blank_share:
            raise CollapseError(f"step {step}: {100 * silence:.1f} % of all frames are blank")
        # state_dict holds references to the weights that are being trained: copy them.
        self.good_step, self.good_weights = step, copy.deepcopy(dict(self.recognizer.encoder.state_dict()))


def word_error_rate(recognizer: Recognizer, corpus: Corpus) -> float:
    """Computes the word error rate in percent; needs no word times."""
    total = WordErrors(0, 0, 0, 0)
    for transcript, utterance in zip(recognizer.transcribe(corpus), corpus.utterances, strict=True):
        total += word_errors([word.word for word in transcript.hypothesis], utterance.text)
    return 100 * (total.rate or 0.0)


def load_recognizer(model: RecognizerSource | None = None, seed: int = 0) -> Recognizer:
    """Loads a recognizer from its folder, or takes it as it is; without one, trains a small one on tones in seconds.

    Raises:
        InputError: The folder holds no recognizer.
    """
    if model is None:
        return _tones(seed)[0]
    return Recognizer.load(Path(model)) if is_path(model) else model


def load_model_and_sound(
    model: RecognizerSource | None = None, file: SoundSource | None = None, seed: int = 0, *, text: str = ""
) -> tuple[Recognizer, Utterance]:
    """Loads a recognizer and a sound as one utterance; without both, the tone model and tones with word times.

    Raises:
        InputError: Only one of the two is given, the folder holds no recognizer, or the file is no sound.
    """
    if (file is None) != (model is None):
        lacking = "--model with a recognizer of yours" if model is None else "a sound file of yours"
        raise InputError(f"model and sound belong together: give {lacking}, or neither for a demonstration")
    recognizer = load_recognizer(model, seed)
    if file is None:
        return recognizer, _tones(seed)[1].test.utterances[0]
    words = tuple(text.split())
    if is_path(file):
        return recognizer, Utterance(Path(file).stem, read_audio(Path(file)), words)
    utterance = utterance_of(file)
    # Another text than that of the utterance has no known word times.
    return recognizer, utterance if words in ((), utterance.text) else replace(utterance, text=words, words=())


@cache
def _tones(seed: int) -> tuple[Recognizer, Corpora]:
    demo, context = TrainConfig.smoke(), Context(device="cpu")
    corpora = load_corpora(None, demo.utterances, units=demo.units, bands=demo.network.bands, seed=seed)
    steps = demo.base_steps
    recognizer = train_recognizer(corpora, demo.network, demo.optimization, steps=steps, seed=seed, context=context)
    return recognizer, corpora
