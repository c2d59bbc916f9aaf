"""What wrong labels and foreign inputs do: the flip law's slope beside the measured one, and what accuracy is left.

The variants are those of Min et al. (arXiv 2202.12837); the last example of a prompt is the query, which stays clean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.icl.config import CorruptConfig
from seqtant.icl.prompts.encoding import PromptEncoder
from seqtant.icl.prompts.tasks import Example, Task
from seqtant.icl.scoring.scores import Components, label_log_probs, score_components
from seqtant.icl.scoring.study import CORRUPT_SEED, Study, open_study
from seqtant.icl.theory import flip_rate
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import name_of
from seqtant.stats.intervals import clustered_mean, mean, overlap, share

CORRECT_SHARES = {"75_correct": 0.75, "50_correct": 0.5, "25_correct": 0.25, "0_correct": 0.0}
"""Share of right labels of the variants that keep some."""
PARTIAL = ("labels_only", "inputs_only")
"""Variants that leave a part of every example out."""


@dataclass(frozen=True)
class VariantResult:
    """Measurements of one variant of one task."""

    task: str
    variant: str
    right: np.ndarray
    """Whether the last query of each prompt was answered rightly."""
    slope: Estimate | None = None
    """Measured log-odds per shot against the nearest rival, clustered by prompt."""
    law: Estimate | None = None
    """Predicted by the flip law."""


def corrupt_examples(
    variant: str, task: Task, examples: Sequence[Example], words: Sequence[str], generator: np.random.Generator
) -> list[Example]:
    """Replaces labels or inputs of the examples of one prompt; the last one is the query, whose input stays.

    Foreign inputs are put together from ``words``; the variants are :data:`seqtant.icl.config.VARIANTS`.

    Example:
        >>> task = Task(name="t", examples=(Example("a", "x"), Example("b", "y")))
        >>> rng = np.random.default_rng(0)
        >>> [example.label for example in corrupt_examples("0_correct", task, task.examples, [], rng)]
        ['y', 'x']
    """
    *shots, query = examples
    if variant == "foreign_inputs":
        # As many words as the input has: the form is kept, the meaning is not.
        sizes = [len(shot.input.split()) for shot in shots]
        texts = [" ".join(generator.choice(list(words), size=size)) for size in sizes]
        return [*(Example(text, shot.label) for text, shot in zip(texts, shots, strict=True)), query]
    if variant == "permuted":
        order = generator.permutation(len(shots))
        return [*(Example(shot.input, shots[i].label) for shot, i in zip(shots, order, strict=True)), query]
    if variant in ("gold", "abstract", *PARTIAL):
        return list(examples)
    if variant not in ("random", "marginal", *CORRECT_SHARES):
        raise InputError(f"unknown variant '{variant}'")
    # The query's label is sampled too, though never shown: each example takes one number from the stream.
    rows = label_probs(variant, task, examples, task.labels)
    assert rows is not None
    sampled = [int(generator.choice(len(row), p=row)) for row in rows]
    return [Example(example.input, task.labels[number]) for example, number in zip(examples, sampled, strict=True)]


def label_probs(variant: str, task: Task, examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray | None:
    """Probability of every label being shown with each example, (examples, labels); None where the law is silent."""
    if variant in ("foreign_inputs", "abstract", *PARTIAL):
        return None
    gold = (np.array([example.label for example in examples])[:, None] == np.array(labels)).astype(float)
    usual = np.isin(labels, task.usual).astype(float)
    if variant == "gold":
        return gold
    if variant == "random":
        return np.tile(usual / usual.sum(), (len(examples), 1))
    if variant in ("marginal", "permuted"):
        given = [example.label for example in task.examples]
        counts = np.array([given.count(label) for label in labels], dtype=float)
        return np.tile(counts / counts.sum(), (len(examples), 1))
    # The right label with its share, the rest spread evenly over the other usual labels.
    others = usual * (1 - gold)
    correct = CORRECT_SHARES[variant]
    return correct * gold + (1 - correct) * others / others.sum(axis=1, keepdims=True)


def rename_labels(task: Task, names: dict[str, str]) -> Task:
    """Replaces the labels of a task by other words."""
    return replace(
        task,
        examples=tuple(Example(example.input, names[example.label]) for example in task.examples),
        labels=tuple(names[label] for label in task.labels),
        usual=(),
        abstract=(),
    )


@verb(CorruptConfig)
def corrupt(config: CorruptConfig, context: Context) -> Result:
    """Corrupts the examples of prompts and compares evidence and accuracy with what clean examples predict.

    The flip law: evidence for the task per shot is KL_x + E_x E_{y ~ shown} log P*(y|x) / P(y|x), in nats against the
    nearest rival P. Inputs count whatever the labels; the second part turns negative where the labels shown are wrong.
    Predicted from single clean examples, measured on the corrupted ones of prompts.

    Returns:
        ``accuracy_VARIANT`` for each variant and ``accuracy_no_shots``, the share ``slopes_as_predicted`` of slopes
        that agree with the flip law, ``recognition_score`` (what random labels still give) and ``learning_score``
        (what meaningless labels give).

    Raises:
        InputError: The model or a task cannot be used.

    Example:
        >>> few = {"shots": 1, "prompts": 2, "contexts": 1, "context_shots": 2, "examples": 2, "device": "cpu"}
        >>> result = corrupt("reference", ["size", "color"], variants=["gold", "random"], **few)
        >>> sorted(result.values)[:3]
        ['accuracy_gold', 'accuracy_no_shots', 'accuracy_random']
    """
    title = f"Spoiled examples in prompts of {name_of(config.model)}"
    with Recorder("icl.corrupt", title, config, context, papers=(4,)) as record:
        study = open_study(config, context, record)
        found, zero_shot = [], []
        for number, (task, split) in enumerate(zip(study.tasks, study.splits, strict=True)):
            generator = np.random.default_rng([context.seed, CORRUPT_SEED, number])
            base = score_components(study.encoder, study.contexts, task, split.single,
                                    tokens_per_batch=config.tokens_per_batch)  # fmt: skip
            found += [_measure_variant(config, study, number, name, base, generator) for name in config.variants]
            queries = [[prompt[-1]] for prompt in split.prompts]
            encoded = study.encoder.encode_prompts([task] * len(queries), queries)
            log_probs = label_log_probs(study.model, encoded, tokens_per_batch=config.tokens_per_batch)[:, 0]
            zero_shot.append(log_probs.argmax(axis=1) == study.label_numbers([query for (query,) in queries]))
        right = np.concatenate(zero_shot)
        zero = share(int(right.sum()), len(right))
        _record_accuracy(record, study, found, zero)
        _record_slopes(record, found)
        # Recognition: what random labels still give. Learning: what meaningless labels give beyond guessing.
        guessing = float(np.mean([1 / len(task.usual) for task in study.tasks]))
        for name, variant, floor, what in (
            ("recognition", "random", zero.value, "no examples"),
            ("learning", "abstract", guessing, "chance"),
        ):
            own = [each.right for each in found if each.variant == variant]
            if not own:
                continue
            gain = mean(np.concatenate(own).astype(float) - floor)
            record.value(f"{name}_score", gain.value)
            labels = "random" if variant == "random" else "meaningless"
            record.finding(
                f"{name}_score",
                f"Does the model gain from examples with {labels} labels?",
                "agrees" if (gain.low or 0) > 0 else "disagrees" if (gain.high or 0) < 0 else "inconclusive",
                f"{100 * gain.value:.1f} points above {what}.",
                predicted=Estimate(value=0.0, low=0.0, method="a gain"),
                measured=gain,
            )
    return record.result


def _measure_variant(
    config: CorruptConfig, study: Study, number: int, variant: str, base: Components, generator: np.random.Generator
) -> VariantResult:
    task, split = study.tasks[number], study.splits[number]
    words = [word for example in split.single for word in example.input.split()]
    prompts = [corrupt_examples(variant, task, prompt, words, generator) for prompt in split.prompts]
    # Whether the likeliest label of each prompt's query is the right one.
    asked, written, encoder = task, prompts, study.encoder
    answers = [prompt[-1].label for prompt in split.prompts]  # the right ones: corruption may touch the query too
    if variant == "abstract":
        names = list(config.abstract or task.abstract or [chr(ord("A") + number) for number in range(26)])
        if len(names) < len(task.usual):
            raise InputError(f"{len(task.usual)} labels need as many abstract words, {len(names)} are given: give more")
        # Labels that are only noise keep their word, and labels of other tasks are not ranked.
        renamed = {label: label for label in task.labels} | dict(zip(task.usual, names, strict=False))
        asked = rename_labels(asked, renamed)
        encoder = PromptEncoder(
            study.model, tuple(renamed[label] for label in study.encoder.labels if label in renamed)
        )
        written = [[Example(each.input, renamed[each.label]) for each in prompt] for prompt in prompts]
        answers = [renamed[label] for label in answers]
    if variant in PARTIAL:
        # The template without its input or label: text before the input stays, text between the two goes.
        before, _, after = asked.template.partition("{label}")
        lead = before.partition("{input}")[0]
        shot = lead + ("{label}" if variant == "labels_only" else "{input}") + after + asked.delimiter
        encoded = []
        for place, prompt in enumerate(written):
            texts = [shot.replace("{input}", each.input).replace("{label}", each.label) for each in prompt[:-1]]
            query = asked.write(prompt[-1])
            encoded.append(encoder.encode_query(asked, asked.opening + "".join(texts), query, (place, 0)))
    else:
        encoded = encoder.encode_prompts([asked] * len(written), written)
    log_probs = label_log_probs(study.model, encoded, tokens_per_batch=config.tokens_per_batch)[:, -1]
    right = np.array(encoder.labels)[log_probs.argmax(axis=1)] == np.array(answers)
    shown = label_probs(variant, task, split.single, study.encoder.labels)
    if shown is None:
        return VariantResult(task.name, variant, right)
    # Predicted from clean single examples, measured on the corrupted ones: both against the same rival.
    rival = base.nearest_rival(number)
    inputs, labels = base.inputs[number] - base.inputs[rival], base.labels[number] - base.labels[rival]
    law = flip_rate(inputs, labels, shown) + base.tails[number] - base.tails[rival]
    shots = [example for prompt in prompts for example in prompt[:-1]]
    scores = score_components(study.encoder, study.contexts, task, shots, tokens_per_batch=config.tokens_per_batch)
    # Shots of one prompt may share inputs and permuted labels: the prompt is the independent unit.
    owner = np.repeat(np.arange(len(prompts)), study.shots)
    slope = clustered_mean(scores.whole[number] - scores.whole[rival], owner, unit="nats per shot")
    return VariantResult(task.name, variant, right, slope, mean(law, unit="nats per shot"))


def _record_accuracy(record: Recorder, study: Study, found: list[VariantResult], zero: Estimate) -> None:
    record.value("accuracy_no_shots", zero.value)
    gold = np.concatenate([each.right for each in found if each.variant == "gold"]).astype(float)
    less = round(zero.value - float(gold.mean()), 3)
    rows: list[tuple[Cell, ...]] = [("no examples", round(zero.value, 3), _interval(zero), less, None, None)]
    for variant in dict.fromkeys(each.variant for each in found):
        own = [each for each in found if each.variant == variant]
        right = np.concatenate([each.right for each in own]).astype(float)
        rate, change = share(int(right.sum()), len(right)), mean(right - gold)
        known = [(each.law.value, each.slope.value) for each in own if each.law and each.slope]
        law, slope = [round(float(np.mean(each)), 2) for each in zip(*known, strict=True)] if known else (None, None)
        record.value(f"accuracy_{variant}", rate.value)
        record.measure("accuracy", rate.value, group=variant)
        record.measure("accuracy_low", rate.low or 0.0, group=variant)
        record.measure("accuracy_high", min(1.0, rate.high or 1.0), group=variant)
        rows.append((variant, round(rate.value, 3), _interval(rate), round(change.value, 3), law, slope))
    record.table(
        "variants",
        f"After {study.shots} examples of each kind",
        ("examples", "accuracy", "95 %", "against gold", "slope, law", "slope, measured"),
        rows,
        note="Slope: log-odds per shot of the task against its nearest rival, in nats, mean over tasks.",
    )


def _record_slopes(record: Recorder, found: list[VariantResult]) -> None:
    rows, close, random = [], [], []
    for each in found:
        law, slope = each.law, each.slope
        if law is None or slope is None:
            continue
        rows.append((each.task, each.variant, round(law.value, 2), round(slope.value, 2), _interval(slope)))
        for key, estimate in (("slope", slope), ("slope_law", law)):
            record.measure(key, estimate.value, unit="nats per shot", group=f"{each.task}/{each.variant}")
        close.append(overlap(law, slope))
        if each.variant == "random":
            random.append(slope.value)
    record.table("slopes", "The flip law, task by task", ("task", "examples", "law", "measured", "95 %"), rows)
    record.value("slopes_as_predicted", float(np.mean(close)))
    if random:
        record.value("slope_random_lowest", min(random))
    record.finding(
        "flip_law",
        "Does evidence for the task change with wrong labels as the flip law says?",
        "agrees" if np.mean(close) >= 0.9 else "disagrees",
        f"{sum(close)} of {len(close)} slopes have overlapping intervals.",
        predicted=Estimate(value=0.9, low=0.9, method="wanted at least"),
        measured=Estimate(value=float(np.mean(close)), method="share of slopes", n=len(close)),
        assumptions=(Assumption(statement="Examples are independent given the task.", how="see icl shots: drift"),),
    )


def _interval(estimate: Estimate) -> str:
    low, high = (end if end is not None else estimate.value for end in (estimate.low, estimate.high))
    return f"[{low:.2f}, {high:.2f}]"
