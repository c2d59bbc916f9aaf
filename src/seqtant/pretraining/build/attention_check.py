"""Proof on a model that segments of one example see each other: change the company, and the anchor's logits must move.

Any option that keeps packed documents from seeing each other (block-diagonal masks, restarted positions with flash
attention) turns examples of related text into separate examples, in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm import CausalLM
from seqtant.pretraining.build.build import Build

Forward = Callable[[Int[Tensor, "batch time"]], Float[Tensor, "batch time vocabulary"]]
"""How the user's training loop gets logits from token ids: masks and positions as it sets them."""


@dataclass(frozen=True)
class Company:
    """An example and the same anchor in other company of the same length."""

    tokens: Int[np.ndarray, " time"]
    """The example up to the end of its anchor."""
    swapped: Int[np.ndarray, " time"]
    """The same with other tokens before the anchor."""
    anchor: int
    """Where the anchor begins."""


def logit_changes(forward: Forward, companies: list[Company]) -> Float[np.ndarray, " examples"]:
    """Largest change of any logit within the anchor when its company is exchanged.

    Args:
        forward: From token ids to logits, exactly as in training.
        companies: From :func:`companies_of`.

    Returns:
        One number per example; zero means that the model cannot see the company.

    Example:
        >>> blind = lambda ids: torch.nn.functional.one_hot(ids, 10).double()
        >>> logit_changes(blind, [Company(np.array([1, 2, 3]), np.array([4, 5, 3]), 2)]).tolist()
        [0.0]
    """
    changes = []
    with torch.no_grad():
        for each in companies:
            pair = torch.from_numpy(np.stack([each.tokens, each.swapped]).astype(np.int64))
            logits = forward(pair)[:, each.anchor :].double()
            changes.append(float((logits[0] - logits[1]).abs().max()))
    return np.array(changes)


def companies_of(build: Build, arm: str, *, most: int = 16) -> list[Company]:
    """Anchors of a build's examples, in their own company and in that of another example.

    Args:
        build: Where the examples lie.
        arm: Whose.
        most: Number of examples.

    Raises:
        InputError: No example of the arm has an anchor after other text.
    """
    tokens = build.tokens(arm)
    lengths, offsets = build.column(arm, "segment_lengths")
    anchors, anchor_offsets = build.column(arm, "anchors")
    found: list[Company] = []
    filler = np.zeros(0, dtype=np.int32)
    for row, ids in enumerate(tokens):
        own = anchors[anchor_offsets[row] : anchor_offsets[row + 1]]
        own = own[own > 0]
        starts = np.concatenate([[0], np.cumsum(lengths[offsets[row] : offsets[row + 1]])])
        if len(own) and len(filler) >= starts[own[0]]:
            begin, end = int(starts[own[0]]), int(starts[own[0] + 1])
            swapped = np.concatenate([filler[:begin], ids[begin:end]])
            found.append(Company(ids[:end], swapped, begin))
        filler = ids
        if len(found) == most:
            break
    if not found:
        raise InputError(f"no example of the arm '{arm}' has an anchor after other text: build with --arm knn")
    return found


def model_forward(model: CausalLM) -> Forward:
    """A loaded model as :data:`Forward`."""
    return lambda ids: model.forward(ids.to(model.device)).logits


def check_vocabulary(model: CausalLM, companies: list[Company]) -> None:
    """Refuses a model that does not know the tokens of a build.

    Raises:
        InputError: A token lies outside its vocabulary, or an example outside its context.
    """
    largest = max(int(max(each.tokens.max(), each.swapped.max())) for each in companies)
    if largest >= model.vocabulary_size:
        raise InputError(
            f"the examples hold token {largest}, but '{model.name}' knows {model.vocabulary_size}: "
            "build with --tokenizer and the model's folder"
        )
    longest = max(len(each.tokens) for each in companies)
    if model.context_length is not None and longest > model.context_length:
        raise InputError(
            f"an example has {longest} tokens, '{model.name}' reads {model.context_length}: build smaller ones"
        )
