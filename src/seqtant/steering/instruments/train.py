"""Trains a small model on opinions and plain text, and makes both sides of the trade-off from what it never saw."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqtant.data.documents import TextFile
from seqtant.data.phrases import phrase_documents
from seqtant.data.windows import spread_windows
from seqtant.findings import Estimate, Result
from seqtant.lm.continuations import batch_continuation_log_probs
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.text import encode_continuations
from seqtant.reference.config import ShapeConfig
from seqtant.reference.recipe import save_model
from seqtant.runs.context import Context
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import share
from seqtant.steering.config import TrainConfig
from seqtant.steering.data import review_data as opinions
from seqtant.steering.data.items import BehaviorPrompt, Passage, Question
from seqtant.steering.data.pairs import ContrastPair
from seqtant.steering.data.small_model import learn_tokenizer, token_row, train_small
from seqtant.steering.inputs import persona_pairs
from seqtant.steering.sweeping.scores import questions_read
from seqtant.training import TrainingHistory, mean_loss

ASKED = 400
"""Questions on which the finished model is measured here."""
HELD_OUT_WINDOWS = 200


@dataclass(frozen=True)
class _Material:
    """What is learned from, and what is made of the rest."""

    learned: list[str]
    held_out: list[str]
    files: dict[str, Sequence[ContrastPair | BehaviorPrompt | Question | Passage]]


def run(config: TrainConfig, context: Context) -> Result:
    """Trains; with a folder, the model goes to ``model`` and the JSON lines beside it.

    Raises:
        InputError: A file cannot be read, or holds too little.
    """
    with Recorder("steering.train", "A small model, with what it takes to steer it", config, context, papers=(1,)) as (
        record
    ):
        material = _material(config, context)
        tokenizer = learn_tokenizer(material.learned, config.vocabulary, context_length=config.context)
        shape = ShapeConfig(
            hidden_size=config.width,
            layers=config.depth,
            heads=config.heads,
            intermediate_size=-(-8 * config.width // 3 // 16) * 16,
            context_length=config.context,
        )
        network, history = train_small(
            token_row(tokenizer, material.learned),
            shape,
            len(tokenizer),
            config.training(),
            rows=config.rows,
            context=context,
        )
        held_out = spread_windows(token_row(tokenizer, material.held_out), length=config.context, most=HELD_OUT_WINDOWS)
        loss = mean_loss(network, {"input_ids": held_out})
        _record_training(record, network.num_parameters(), history, loss)
        _record_questions(record, HuggingFaceLM(network, tokenizer, name="small"), material)
        for name, lines in material.files.items():
            record.value(name, len(lines))
        if context.folder is not None:
            save_model(network, context.folder / "model", tokenizer)
            record.artifact(context.folder / "model" / "model.safetensors", "weights")
            _write(record, context.folder, material)
    return record.result


def _material(config: TrainConfig, context: Context) -> _Material:
    generator = np.random.default_rng([context.seed, 70])
    texts = [text for name in config.text for text in TextFile(name)] if config.text else list(phrase_documents(200))
    judged = opinions.read_opinions(config.reviews) if config.reviews else _talks(generator)
    learned, kept = opinions.split(judged, config.held_out, config.fold)
    plain, plain_kept = opinions.split(texts, config.held_out, config.fold)
    verdicts = [tuple(f" {word}" for word in words) for words in (config.good, config.bad)]
    words, longer = config.words, config.passage_words
    leanings = opinions.word_leanings(learned)
    # A held-out text makes pairs or prompts, never both.
    return _Material(
        [opinion.text for opinion in learned] + plain,
        [opinion.text for opinion in kept] + plain_kept,
        {
            "pairs": opinions.opinion_pairs(_part(kept, 0), leanings, config.frame, words, config.pairs, generator),
            "behavior": opinions.verdict_prompts(_part(kept, 1), config.frame, words, verdicts[0], verdicts[1]),
            "cloze": opinions.cloze_questions(plain_kept, plain, longer, config.options, generator),
            "passages": opinions.passages(plain_kept, longer),
        },
    )


def _part(kept: list[opinions.Opinion], odd: int) -> list[opinions.Opinion]:
    """Every second text of each opinion."""
    return [own for side in (True, False) for own in [text for text in kept if text.good == side][odd::2]]


def _talks(generator: np.random.Generator) -> list[opinions.Opinion]:
    pairs = persona_pairs(100, generator)
    return [
        opinions.Opinion(text, good) for pair in pairs for text, good in ((pair.positive, True), (pair.negative, False))
    ]


def _record_training(record: Recorder, parameters: int, history: TrainingHistory, loss: float) -> None:
    block = max(history.steps // 50, 1)
    for start in range(0, history.steps - block + 1, block):
        record.measure("loss", float(np.mean(history.losses[start : start + block])), unit="nats", step=start + block)
    for name, value in {
        "parameters": parameters,
        "tokens": history.tokens,
        "held_out_loss": loss,
        "held_out_perplexity": math.exp(loss),
    }.items():
        record.value(name, value)


def _record_questions(record: Recorder, model: HuggingFaceLM, material: _Material) -> None:
    asked: Any = material.files["cloze"][:ASKED]
    encoded = [encode_continuations(model, question.prompt, question.options) for question in asked]
    scores = batch_continuation_log_probs(model, [prompt for prompt, _ in encoded], [ends for _, ends in encoded])
    totals = [np.array([[float(answer.sum()) for answer in own]]) for own in scores]
    read = questions_read([0.0], totals, [question.answer for question in asked])
    accuracy = share(round(float(read.right.sum())), len(asked))
    record.value("cloze_accuracy", accuracy.value)
    record.value("chance", read.chance)
    able = accuracy.low is not None and accuracy.low > read.chance
    record.finding(
        "cloze",
        "Does the model know which word comes next in texts that it never saw?",
        "agrees" if able else "inconclusive",
        f"Right in {100 * accuracy.value:.0f} % of {len(asked)} questions; guessing gives {100 * read.chance:.0f} %.",
        predicted=Estimate(value=read.chance, method="guessing"),
        measured=accuracy,
        advice="" if able else "There is no helpfulness to lose yet: train for longer or on more text.",
    )


def _write(record: Recorder, folder: Path, material: _Material) -> None:
    for name, lines in material.files.items():
        path = folder / f"{name}.jsonl"
        write_text(path, "".join(json.dumps(_line(line)) + "\n" for line in lines))
        record.artifact(path, name)
    record.table(
        "next",
        "What to run next",
        ("question", "command"),
        [(question, _command(folder, verb)) for question, verb in _NEXT],
    )


_NEXT: Iterable[tuple[str, str]] = (
    ("both sides over a range of strengths", "sweep"),
    ("the strength for 5 % of cloze accuracy", "choose"),
)


def _command(folder: Path, verb: str) -> str:
    return (
        f"seqtant steering {verb} {folder}/model --pairs {folder}/pairs.jsonl "
        f"--behavior {folder}/behavior.jsonl --helpfulness {folder}/cloze.jsonl"
    )


def _line(item: Any) -> dict[str, Any]:
    return {key: value for key, value in asdict(item).items() if value is not None}
