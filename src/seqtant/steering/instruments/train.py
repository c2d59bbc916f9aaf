"""Trains a small model on reviews and plain text, and makes both sides of the trade-off from held-out text."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtant.data.documents import TextFile
from seqtant.data.espeak import phrase_documents
from seqtant.data.tokens import TokenWindows, spread_windows
from seqtant.findings import Estimate, Result
from seqtant.lm.continuations import batch_continuation_log_probs
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import encode_continuations
from seqtant.reference.config import ShapeConfig
from seqtant.reference.oracle import finished
from seqtant.reference.recipe import build_network, save_model
from seqtant.reference.world.documents import SPECIALS
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_path, read_lines, text_of
from seqtant.stats.intervals import share
from seqtant.steering.config import TrainConfig
from seqtant.steering.data import review_data
from seqtant.steering.data.items import BehaviorPrompt, ContrastPair, Passage, Question
from seqtant.steering.inputs import persona_pairs
from seqtant.steering.sweeping.bench import question_scores
from seqtant.training import mean_loss
from seqtant.training import train as train_network

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MEASURED_QUESTIONS = 400
"""Questions on which the finished model is measured here."""
HELD_OUT_WINDOWS = 200
"""Windows of held-out text on which its loss is measured."""


Files = dict[str, Sequence[ContrastPair | BehaviorPrompt | Question | Passage]]
"""Name of a JSON lines file -> its items."""


@verb(TrainConfig)
def train(config: TrainConfig, context: Context) -> Result:
    """Trains a small model on texts with opinions, and makes pairs, prompts and questions of texts it never saw.

    With ``out`` the model goes to ``model`` and the JSON lines beside it.

    Returns:
        Course of the training, held-out perplexity, accuracy on cloze questions beside guessing, and how many pairs,
        prompts, questions and passages were made.

    Raises:
        InputError: A file cannot be read, or holds too little.

    Example:
        >>> from dataclasses import replace
        >>> small = TrainConfig.smoke()
        >>> train.run(replace(small, steps=2)).values["parameters"] > 0
        True
    """
    with Recorder("steering.train", "A small model, with what it takes to steer it", config, context, papers=(1,)) as (
        record
    ):
        training, rest, made = _split_texts(config, context)
        tokenizer = learn_tokenizer(training, config.vocabulary, context_length=config.context)
        shape = ShapeConfig(
            hidden_size=config.width,
            layers=config.depth,
            heads=config.heads,
            # Two thirds of four widths, as in Llama, rounded up to a multiple of 16.
            intermediate_size=-(-8 * config.width // 3 // 16) * 16,
            context_length=config.context,
        )
        tokens = token_row(tokenizer, training)
        network = build_network(shape, len(tokenizer), context.seed)
        # Checkpoints belong to these very tokens: the hash keeps another run from going on with them.
        name = hashlib.sha256(tokens.tobytes()).hexdigest()[:16]
        windows = TokenWindows(tokens, length=shape.context_length, rows=config.rows, seed=context.seed, name=name)
        folder = None if context.folder is None else context.folder / "checkpoints"
        own = Context(seed=context.seed, device=context.device, folder=folder, progress=context.progress)
        history = train_network(network, windows, config.training(), context=own)
        held_out = spread_windows(token_row(tokenizer, rest), length=config.context, most=HELD_OUT_WINDOWS)
        loss = mean_loss(network, {"input_ids": held_out})
        # About fifty points, each the mean of a block of steps.
        block = max(history.steps // 50, 1)
        for start in range(0, history.steps - block + 1, block):
            point = float(np.mean(history.losses[start : start + block]))
            record.measure("loss", point, unit="nats", step=start + block)
        record.value("parameters", network.num_parameters())
        record.value("tokens", history.tokens)
        record.value("held_out_loss", loss)
        record.value("held_out_perplexity", math.exp(loss))
        _record_questions(record, HuggingFaceLM(network, tokenizer, name="small"), made["cloze"])
        for name, items in made.items():
            record.value(name, len(items))
        if context.folder is not None:
            save_model(network, context.folder / "model", tokenizer)
            record.artifact(context.folder / "model" / "model.safetensors", "weights")
            for name, items in made.items():
                path = context.folder / f"{name}.jsonl"
                lines = [{key: value for key, value in asdict(item).items() if value is not None} for item in items]
                write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
                record.artifact(path, name)
            files = context.folder
            inputs = f"--pairs {files}/pairs.jsonl --behavior {files}/behavior.jsonl --helpfulness {files}/cloze.jsonl"
            record.table(
                "next",
                "What to run next",
                ("question", "command"),
                [
                    ("both sides over a range of strengths", f"seqtant steering sweep {files}/model {inputs}"),
                    ("the strength for 5 % of cloze accuracy", f"seqtant steering choose {files}/model {inputs}"),
                ],
            )
    return record.result


def _split_texts(config: TrainConfig, context: Context) -> tuple[list[str], list[str], Files]:
    """Splits all text by document: to train on, held out, and the pairs, prompts and questions made of the latter."""
    generator = np.random.default_rng([context.seed, 70])
    plain: list[str] = [] if config.text else list(phrase_documents(200))
    for source in config.text:
        if is_path(source):
            plain += TextFile(source)
        else:
            plain += [text_of(row, "text", place) for place, row in read_lines(source, fields=("text",))]
    if config.reviews is not None:
        reviews = review_data.read_reviews(config.reviews)
    else:
        reviews = [
            review_data.Review(text, good)
            for pair in persona_pairs(100, generator)
            for text, good in ((pair.positive, True), (pair.negative, False))
        ]
    training, held_out = review_data.split_documents(reviews, config.held_out, config.fold)
    plain, plain_held_out = review_data.split_documents(plain, config.held_out, config.fold)
    good, bad = (tuple(f" {word}" for word in words) for words in (config.good, config.bad))
    # A held-out review makes pairs or prompts, never both: every second one of each side.
    for_pairs, for_prompts = (
        [own for side in (True, False) for own in [review for review in held_out if review.good == side][odd::2]]
        for odd in (0, 1)
    )
    log_odds = review_data.word_log_odds(training)
    frame, words, most = config.frame, config.words, config.passage_words
    made: Files = {
        "pairs": review_data.review_pairs(for_pairs, log_odds, frame, words, config.pairs, generator),
        "behavior": review_data.verdict_prompts(for_prompts, frame, words, good, bad),
        "cloze": review_data.cloze_questions(plain_held_out, plain, most, config.options, generator),
        "passages": [Passage(chunk) for text in plain_held_out for chunk in review_data.chunk_words(text, most)],
    }
    return [review.text for review in training] + plain, [review.text for review in held_out] + plain_held_out, made


def learn_tokenizer(texts: Iterable[str], vocabulary: int, *, context_length: int) -> PreTrainedTokenizerFast:
    """Learns a byte-level BPE tokenizer of lower-case text that begins each text with the beginning-of-sequence token.

    Example:
        >>> tokenizer = learn_tokenizer(["low lower lowest " * 9], 270, context_length=8)
        >>> tokenizer.decode(tokenizer("Lower é").input_ids, skip_special_tokens=True)
        'lower é'
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    pairs = Tokenizer(models.BPE())
    pairs.normalizer = normalizers.Lowercase()  # pyright: ignore[reportAttributeAccessIssue]
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    pairs.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pairs.train_from_iterator(texts, trainer)
    return finished(pairs, context_length=context_length)


def token_row(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> np.ndarray:
    """Tokenizes texts into one row of tokens, [tokens], each text after a beginning-of-sequence token."""
    encoded = tokenizer(list(texts), verbose=False)["input_ids"]
    return np.concatenate([np.asarray(ids, dtype=np.int32) for ids in encoded])


def _record_questions(record: Recorder, model: HuggingFaceLM, questions: Sequence[Any]) -> None:
    """Measures accuracy on cloze questions: without it there is no helpfulness to lose."""
    asked = questions[:MEASURED_QUESTIONS]
    encoded = [encode_continuations(model, question.prompt, question.options) for question in asked]
    scores = batch_continuation_log_probs(model, [prompt for prompt, _ in encoded], [ends for _, ends in encoded])
    totals = [np.array([[float(answer.sum()) for answer in own]]) for own in scores]
    measured = question_scores(totals, [question.answer for question in asked])
    chance = measured.chance
    accuracy = share(round(float(measured.right.sum())), len(asked))
    record.value("cloze_accuracy", accuracy.value)
    record.value("chance", chance)
    able = accuracy.low is not None and accuracy.low > chance
    record.finding(
        "cloze",
        "Does the model know which word comes next in texts that it never saw?",
        "agrees" if able else "inconclusive",
        f"Right in {100 * accuracy.value:.0f} % of {len(asked)} questions; guessing gives {100 * chance:.0f} %.",
        predicted=Estimate(value=chance, method="guessing"),
        measured=accuracy,
        advice="" if able else "There is no helpfulness to lose yet: train for longer or on more text.",
    )
