"""Extracts a steering vector: both sides of all pairs in padded batches, stopped at the highest layer, no logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from seqtant.errors import InputError
from seqtant.lm import hooks
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.shared_beginnings import last_states
from seqtant.progress import SILENT, Progress
from seqtant.steering.data.pairs import ContrastPair, check_pairs, pair_tokens, pairs_hash
from seqtant.steering.vectors.directions import METHODS, explained_share, held_out_accuracy
from seqtant.steering.vectors.fingerprints import model_hash, tokenizer_hash
from seqtant.steering.vectors.vector import LayerFacts, Origin, SteeringVector


def extract(
    model: HuggingFaceLM,
    pairs: Sequence[ContrastPair],
    layers: Sequence[int],
    *,
    method: str = "mean",
    template: str = "{text}",
    seed: int = 0,
    folds: int = 5,
    tokens_per_batch: int = 4096,
    progress: Progress = SILENT,
) -> SteeringVector:
    """Draws one direction per block from the last tokens of contrast pairs.

    Args:
        model: The model.
        pairs: At least two pairs.
        layers: Blocks whose output is read; nothing above the highest is run.
        method: One of :data:`seqtant.steering.vectors.directions.METHODS`.
        template: ``chat`` or a text with ``{text}``.
        seed: Seed of the shuffles, of the random control and of the folds.
        folds: Parts of the pairs for the held-out accuracy; 0 leaves it out.
        tokens_per_batch: Most tokens in one forward pass.
        progress: Told how many texts were read.

    Returns:
        Unit directions with what is known of each.

    Raises:
        InputError: The pairs hold no direction, the method is unknown, or hidden states are not finite.
    """
    check_pairs(pairs)
    if method not in METHODS:
        raise InputError(f"unknown method '{method}': known are {', '.join(METHODS)}")
    chosen = hooks.check_layers(model, layers)
    tokens = pair_tokens(model, pairs, template)
    count = len(pairs)
    # The two sides of a pair mostly begin alike: what they share is read once.
    sides = list(zip(tokens[:count], tokens[count:], strict=True))
    states = last_states(model, sides, chosen, tokens_per_batch=tokens_per_batch, progress=progress)
    if not bool(torch.isfinite(states).all()):
        raise InputError(
            f"'{model.name}' has hidden states that are not finite: its weights may be corrupt, or overflow in its "
            "number type (use --set dtype=float32)"
        )
    directions, facts = {}, {}
    for column, layer in enumerate(chosen):
        both = states[:, column].double().numpy()
        direction, facts[layer] = _layer(both[::2], both[1::2], method, folds, seed)
        directions[layer] = torch.from_numpy(direction)
    return SteeringVector(directions, facts, _origin(model, pairs, method, template, seed))


def _layer(
    positive: np.ndarray, negative: np.ndarray, method: str, folds: int, seed: int
) -> tuple[np.ndarray, LayerFacts]:
    direction = METHODS[method](positive, negative, np.random.default_rng([seed, 0]))
    accuracy = None
    if folds:
        right, total = held_out_accuracy(positive, negative, method, folds, np.random.default_rng([seed, 1]))
        accuracy = right / total
    return direction, LayerFacts(
        raw_norm=float(np.linalg.norm(direction)),
        hidden_norm=float(np.linalg.norm(np.concatenate([positive, negative]), axis=1).mean()),
        explained_variance=explained_share(positive, negative, direction),
        sign_agreement=float(((positive - negative) @ direction > 0).mean()),
        held_out_accuracy=accuracy,
    )


def _origin(model: HuggingFaceLM, pairs: Sequence[ContrastPair], method: str, template: str, seed: int) -> Origin:
    return Origin(
        model=model.name,
        model_type=str(getattr(model.model.config, "model_type", "")),
        model_hash=model_hash(model),
        tokenizer_hash=tokenizer_hash(model),
        depth=hooks.depth(model),
        method=method,
        template=template,
        data_hash=pairs_hash(pairs, template),
        pairs=len(pairs),
        seed=seed,
    )


def parse_layers(text: str | None, depth: int, default: Sequence[int]) -> list[int]:
    """Block numbers from ``2,3``, ``4:8`` (the end left out) or fractions of the depth such as ``0.3:0.6``.

    Raises:
        InputError: The text cannot be read, or names no block of the model.

    Example:
        >>> parse_layers("0.25:0.75", 8, []), parse_layers("1,-1", 8, [])
        ([2, 3, 4, 5], [1, 7])
    """
    if text is None:
        return list(default)
    try:
        if ":" in text:
            first, last = (_edge(part, depth) for part in text.split(":"))
            found = list(range(first, last))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"layers '{text}' cannot be read: write 2,3 or 4:8 or 0.3:0.6") from error
    if not found or any(not -depth <= layer < depth for layer in found):
        raise InputError(f"layers '{text}' name no blocks of a model with blocks 0 to {depth - 1}")
    return [layer % depth for layer in found]


def _edge(part: str, depth: int) -> int:
    return round(float(part) * depth) if "." in part else int(part)
