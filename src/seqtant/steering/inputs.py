"""Loads model, vector and datasets that a configuration names, and warns of what makes their results doubtful."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqtant.errors import InputError
from seqtant.lm import hooks
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.loading import load
from seqtant.runs.recorder import Context, Recorder
from seqtant.sources import REFERENCE, ModelSource, describe, is_path, locate, name_of
from seqtant.steering.config import Measured, VectorSource
from seqtant.steering.data.items import (
    BehaviorPrompt,
    ContrastPair,
    HelpfulnessItem,
    Question,
    read_behavior,
    read_helpfulness,
    read_pairs,
)
from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.vectors.extraction import extract, parse_layers
from seqtant.steering.vectors.hooks import resolution_warning
from seqtant.steering.vectors.vector import SteeringVector, check_vector

POSITIVE, NEGATIVE, NEUTRAL = "cheerful", "gloomy", "plain"
"""Personas of the reference world: the two sides of its contrast pairs, and who speaks before a neutral question."""

PREFIX = "lm-eval:"
"""Marks a helpfulness source as a task of lm-evaluation-harness; a name, or the path of a YAML file, follows."""

EXPERT_FIELDS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
"""Where configurations of mixtures say how many experts there are."""


def open_model(config: VectorSource, context: Context) -> HuggingFaceLM:
    """Loads the model of a configuration, or wraps the one that it holds."""
    return load(config.model, device=context.device, dtype=config.dtype, shared=True)


def title_of(model: ModelSource) -> str:
    """Names a model in a title: as it was given, or by the name that a model in memory has."""
    return str(model) if is_path(model) else name_of(model)


def open_vector(config: VectorSource, model: HuggingFaceLM, context: Context, *, folds: int = 0) -> SteeringVector:
    """Takes the vector of a configuration, from memory or a file, or extracts one from its pairs."""
    if config.vector is None:
        if config.pairs is not None:
            pairs = read_pairs(config.pairs, limit=config.max_pairs)
        else:
            _require_reference(config.model, "--vector FILE or --pairs FILE (JSON lines with positive and negative)")
            pairs = persona_pairs(config.max_pairs, np.random.default_rng([context.seed, 10]))
        return extract(
            model,
            pairs,
            config.layers,
            method=config.method,
            template=config.template,
            seed=context.seed,
            folds=folds,
            progress=context.progress,
        )
    vector = SteeringVector.load(config.vector) if is_path(config.vector) else config.vector
    if not isinstance(vector, SteeringVector):
        raise InputError(
            f"{vector!r:.60} is no steering vector: give a SteeringVector, or a .safetensors or .gguf file"
        )
    check_vector(vector, model, allow_other=config.allow_other_model)
    inside = parse_layers(config.layers, hooks.depth(model), vector.layers)
    # A range takes the blocks of the vector that lie in it; a list of blocks must find each of them.
    return vector.at([layer for layer in inside if layer in vector.layers] if ":" in (config.layers or "") else inside)


def open_bench(config: Measured, context: Context) -> Bench:
    """Loads everything that a measurement of both sides needs."""
    # The items first: what is missing there is said before a model is loaded.
    generator = np.random.default_rng([context.seed, 11])
    if config.behavior is not None:
        behavior = read_behavior(config.behavior, limit=config.prompts)
    else:
        _require_reference(config.model, "--behavior FILE (JSON lines with prompt, good and bad)")
        behavior = mood_questions(config.prompts, generator)
    items: Sequence[HelpfulnessItem]
    if config.helpfulness is None:
        _require_reference(
            config.model,
            "--helpfulness FILE (JSON lines with prompt, options and answer, or with text) or --helpfulness "
            "lm-eval:TASK",
        )
        items = fact_questions(config.items, generator)
    elif isinstance(config.helpfulness, str) and config.helpfulness.startswith(PREFIX):
        from seqtant.steering.applying.lm_eval import task_questions

        items = task_questions(config.helpfulness.removeprefix(PREFIX), limit=config.items)
    else:
        items = read_helpfulness(config.helpfulness, limit=config.items)
    model = open_model(config, context)
    vector = open_vector(config, model, context)
    return Bench(model, vector, behavior, items, config.positions, config.tokens_per_batch, context.progress)


def record_warnings(record: Recorder, bench: Bench, strengths: list[float]) -> None:
    """Records the warnings that model, vector and strengths call for: experts, quantized weights, lost precision."""
    config: Any = bench.model.model.config.get_text_config(decoder=True)
    experts = max((getattr(config, name, 0) or 0 for name in EXPERT_FIELDS), default=0)
    if experts > 1:
        record.warn(
            f"a mixture of {experts} experts: steering changes which experts are called, so curves may jump; the laws "
            "for small strengths may not hold"
        )
    if getattr(bench.model.model, "is_quantized", False):
        record.warn("a quantized model: losses near 0 hold the rounding of its weights too")
    small = [abs(value) for value in strengths if value]
    message = resolution_warning(bench.model, bench.vector, min(small)) if small else None
    if message:
        record.warn(message)


def _require_reference(model: ModelSource, wanted: str) -> None:
    """Raises unless the model is the reference model, or a folder that its own recipe wrote with a manifest."""
    if is_path(model):
        sources = [str(model)]
    else:
        network: Any = getattr(model[0] if isinstance(model, tuple) else model, "model", model)
        network = network[0] if isinstance(network, tuple) else network
        sources = [name_of(model), str(getattr(getattr(network, "config", None), "name_or_path", ""))]
    if not any(source == REFERENCE or (Path(source) / "manifest.json").is_file() for source in sources if source):
        if is_path(model):
            locate(model)  # raises first for a folder that is not there
        raise InputError(f"nothing is known of what '{describe(model)}' should do: give {wanted}")


def persona_pairs(count: int, generator: np.random.Generator) -> list[ContrastPair]:
    """Samples talks of the cheerful and of the gloomy persona, pairs of equal numbers of sentences."""
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
    """Asks ``how are you ?`` after a few sentences of the plain persona; bright replies are good, dark ones bad."""
    from seqtant.reference.prompts import Prompts

    prompts = Prompts()
    good, bad = (tuple(f" {word}" for word in words) for words in (prompts.bright_replies(), prompts.dark_replies()))
    openings = [prompts.persona(NEUTRAL, number % 5, generator) for number in range(count)]
    return [BehaviorPrompt(prompts.mood(opening).prompt, good, bad) for opening in openings]


def fact_questions(count: int, generator: np.random.Generator) -> list[Question]:
    """Samples questions of fact, asked in talks after a few sentences of the plain persona, in random order."""
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
