"""Trains a small model on a mixture of known weight and reads the weight off again: does the whole method work?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seqtant.beb.behavior.exact_replies import Replies
from seqtant.beb.config import CalibrateConfig, Sides
from seqtant.beb.estimation.alpha import read_area
from seqtant.beb.estimation.diagnostics import check
from seqtant.beb.estimation.intervals import interval
from seqtant.beb.instruments.measure import RESAMPLES
from seqtant.beb.prompts.synthetic import BOS, STOP, WORDS, Languages, MixedDocuments, as_prompts
from seqtant.beb.study.measurement import Draw, Observed, Parts, observe_prompts
from seqtant.beb.study.reporting import finite, record_alpha, record_curves, record_halfway, record_values
from seqtant.beb.study.scope import DIRECTION
from seqtant.beb.study.summary import numbers, summarize
from seqtant.findings import Cell, Estimate, Result
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.training import TrainingConfig, train

LEARN, SETTLE, ALIGN, ATTACK, BRIGHT, GUARDED = range(100, 106)
"""Last parts of the seeds of training phases and prompts."""
ALIGN_RATE = 5e-4


@dataclass(frozen=True)
class _Lab:
    config: CalibrateConfig
    context: Context
    languages: Languages
    reader: Replies

    def generator(self, use: int) -> np.random.Generator:
        return np.random.default_rng([self.context.seed, use])

    def observe(self, model: HuggingFaceLM, *, guard: int = 0) -> Observed:
        """The model along prompts of the rare language, the frequent one in front of it."""
        count, length = self.config.prompts, self.config.sentences - guard
        use = GUARDED if guard else ATTACK
        bright = as_prompts(self.languages.draw(np.full(count, False), length, self.generator(BRIGHT)))
        return observe_prompts(
            Parts(model, self.languages.oracle(rare=True), self.languages.oracle(rare=False)),
            self.languages.prompts(count, length, self.generator(use), guard=guard),
            bright,
            self.reader,
        )


def run(config: CalibrateConfig, context: Context) -> Result:
    """Trains, reads and compares.

    Raises:
        TrainingError: Training cannot go on.
    """
    title = f"A small model trained on a mixture of weight {config.alpha:g}"
    with Recorder("beb.calibrate", title, config, context, papers=(3,)) as record:
        words = [[word] for word in range(WORDS)]
        reader = Replies([], good=words[WORDS // 2 :], bad=words[: WORDS // 2])
        lab = _Lab(config, context, Languages(context.seed), reader)
        model = _trained(lab)
        observed = lab.observe(model)
        settings = Sides(prompts=config.prompts, sentences=config.sentences, resamples=config.resamples)
        generator = np.random.default_rng([context.seed, RESAMPLES])
        summary = summarize(observed, settings, generator)
        truth = -float(np.log(config.alpha))
        record_alpha(record, summary, truth)
        record_halfway(record, summary)
        record_values(record, summary, truth)
        record_curves(record, observed, summary)
        changed = {}
        if config.guard_sentences:
            changed["guard"] = lab.observe(model, guard=config.guard_sentences)
        if config.aligned_steps:
            changed["alignment"] = lab.observe(_phase(lab, model, 0.0, config.aligned_steps, ALIGN_RATE, ALIGN))
        _record_changes(record, observed, changed, settings, generator)
    return record.result


def _trained(lab: _Lab) -> HuggingFaceLM:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = lab.config
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
        torch.manual_seed(lab.context.seed)
        model = HuggingFaceLM(GPT2LMHeadModel(shape), name="small model")
    if config.first_alpha is None:
        return _phase(lab, model, config.alpha, config.steps, config.learning_rate, SETTLE)
    model = _phase(lab, model, config.first_alpha, config.first_steps, config.learning_rate, LEARN)
    return _phase(lab, model, config.alpha, config.steps, config.learning_rate / 2, SETTLE)


def _phase(lab: _Lab, model: HuggingFaceLM, alpha: float, steps: int, rate: float, use: int) -> HuggingFaceLM:
    """A copy of the model after some steps on documents of which a share is rare."""
    import copy

    config, network = lab.config, copy.deepcopy(model.model).requires_grad_(True)
    documents = MixedDocuments(lab.languages, alpha, config.batch, config.sentences, lab.context.seed, use)
    training = TrainingConfig(
        steps=steps, learning_rate=rate, warmup=min(20, steps), final_fraction=0.01, weight_decay=0.01
    )
    quiet = replace(lab.context, folder=None, device="cpu")
    train(network, documents, training, context=quiet)
    return HuggingFaceLM(network, name=model.name)


def _record_changes(
    record: Recorder,
    plain: Observed,
    changed: dict[str, Observed],
    settings: Sides,
    generator: np.random.Generator,
) -> None:
    """What a guard and an alignment stage do to the half-way length and to log(1/alpha)."""
    rows: list[tuple[Cell, ...]] = []
    before = numbers(plain, settings)
    for name, observed in changed.items():
        after = numbers(observed, settings)
        count = len(observed.model)
        drawn = [generator.integers(count, size=(2, count)) for _ in range(settings.resamples)]
        pairs = [(plain.select(Draw(a, a)), observed.select(Draw(b, b))) for a, b in drawn]
        draws = [
            numbers(new, settings)["halfway_measured"] - numbers(old, settings)["halfway_measured"]
            for old, new in pairs
        ]
        value = after["halfway_measured"] - before["halfway_measured"]
        record.value(f"halfway_{name}", finite(after["halfway_measured"]))
        read = _given(observed, after)
        if name == "alignment":
            record.value("log_inverse_alpha_alignment", read)
        rows.append((name, finite(after["halfway_measured"]), "refused" if read is None else round(read, 3)))
        if not np.isfinite(before["halfway_measured"]) or not np.isfinite(value):
            record.warn(f"the half-way length with {name} lies beyond the prompts")
            continue
        moved = interval(value, draws, count, "sentences")
        pushed = moved.low is not None and moved.low > 0
        record.finding(
            name,
            f"Does {'a guard prompt' if name == 'guard' else 'an alignment stage'} push the half-way length out?",
            "agrees" if pushed else "disagrees" if (moved.high or 1) < 0 else "inconclusive",
            f"It moves by {moved.number} {moved.interval}.",
            measured=moved,
            advice=DIRECTION,
        )
    if rows:
        record.table("changes", "Half-way length after a change", ("change", "half-way, sentences", "area, nats"), rows)


def _given(observed: Observed, found: dict[str, float]) -> float | None:
    """log(1/alpha), behind a guard as if it were a prior; None where the gates refuse it."""
    area = read_area(observed.to_model, observed.own_plus)
    gates = check(observed.to_model, area, found["beta"], Estimate(value=area.value))
    return None if gates.refusals else area.value
