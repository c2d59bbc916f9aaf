"""Opens what a configuration names: model, vector, prompts and items, the user's own or the reference model's."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from seqtant.errors import InputError
from seqtant.lm import hooks
from seqtant.lm.folder import REFERENCE, locate
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.loading import load
from seqtant.runs.context import Context
from seqtant.steering.applying.lm_eval import PREFIX, task_questions
from seqtant.steering.config import Measured, VectorSource
from seqtant.steering.data.items import BehaviorPrompt, HelpfulnessItem, Question, read_behavior, read_helpfulness
from seqtant.steering.data.pairs import ContrastPair, read_pairs
from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.vectors.extraction import extract, parse_layers
from seqtant.steering.vectors.vector import SteeringVector, check_vector

POSITIVE, NEGATIVE, NEUTRAL = "cheerful", "gloomy", "plain"
"""Personas of the reference world: the two sides of its contrast pairs, and who speaks before a neutral question."""

STEERED = (0.2, 0.4)
"""Part of the depth that is steered by default: the paper's blocks 8 to 15 of 40."""


def open_model(config: VectorSource, context: Context) -> HuggingFaceLM:
    """Loads the model of a configuration.

    Raises:
        InputError: It cannot be loaded.
    """
    return load(config.model, device=context.device, dtype=config.dtype, shared=True)


def open_vector(config: VectorSource, model: HuggingFaceLM, context: Context, *, folds: int = 0) -> SteeringVector:
    """Reads the vector of a configuration, or extracts one from its pairs.

    Args:
        config: Names the file, or the pairs and the method.
        model: The model.
        context: Seed and progress.
        folds: As for :func:`seqtant.steering.vectors.extraction.extract`.

    Raises:
        InputError: There is neither a vector nor pairs, or they cannot be used.
    """
    depth = hooks.depth(model)
    if config.vector is not None:
        vector = read_vector(config.vector)
        check_vector(vector, model, allow_other=config.allow_other_model)
        inside = parse_layers(config.layers, depth, vector.layers)
        # A range names what there is in it; a list of blocks names each of them.
        return vector.at(
            [layer for layer in inside if layer in vector.layers] if ":" in (config.layers or "") else inside
        )
    default = range(math.floor(STEERED[0] * depth), math.ceil(STEERED[1] * depth))
    return extract(
        model,
        open_pairs(config, context),
        parse_layers(config.layers, depth, default),
        method=config.method,
        template=config.template,
        seed=context.seed,
        folds=folds,
        progress=context.progress,
    )


def read_vector(path: str) -> SteeringVector:
    """Reads a vector of this package (.safetensors) or a control vector (.gguf).

    Raises:
        InputError: The file cannot be read.
    """
    if path.endswith(".gguf"):
        from seqtant.steering.vectors.gguf_files import read_gguf

        return read_gguf(Path(path))
    return SteeringVector.load(Path(path))


def open_pairs(config: VectorSource, context: Context) -> list[ContrastPair]:
    """The contrast pairs of a configuration.

    Raises:
        InputError: None are given and the model is not the reference model.
    """
    if config.pairs is not None:
        return read_pairs(config.pairs, limit=config.max_pairs)
    _refuse_unknown(config.model, "--vector FILE or --pairs FILE (JSON lines with positive and negative)")
    return persona_pairs(config.max_pairs, np.random.default_rng([context.seed, 10]))


def open_bench(config: Measured, context: Context) -> Bench:
    """Everything that a measurement of both sides needs.

    Raises:
        InputError: Something is missing or cannot be used.
    """
    behavior, helpfulness = open_items(config, context)
    model = open_model(config, context)
    vector = open_vector(config, model, context)
    return Bench(model, vector, behavior, helpfulness, config.positions, config.tokens_per_batch, context.progress)


def open_items(config: Measured, context: Context) -> tuple[list[BehaviorPrompt], list[HelpfulnessItem]]:
    """Behavior prompts and helpfulness items of a configuration.

    Raises:
        InputError: A file is missing or cannot be used.
    """
    generator = np.random.default_rng([context.seed, 11])
    if config.behavior is not None:
        behavior = read_behavior(config.behavior, limit=config.prompts)
    else:
        _refuse_unknown(config.model, "--behavior FILE (JSON lines with prompt, good and bad)")
        behavior = mood_questions(config.prompts, generator)
    if config.helpfulness is not None and config.helpfulness.startswith(PREFIX):
        return behavior, list(task_questions(config.helpfulness.removeprefix(PREFIX), limit=config.items))
    if config.helpfulness is not None:
        return behavior, read_helpfulness(config.helpfulness, limit=config.items)
    _refuse_unknown(
        config.model,
        "--helpfulness FILE (JSON lines with prompt, options and answer, or with text) or --helpfulness lm-eval:TASK",
    )
    return behavior, list(fact_questions(config.items, generator))


def _refuse_unknown(model: str, wanted: str) -> None:
    if model != REFERENCE and not _is_of_reference_world(model):
        locate(model)  # a folder that is not there is told first
        raise InputError(f"nothing is known of what '{model}' should do: give {wanted}")


def _is_of_reference_world(model: str) -> bool:
    """A folder that the reference model's own recipe wrote carries its manifest."""
    return (Path(model) / "manifest.json").is_file()


def persona_pairs(count: int, generator: np.random.Generator) -> list[ContrastPair]:
    """Talks of the cheerful persona against talks of the gloomy one, of equal numbers of sentences."""
    from seqtant.reference.prompts import Prompts

    prompts = Prompts()
    lengths = generator.integers(3, 8, size=count)
    return [
        ContrastPair(
            prompts.persona(POSITIVE, int(length), generator, remarks_only=True),
            prompts.persona(NEGATIVE, int(length), generator, remarks_only=True),
        )
        for length in lengths
    ]


def mood_questions(count: int, generator: np.random.Generator) -> list[BehaviorPrompt]:
    """``how are you ?`` after a few sentences of the plain persona; bright replies are good, dark ones bad."""
    from seqtant.reference.prompts import Prompts

    prompts = Prompts()
    good, bad = (tuple(f" {word}" for word in words) for words in (prompts.bright_replies(), prompts.dark_replies()))
    openings = [prompts.persona(NEUTRAL, number % 5, generator) for number in range(count)]
    return [BehaviorPrompt(prompts.mood(opening).prompt, good, bad) for opening in openings]


def fact_questions(count: int, generator: np.random.Generator) -> list[Question]:
    """Questions of fact, asked in talks after a sentence of the plain persona, in random order."""
    from seqtant.reference.prompts import Prompts

    prompts = Prompts()
    asked: list[Question] = []
    while len(asked) < count:
        opening = prompts.persona(NEUTRAL, int(generator.integers(0, 4)), generator, remarks_only=True)
        found = [*prompts.facts(opening), *prompts.compositions(opening)]
        asked += [
            Question(item.prompt, tuple(f" {word}" for word in item.answers), item.answers.index(item.right))
            for item in found
        ]
    return [asked[index] for index in generator.permutation(len(asked))[:count]]
