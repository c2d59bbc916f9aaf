"""What wrong labels and foreign inputs do: the flip law's slope beside the measured one, and what accuracy is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.icl.config import CorruptConfig
from seqtant.icl.prompts.corruptions import CUT, abstract_names, corrupt, renamed, shown_law, without, words_of
from seqtant.icl.prompts.encoding import Encoder, Row
from seqtant.icl.prompts.tasks import Example, Task
from seqtant.icl.scoring.components import Components, score_components
from seqtant.icl.scoring.scoring import label_log_probs
from seqtant.icl.scoring.study import Study, open_study
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import clustered_mean, mean, overlap, share

CORRUPTING = 22


@dataclass(frozen=True)
class Spoiled:
    """One variant of one task."""

    task: str
    variant: str
    right: np.ndarray
    """Whether the last query of each prompt was answered rightly."""
    slope: Estimate | None
    """Measured log-odds per shot against the nearest rival, clustered by prompt."""
    law: Estimate | None
    """The flip law's."""


def run(config: CorruptConfig, context: Context) -> Result:
    """Measures every variant on every task.

    Raises:
        InputError: The model or a task cannot be used.
    """
    title = f"Spoiled examples in prompts of {config.model}"
    with Recorder("icl.corrupt", title, config, context, papers=(4,)) as record:
        study = open_study(config, context, record)
        found, bare = [], []
        for number in range(len(study.tasks)):
            generator = np.random.default_rng([context.seed, CORRUPTING, number])
            base = score_components(study.encoder, study.contexts, study.tasks[number], study.dealt[number].measured,
                                    tokens_per_batch=config.tokens_per_batch)  # fmt: skip
            found += [_spoil(config, study, number, name, base, generator) for name in config.variants]
            bare.append(_bare(config, study, number))
        _report(record, config, study, found, np.concatenate(bare))
    return record.result


def _spoil(
    config: CorruptConfig, study: Study, number: int, variant: str, base: Components, generator: np.random.Generator
) -> Spoiled:
    task, dealt = study.tasks[number], study.dealt[number]
    words = words_of(dealt.measured)
    prompts = [corrupt(variant, task, prompt, words, generator) for prompt in dealt.prompts]
    right = _answers(config, study, task, variant, prompts, [prompt[-1].label for prompt in dealt.prompts])
    law = shown_law(variant, task, dealt.measured, study.encoder.labels)
    if law is None:
        return Spoiled(task.name, variant, right, None, None)
    rival = base.nearest_rival(number)
    predicted = mean(_by_law(base, number, rival, law), unit="nats per shot")
    shots = [example for prompt in prompts for example in prompt[:-1]]
    scores = score_components(study.encoder, study.contexts, task, shots, tokens_per_batch=config.tokens_per_batch)
    owner = np.repeat(np.arange(len(prompts)), study.shots)
    slope = clustered_mean(scores.whole[number] - scores.whole[rival], owner, unit="nats per shot")
    return Spoiled(task.name, variant, right, slope, predicted)


def _by_law(base: Components, number: int, rival: int, law: np.ndarray) -> np.ndarray:
    """Expected log-ratio of each input with labels of a law: what an input says, and what labels say on average."""
    labels = (law * (base.labels[number] - base.labels[rival])).sum(axis=1)
    return base.inputs[number] - base.inputs[rival] + labels + base.tails[number] - base.tails[rival]


def _answers(
    config: CorruptConfig,
    study: Study,
    task: Task,
    variant: str,
    prompts: list[list[Example]],
    right: list[str],
) -> np.ndarray:
    encoder = study.encoder
    if variant == "abstract":
        names = abstract_names(task, config.abstract, task.usual)
        names |= {label: label for label in task.labels if label not in names}
        task = renamed(task, names)
        encoder = Encoder(study.model, tuple(names[label] for label in study.encoder.labels if label in names))
        prompts = [[Example(example.input, names[example.label]) for example in prompt] for prompt in prompts]
        right = [names[label] for label in right]
    rows = _rows(encoder, task, variant, prompts)
    said = label_log_probs(study.model, rows, tokens_per_batch=config.tokens_per_batch)[:, -1]
    return np.array(encoder.labels)[said.argmax(axis=1)] == np.array(right)


def _rows(encoder: Encoder, task: Task, variant: str, prompts: list[list[Example]]) -> list[Row]:
    if variant not in CUT:
        return encoder.encode_prompts([task] * len(prompts), prompts)
    shot = without(task, variant) + task.delimiter
    return [
        encoder.encode_query(
            task,
            task.opening + "".join(shot.replace("{input}", e.input).replace("{label}", e.label) for e in prompt[:-1]),
            task.write(prompt[-1]),
            (number, 0),
        )
        for number, prompt in enumerate(prompts)
    ]


def _bare(config: CorruptConfig, study: Study, number: int) -> np.ndarray:
    """Answers to the same queries without any shot."""
    task, prompts = study.tasks[number], [[prompt[-1]] for prompt in study.dealt[number].prompts]
    rows = study.encoder.encode_prompts([task] * len(prompts), prompts)
    said = label_log_probs(study.model, rows, tokens_per_batch=config.tokens_per_batch)[:, 0]
    return said.argmax(axis=1) == study.label_numbers([prompt[0] for prompt in prompts])


def _report(record: Recorder, config: CorruptConfig, study: Study, found: list[Spoiled], bare: np.ndarray) -> None:
    zero = share(int(bare.sum()), len(bare))
    record.value("accuracy_no_shots", zero.value)
    gold = np.concatenate([each.right for each in found if each.variant == "gold"]).astype(float)
    rows: list[tuple[Cell, ...]] = [
        ("no examples", round(zero.value, 3), _range(zero), round(zero.value - float(gold.mean()), 3), None, None)
    ]
    for variant in config.variants:
        own = [each for each in found if each.variant == variant]
        right = np.concatenate([each.right for each in own]).astype(float)
        rate, change = share(int(right.sum()), len(right)), mean(right - gold)
        slopes = [each.slope.value for each in own if each.slope]
        laws = [each.law.value for each in own if each.law]
        record.value(f"accuracy_{variant}", rate.value)
        record.measure("accuracy", rate.value, group=variant)
        record.measure("accuracy_low", rate.low or 0.0, group=variant)
        record.measure("accuracy_high", min(1.0, rate.high or 1.0), group=variant)
        law, slope = (round(float(np.mean(values)), 2) if values else None for values in (laws, slopes))
        rows.append((variant, round(rate.value, 3), _range(rate), round(change.value, 3), law, slope))
    record.table(
        "variants",
        f"After {study.shots} examples of each kind",
        ("examples", "accuracy", "95 %", "against gold", "slope, law", "slope, measured"),
        rows,
        note="Slope: log-odds per shot of the task against its nearest rival, in nats, mean over tasks.",
    )
    _slopes(record, found)
    _scores(record, study, found, zero)


def _range(estimate: Estimate) -> str:
    low, high = (end if end is not None else estimate.value for end in (estimate.low, estimate.high))
    return f"[{low:.2f}, {high:.2f}]"


def _slopes(record: Recorder, found: list[Spoiled]) -> None:
    rows = []
    for each in found:
        if each.slope is not None and each.law is not None:
            rows.append(
                (each.task, each.variant, round(each.law.value, 2), round(each.slope.value, 2), _range(each.slope))
            )
            record.measure("slope", each.slope.value, unit="nats per shot", group=f"{each.task}/{each.variant}")
            record.measure("slope_law", each.law.value, unit="nats per shot", group=f"{each.task}/{each.variant}")
    record.table("slopes", "The flip law, task by task", ("task", "examples", "law", "measured", "95 %"), rows)
    pairs = [(each.law, each.slope) for each in found if each.slope is not None and each.law is not None]
    close = [overlap(law, slope) for law, slope in pairs]
    record.value("slopes_as_predicted", float(np.mean(close)))
    random = [each for each in found if each.variant == "random" and each.slope is not None]
    if random:
        lowest = min(random, key=lambda each: each.slope.value if each.slope else 0.0)
        record.value("slope_random_lowest", lowest.slope.value if lowest.slope else None)
    record.finding(
        "flip_law",
        "Does evidence for the task change with wrong labels as the flip law says?",
        "agrees" if np.mean(close) >= 0.9 else "disagrees",
        f"{sum(close)} of {len(close)} slopes have overlapping intervals.",
        predicted=Estimate(value=0.9, low=0.9, method="wanted at least"),
        measured=Estimate(value=float(np.mean(close)), method="share of slopes", n=len(close)),
        assumptions=(Assumption(statement="Examples are independent given the task.", how="see icl shots: drift"),),
    )


def _scores(record: Recorder, study: Study, found: list[Spoiled], zero: Estimate) -> None:
    """Recognition: what random labels still give. Learning: what meaningless labels give beyond chance."""
    chance = float(np.mean([1 / len(task.usual) for task in study.tasks]))
    for name, variant, floor, what in (
        ("recognition", "random", zero.value, "no examples"),
        ("learning", "abstract", chance, "chance"),
    ):
        own = [each.right for each in found if each.variant == variant]
        if not own:
            continue
        gain = mean(np.concatenate(own).astype(float) - floor)
        record.value(f"{name}_score", gain.value)
        positive = gain.low is not None and gain.low > 0
        negative = gain.high is not None and gain.high < 0
        labels = "random" if variant == "random" else "meaningless"
        record.finding(
            f"{name}_score",
            f"Does the model gain from examples with {labels} labels?",
            "agrees" if positive else ("disagrees" if negative else "inconclusive"),
            f"{100 * gain.value:.1f} points above {what}.",
            predicted=Estimate(value=0.0, low=0.0, method="a gain"),
            measured=gain,
        )
