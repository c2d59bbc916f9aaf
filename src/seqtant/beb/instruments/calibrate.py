"""Trains a small model on a mixture of known weight and estimates the weight: does the whole method work?

The mixture is of two languages of sixteen words that are tilted apart: bigrams over words in two groups, five words and
a stop per sentence. One is rare, the other frequent.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.beb.behavior.reader import Replies
from seqtant.beb.config import CalibrateConfig, StudySettings
from seqtant.beb.estimation.alpha import diagnose, estimate_alpha
from seqtant.beb.estimation.estimates import bootstrap_interval
from seqtant.beb.prompts.sampling import Prompt
from seqtant.beb.study.measurement import Measurement, measure_prompts
from seqtant.beb.study.reporting import (
    DIRECTION,
    finite,
    record_alpha,
    record_curves,
    record_halfway,
    record_values,
    verdict_of_change,
)
from seqtant.beb.study.summary import RESAMPLES, numbers, summarize
from seqtant.findings import Cell, Estimate, Result
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.oracles import HiddenMarkovLM
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.training import TrainingConfig, train

LEARN, SETTLE, ALIGN, ATTACK, BRIGHT, GUARDED = range(100, 106)
"""Last parts of the seeds of training phases and prompts."""
ALIGN_RATE = 5e-4
WORDS, STOP, BOS = 16, 16, 17
PER_SENTENCE = 5
TILT = 0.55
EPS, DELTA = StudySettings.eps, StudySettings.delta


@dataclass(frozen=True)
class Languages:
    """A rare and a frequent language of bigrams."""

    seed: int

    @cached_property
    def tables(self) -> tuple[Float[np.ndarray, "17 16"], Float[np.ndarray, "17 16"]]:
        """Probability of the next word after each word, and after a stop (last row): rare, frequent."""
        base = np.random.default_rng([self.seed, 5]).dirichlet(np.full(WORDS, 1.5), size=WORDS + 1)
        tilt = np.where(np.arange(WORDS) < WORDS // 2, TILT, -TILT)
        # Both languages share their bigrams; each prefers its own half of the words.
        made = [base * np.exp(sign * tilt) for sign in (1, -1)]
        rare, frequent = (table / table.sum(axis=1, keepdims=True) for table in made)
        return rare, frequent

    def sample(
        self, rare: Sequence[bool] | np.ndarray, sentences: int, generator: np.random.Generator
    ) -> Int[np.ndarray, "documents tokens"]:
        """Samples documents, each of one language, with their beginning-of-sequence token."""
        chosen = np.where(np.asarray(rare)[:, None, None], *self.tables)
        rows, state = np.arange(len(chosen)), np.full(len(chosen), WORDS)
        columns = [np.full(len(chosen), BOS)]
        for _ in range(sentences):
            for _ in range(PER_SENTENCE):
                # Inverse transform sampling of all documents at once: the first word whose sum passes a uniform number.
                sums = chosen[rows, state].cumsum(axis=1)
                state = (sums < generator.random(len(chosen))[:, None] * sums[:, -1:]).sum(axis=1)
                columns.append(state)
            state = np.full(len(chosen), WORDS)
            columns.append(state)
        return np.stack(columns, axis=1)

    def oracle(self, *, rare: bool) -> HiddenMarkovLM:
        """One language as a model with exact probabilities; the hidden state is position in the sentence and word."""
        table = self.tables[0 if rare else 1]
        stop = PER_SENTENCE * WORDS
        moves, emissions = np.zeros((stop + 1, stop + 1)), np.zeros((stop + 1, BOS + 1))
        # State position * WORDS + word; a chain of positions, the last of which leads to the stop.
        for position in range(PER_SENTENCE):
            here = slice(position * WORDS, (position + 1) * WORDS)
            emissions[here, :WORDS] = np.eye(WORDS)
            if position + 1 < PER_SENTENCE:
                moves[here, (position + 1) * WORDS : (position + 2) * WORDS] = table[:WORDS]
            else:
                moves[here, stop] = 1.0
        emissions[stop, STOP] = 1.0
        # After a stop, and at the beginning of the text, the first position of a sentence.
        moves[stop, :WORDS] = table[WORDS]
        name = "rare language" if rare else "frequent language"
        return HiddenMarkovLM(moves[stop], moves, emissions, bos_id=BOS, name=name)


def as_prompts(documents: Int[np.ndarray, "documents tokens"], opening: int = 0) -> list[Prompt]:
    """Documents as prompts whose first sentences belong to the opening."""
    step = PER_SENTENCE + 1
    ends = tuple(range((opening + 1) * step, documents.shape[1], step))
    return [Prompt(tuple(row.tolist()), 1 + opening * step, ends) for row in documents]


@dataclass(frozen=True)
class MixedDocuments:
    """Training batches: every document is of the rare language with a known probability."""

    languages: Languages
    alpha: float
    """Probability of the rare language."""
    rows: int
    sentences: int
    seed: int
    phase: int
    """Tells the draws of training phases apart."""

    def batch(self, step: int) -> dict[str, Int[Tensor, "B T"]]:
        """Samples the documents of one step."""
        generator = np.random.default_rng([self.seed, self.phase, step])
        # One language per document: the mixture is of texts, not of sentences.
        rare = generator.random(self.rows) < self.alpha
        return {"input_ids": torch.from_numpy(self.languages.sample(rare, self.sentences, generator))}


@dataclass(frozen=True)
class _Lab:
    config: CalibrateConfig
    context: Context
    languages: Languages
    reader: Replies

    def measure(self, model: HuggingFaceLM, *, guard: int = 0) -> Measurement:
        """Measures a model along prompts of the rare language, with sentences of the frequent one in front of them."""
        count, length = self.config.prompts, self.config.sentences - guard
        # Prompts of the same seed for every model: differences between models are not of the prompts.
        seeds = ((self.context.seed, use) for use in (BRIGHT, GUARDED if guard else ATTACK))
        for_bright, for_dark = map(np.random.default_rng, seeds)
        bright = as_prompts(self.languages.sample(np.full(count, False), length, for_bright))
        # Without its beginning-of-sequence token: the guard brings one, even of no sentence.
        rows = self.languages.sample(np.full(count, True), length, for_dark)[:, 1:]
        front = self.languages.sample(np.full(count, False), guard, for_dark)
        dark = as_prompts(np.concatenate([front, rows], axis=1), guard)
        rare, frequent = self.languages.oracle(rare=True), self.languages.oracle(rare=False)
        return measure_prompts(model, rare, frequent, dark, bright, self.reader)

    def train(self, model: HuggingFaceLM, alpha: float, steps: int, rate: float, use: int) -> HuggingFaceLM:
        """Trains a copy of the model for some steps on documents of which a share is rare."""
        config, network = self.config, copy.deepcopy(model.model).requires_grad_(True)
        documents = MixedDocuments(self.languages, alpha, config.batch, config.sentences, self.context.seed, use)
        training = TrainingConfig(
            steps=steps, learning_rate=rate, warmup=min(20, steps), final_fraction=0.01, weight_decay=0.01
        )
        train(network, documents, training, context=replace(self.context, folder=None, device="cpu"))
        return HuggingFaceLM(network, name=model.name)


@verb(CalibrateConfig)
def calibrate(config: CalibrateConfig, context: Context) -> Result:
    """Trains a small model on a mixture of known weight and estimates that weight: does the whole method work?

    Two languages of sixteen words, one rare; a GPT-2 of two blocks learns documents of which a share alpha is of the
    rare one. Half-way lengths are measured also behind a guard and after an alignment stage on the frequent language.

    Returns:
        As :func:`measure`, with the true log(1/alpha), and the half-way lengths after each change.

    Raises:
        InputError: A setting cannot be used.

    Example:
        >>> found = calibrate(steps=2, first_steps=2, aligned_steps=0, guard_sentences=0, sentences=8, prompts=8)
        >>> found.values["log_inverse_alpha"] is None  # nothing was learned, and no number is given
        True
    """
    title = f"A small model trained on a mixture of weight {config.alpha:g}"
    with Recorder("beb.calibrate", title, config, context, papers=(3,)) as record:
        from transformers import GPT2Config, GPT2LMHeadModel

        words = [[word] for word in range(WORDS)]
        reader = Replies([], good=words[WORDS // 2 :], bad=words[: WORDS // 2])
        lab = _Lab(config, context, Languages(context.seed), reader)
        # A GPT-2 of two blocks, trained on the mixture, after a first phase in which the rare language is learned.
        shape = GPT2Config(
            vocab_size=BOS + 1,
            n_embd=config.width,
            n_layer=2,
            n_head=4,
            n_positions=(STOP - WORDS + 6) * (config.sentences + 1),
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=BOS,
            eos_token_id=None,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            model = HuggingFaceLM(GPT2LMHeadModel(shape), name="small model")
        rate = config.learning_rate
        if config.first_alpha is not None:
            model = lab.train(model, config.first_alpha, config.first_steps, rate, LEARN)
            rate /= 2
        model = lab.train(model, config.alpha, config.steps, rate, SETTLE)
        measurement = lab.measure(model)
        generator = np.random.default_rng([context.seed, RESAMPLES])
        summary = summarize(measurement, generator, eps=EPS, delta=DELTA, resamples=config.resamples)
        truth = -float(np.log(config.alpha))
        record_alpha(record, summary, truth)
        record_halfway(record, summary)
        record_values(record, summary, truth)
        record_curves(record, measurement, summary)
        changed = {}
        if config.guard_sentences:
            changed["guard"] = lab.measure(model, guard=config.guard_sentences)
        if config.aligned_steps:
            changed["alignment"] = lab.measure(lab.train(model, 0.0, config.aligned_steps, ALIGN_RATE, ALIGN))
        _record_changes(record, measurement, changed, config.resamples, generator)
    return record.result


def _record_changes(
    record: Recorder,
    plain: Measurement,
    changed: dict[str, Measurement],
    resamples: int,
    generator: np.random.Generator,
) -> None:
    """Records what a guard and an alignment stage do to the half-way length and to log(1/alpha)."""

    def halfway(measurement: Measurement) -> float:
        return numbers(measurement, eps=EPS, delta=DELTA)["halfway_measured"]

    rows: list[tuple[Cell, ...]] = []
    before = halfway(plain)
    for name, measurement in changed.items():
        after, count = numbers(measurement, eps=EPS, delta=DELTA), len(measurement.model)
        # Independent resamples: the prompts before and after a change are not the same.
        drawn = [generator.integers(count, size=(2, count)) for _ in range(resamples)]
        resampled = [halfway(measurement.select(b, b)) - halfway(plain.select(a, a)) for a, b in drawn]
        value = after["halfway_measured"] - before
        record.value(f"halfway_{name}", finite(after["halfway_measured"]))
        # log(1/alpha), behind a guard as if it were a prior; None where the diagnostics refuse it.
        alpha = estimate_alpha(measurement.to_model, measurement.own_plus)
        estimate = Estimate(value=alpha.log_inverse_alpha)
        refused = diagnose(measurement.to_model, alpha, after["beta"], estimate).refusals
        given = None if refused else alpha.log_inverse_alpha
        if name == "alignment":
            record.value("log_inverse_alpha_alignment", given)
        rows.append((name, finite(after["halfway_measured"]), "refused" if given is None else round(given, 3)))
        if not np.isfinite(before) or not np.isfinite(value):
            record.warn(f"the half-way length with {name} lies beyond the prompts")
            continue
        moved = bootstrap_interval(value, resampled, count, "sentences")
        record.finding(
            name,
            f"Does {'a guard prompt' if name == 'guard' else 'an alignment stage'} push the half-way length out?",
            verdict_of_change(moved),
            f"It moves by {moved.number} {moved.interval}.",
            measured=moved,
            advice=DIRECTION,
        )
    if rows:
        record.table("changes", "Half-way length after a change", ("change", "half-way, sentences", "area, nats"), rows)
