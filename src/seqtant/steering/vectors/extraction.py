"""Extracts a steering vector from contrast pairs: hidden states at their last tokens, one direction per block."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import expit

from seqtant.errors import InputError
from seqtant.lm import hooks
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import CausalLM, encode, tokenizer_of, why_not_finite
from seqtant.lm.layers import last_states
from seqtant.lm.loading import load
from seqtant.progress import SILENT, Progress
from seqtant.runs.verb import left_as_it_was
from seqtant.sources import ModelSource, Rows
from seqtant.steering.data.items import ContrastPair, read_pairs
from seqtant.steering.vectors.vector import LayerFacts, Origin, SteeringVector, model_hash, tokenizer_hash

States = Float[np.ndarray, "pairs width"]
Direction = Float[np.ndarray, " width"]

STEERED = (0.2, 0.4)
"""Part of the depth that is steered by default: the paper's blocks 8 to 15 of 40."""


def extract(
    model: ModelSource,
    pairs: Rows,
    layers: Sequence[int] | str | None = None,
    *,
    method: str = "mean",
    template: str = "{text}",
    seed: int = 0,
    folds: int = 5,
    tokens_per_batch: int = 4096,
    progress: Progress = SILENT,
) -> SteeringVector:
    """Extracts one direction per block from the hidden states at the last tokens of contrast pairs.

    Args:
        model: A transformers model with its tokenizer, ``(model, tokenizer)``, a wrapper of :func:`seqtant.lm.load`, or
            what that loads. A network in memory comes back as it was.
        pairs: At least two pairs: ``(positive, negative)``, :class:`ContrastPair`, dictionaries, or a file of them.
        layers: Blocks whose output is read; nothing above the highest is run. Numbers, or a text such as ``0.3:0.6``;
            by default from a fifth to two fifths of the depth.
        method: One of :data:`METHODS`.
        template: ``chat`` or a text with ``{text}``.
        seed: Seed of the shuffles, of the random control and of the folds.
        folds: Folds of the pairs for the held-out accuracy; 0 leaves it out.
        tokens_per_batch: Most tokens in one forward pass.
        progress: Shows how many texts were read.

    Returns:
        Unit directions with statistics of each.

    Raises:
        InputError: The pairs hold no direction, the method is unknown, or hidden states are not finite.

    Example:
        >>> pairs = [(f"we love the {n} .", f"we hate the {n} .") for n in ("lamp", "room", "lake")]
        >>> vector = extract("reference", pairs, [2, 3])
        >>> vector.layers, vector.facts[2].held_out_accuracy
        ((2, 3), 1.0)
    """
    if not isinstance(model, HuggingFaceLM):
        with left_as_it_was(model):
            loaded = load(model)
            return extract(
                loaded,
                pairs,
                layers,
                method=method,
                template=template,
                seed=seed,
                folds=folds,
                tokens_per_batch=tokens_per_batch,
                progress=progress,
            )
    pairs = read_pairs(pairs)
    if len(pairs) < 2:
        raise InputError(
            f"{len(pairs)} contrast pair(s): one pair cannot tell the behavior from its own words; give at least two, "
            "better a hundred"
        )
    same = sum(pair.positive == pair.negative for pair in pairs)
    if same:
        raise InputError(
            f"{same} of {len(pairs)} pairs have the same text on both sides: they hold no direction, remove them"
        )
    if method not in METHODS:
        raise InputError(f"unknown method '{method}': known are {', '.join(METHODS)}")
    depth = hooks.depth(model)
    if layers is None or isinstance(layers, str):
        layers = parse_layers(layers, depth, steered_blocks(depth))
    chosen = hooks.check_layers(model, layers)
    tokens = pair_tokens(model, pairs, template)
    # The two sides of a pair mostly begin alike: a group of two reads what they share once.
    sides = list(zip(tokens[: len(pairs)], tokens[len(pairs) :], strict=True))
    states = last_states(model, sides, chosen, tokens_per_batch=tokens_per_batch, progress=progress)
    if not bool(torch.isfinite(states).all()):
        raise InputError(f"'{model.name}' has hidden states that are not finite: {why_not_finite(model)}")
    directions, facts = {}, {}
    for column, layer in enumerate(chosen):
        # Groups of two came in, so sides alternate: even rows are positive, odd rows negative.
        both = states[:, column].double().numpy()  # [2 pairs, width]
        positive, negative = both[::2], both[1::2]
        # Generators [seed, 0] and [seed, 1] make every block independent of the others and of the folds.
        direction = METHODS[method](positive, negative, np.random.default_rng([seed, 0]))
        accuracy = None
        if folds:
            right, total = held_out_accuracy(positive, negative, method, folds, np.random.default_rng([seed, 1]))
            accuracy = right / total
        directions[layer] = torch.from_numpy(direction)
        facts[layer] = LayerFacts(
            raw_norm=float(np.linalg.norm(direction)),
            hidden_norm=float(np.linalg.norm(np.concatenate([positive, negative]), axis=1).mean()),
            explained_variance=explained_share(positive, negative, direction),
            sign_agreement=float(((positive - negative) @ direction > 0).mean()),
            held_out_accuracy=accuracy,
        )
    texts = json.dumps([[pair.prompt, pair.positive, pair.negative] for pair in pairs] + [template])
    origin = Origin(
        model=model.name,
        model_type=str(getattr(model.model.config, "model_type", "")),
        model_hash=model_hash(model),
        tokenizer_hash=tokenizer_hash(model),
        depth=depth,
        method=method,
        template=template,
        data_hash=hashlib.sha256(texts.encode()).hexdigest()[:16],
        pairs=len(pairs),
        seed=seed,
    )
    return SteeringVector(directions, facts, origin)


def pair_tokens(model: CausalLM, pairs: Sequence[ContrastPair], template: str) -> list[list[int]]:
    """Tokenizes all positive texts, then all negative ones, each put into the template."""
    sides = [(pair.prompt, pair.positive) for pair in pairs] + [(pair.prompt, pair.negative) for pair in pairs]
    if template != "chat":
        return encode(model, [template.replace("{text}", (prompt or "") + text) for prompt, text in sides])
    tokenizer = tokenizer_of(model)
    if not getattr(tokenizer, "chat_template", None):
        raise InputError(f"the tokenizer of '{model.name}' has no chat template: give a template with {{text}} instead")
    tokens = []
    for prompt, text in sides:
        # With a prompt the text is the beginning of the assistant's turn, else it is the user's turn.
        turns = [{"role": "user", "content": text if prompt is None else prompt}]
        if prompt is not None:
            turns.append({"role": "assistant", "content": text})
        rendered = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=prompt is None, continue_final_message=prompt is not None
        )
        # The template writes the special tokens itself: adding them again would double the first one.
        tokens.append(list(tokenizer(str(rendered), add_special_tokens=False)["input_ids"]))
    return tokens


def steered_blocks(depth: int) -> range:
    """The part of the depth that the paper steers: from a fifth to two fifths.

    Example:
        >>> steered_blocks(40)
        range(8, 16)
    """
    return range(math.floor(STEERED[0] * depth), math.ceil(STEERED[1] * depth))


def parse_layers(text: str | None, depth: int, default: Sequence[int]) -> list[int]:
    """Parses block numbers: ``2,3``, ``4:8`` (the end left out) or fractions of the depth such as ``0.3:0.6``.

    Example:
        >>> parse_layers("0.25:0.75", 8, []), parse_layers("1,-1", 8, [])
        ([2, 3, 4, 5], [1, 7])
    """
    if text is None:
        return list(default)
    try:
        if ":" in text:
            first, last = (round(float(part) * depth) if "." in part else int(part) for part in text.split(":"))
            found = list(range(first, last))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"layers '{text}' cannot be read: write 2,3 or 4:8 or 0.3:0.6") from error
    if not found or any(not -depth <= layer < depth for layer in found):
        raise InputError(f"layers '{text}' name no blocks of a model with blocks 0 to {depth - 1}")
    return [layer % depth for layer in found]


def mean_difference(positive: States, negative: States, generator: np.random.Generator) -> Direction:
    """Mean of the differences; its norm is the raw distance between the two sides."""
    difference = (positive - negative).mean(axis=0)
    _unit(difference)  # raises where the sides do not differ
    return difference


def uncentered_pca(positive: States, negative: States, generator: np.random.Generator) -> Direction:
    """First right singular vector of the differences, signed by their mean, scaled to the mean's length along it."""
    differences = positive - negative
    return _signed_and_scaled(_first_component(differences), differences)


def shuffled_pca(positive: States, negative: States, generator: np.random.Generator) -> Direction:
    """PCA of centered differences whose order was shuffled, signed by the labels: RepE's recipe.

    Shuffling turns the mean difference into the first component; in order, centering would remove it.
    """
    differences = positive - negative
    # As many +1 as -1 (up to one), in random order.
    # Equal numbers of both signs make the mean of the flipped differences almost zero, so centering takes nothing away.
    flips = generator.permutation(np.resize([1.0, -1.0], len(differences)))[:, None]
    shuffled = differences * flips
    return _signed_and_scaled(_first_component(shuffled - shuffled.mean(axis=0)), differences)


def logistic_probe(positive: States, negative: States, generator: np.random.Generator) -> Direction:
    """Normal of a logistic classifier: min_w sum log(1 + exp(-y w.x)) + |w|^2 / 2, on states scaled to unit size."""
    _unit((positive - negative).ravel())  # raises where the sides do not differ
    # Scaled by one number, not per dimension: the ridge must not turn the normal towards small dimensions.
    states = np.concatenate([positive, negative])
    states = states - states.mean(axis=0)
    size = np.sqrt((states**2).mean())
    scaled = states / size
    labels = np.repeat([1.0, -1.0], [len(positive), len(negative)])

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = labels * (scaled @ weights)
        # log(1 + e^{-m}) without overflow for large negative margins.
        loss = np.logaddexp(0, -margins).sum() + 0.5 * weights @ weights
        gradient = scaled.T @ (-labels * expit(-margins)) + weights
        return float(loss), gradient

    found = minimize(objective, np.zeros(states.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return _signed_and_scaled(_unit(found.x), positive - negative)


def random_control(positive: States, negative: States, generator: np.random.Generator) -> Direction:
    """A random direction of the mean difference's length: what any vector of that size would do."""
    drawn = _unit(generator.standard_normal(positive.shape[1]))
    return drawn * float(np.linalg.norm((positive - negative).mean(axis=0)))


METHODS: dict[str, Callable[[States, States, np.random.Generator], Direction]] = {
    "mean": mean_difference,
    "pca": uncentered_pca,
    "repe": shuffled_pca,
    "probe": logistic_probe,
    "random": random_control,
}
"""Name -> method; each takes the states of both sides, pair by pair, and returns a direction with its raw length."""


def explained_share(positive: States, negative: States, direction: Direction) -> float:
    """Share of the squared length of all differences that lies along a direction, in [0, 1]."""
    differences = positive - negative
    return float(((differences @ _unit(direction)) ** 2).sum() / (differences**2).sum())


def held_out_accuracy(
    positive: States, negative: States, method: str, folds: int, generator: np.random.Generator
) -> tuple[int, int]:
    """Counts pairs whose sides are told apart by a direction made from the other folds: (right, all)."""
    parts = np.array_split(generator.permutation(len(positive)), min(folds, len(positive)))
    right = 0
    for part in parts:
        rest = np.setdiff1d(np.arange(len(positive)), part)
        direction = METHODS[method](positive[rest], negative[rest], generator)
        # The sign of the projected difference needs no threshold: sides are compared pair by pair.
        right += int(((positive[part] - negative[part]) @ direction > 0).sum())
    return right, len(positive)


def _first_component(rows: np.ndarray) -> Direction:
    """First right singular vector, deterministic, from the smaller of the two Gram matrices."""
    if len(rows) < rows.shape[1]:
        # X = U S V^T: the top eigenvector u of X X^T gives v = X^T u, up to its length.
        vector = rows.T @ np.linalg.eigh(rows @ rows.T)[1][:, -1]
    else:
        vector = np.linalg.eigh(rows.T @ rows)[1][:, -1]
    return _unit(vector)


def _signed_and_scaled(unit: Direction, differences: np.ndarray) -> Direction:
    """Turns a unit vector to the positive side and gives it the length of the mean difference along it."""
    along = differences @ unit  # [pairs]
    # The majority of pairs decides the sign; in a tie their mean, and if that is 0 too, any sign will do.
    sign = np.sign((along > 0).sum() - (along < 0).sum()) or np.sign(along.mean()) or 1.0
    return unit * sign * max(abs(float(along.mean())), np.finfo(float).tiny)


def _unit(vector: np.ndarray) -> Direction:
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or norm == 0.0:
        raise InputError(
            "the two sides of the pairs have the same hidden states here: there is no direction; give pairs that "
            "differ in the behavior, or other layers"
        )
    return vector / norm
