"""Exact slopes at strength 0 by automatic differentiation: of every item, in every steered block, from one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.batches import group_by_length, pad
from seqtant.lm.hooks import Edit, edit_blocks
from seqtant.lm.layers import continue_from, run_to_layer
from seqtant.steering.data.items import Passage
from seqtant.steering.sweeping.batches import Places
from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.sweeping.sweep import Plan, target_scores


def slopes(
    bench: Bench, scoring: Plan, coefficients: Sequence[Float[np.ndarray, " continuations"]]
) -> Float[np.ndarray, "items layers"]:
    """Exact derivatives at strength 0 of sum_c coefficient_c log P(c), per item and per steered block.

    One backward pass through the blocks above the first steered one gives all of them: every row has a strength of its
    own in every block. The sum over blocks is the derivative in the common strength, the same number as a
    Jacobian-vector product along the vector.

    Args:
        bench: Model, vector and positions; only steering at all positions is supported.
        scoring: The plan of the items.
        coefficients: Per item one number per continuation.

    Raises:
        InputError: Only some positions are steered.
    """
    if bench.positions != "all":
        raise InputError("exact slopes are made for steering at all positions: use positions=all")
    model, vector = bench.model, bench.vector
    found = np.zeros((len(scoring.counts), len(vector.layers)))
    targets_of = scoring.targets_of_rows()
    lengths = [row.tokens.numel() for row in scoring.rows]
    for group in group_by_length(lengths, bench.tokens_per_batch):
        batch = pad([row.tokens for row in scoring.rows], group, model, side="right")
        with torch.no_grad():
            below = run_to_layer(model, vector.layers[0], batch.input_ids)
        pushes = torch.zeros(len(vector.layers), len(group), 1, 1, device=model.device, requires_grad=True)
        edits = {
            layer: _push(pushes[column], direction.to(model.device))
            for column, (layer, direction) in enumerate(vector.directions.items())
        }
        places = Places.of([scoring.rows[index] for index in group], model.device)
        owned = [(t, first) for row, first in zip(group, places.first, strict=True) for t in targets_of[row]]
        weights = torch.tensor([float(coefficients[t.item][t.number]) for t, _ in owned], dtype=torch.float64)
        with torch.enable_grad(), edit_blocks(model, edits):
            states = continue_from(model, below)[places.lines, places.positions]
            total = target_scores(model, states[None], owned)[0] @ weights.to(model.device)
            (gradient,) = torch.autograd.grad(total, pushes)
        for line, row in enumerate(group):
            found[scoring.rows[row].item] += gradient[:, line, 0, 0].double().cpu().numpy()
    return found


def _push(strengths: Tensor, direction: Tensor) -> Edit:
    return lambda states, call: states + (strengths * direction).to(states.dtype)


def alignment_slopes(bench: Bench) -> Float[np.ndarray, "prompts layers"]:
    """Exact dB/dr at strength 0 of each behavior prompt, by steered block."""
    read = bench.read_behavior([0.0])
    coefficients = []
    for number, (good, bad) in enumerate(zip(read.good, read.bad, strict=True)):
        scores = np.repeat([1.0, -1.0], [good.shape[1], bad.shape[1]])
        chances = np.exp(np.concatenate([good[0], bad[0]]))
        coefficients.append(chances / chances.sum() * (scores - read.alignment[0, number]))
    return slopes(bench, bench.behavior_plan, coefficients)


def helpfulness_slopes(bench: Bench, *, restricted: bool) -> Float[np.ndarray, "items layers"]:
    """Exact d log P / dr at strength 0 of each helpfulness item, by steered block."""
    scoring = bench.helpfulness_plan
    if isinstance(bench.helpfulness[0], Passage):
        return slopes(bench, scoring, [np.array([1 / len(target.tokens)]) for target in scoring.targets])
    scores = bench.sweep(scoring, [0.0], "helpfulness")
    coefficients = []
    for item, own in zip(bench.questions, scores, strict=True):
        shares = np.exp(own[0] - np.logaddexp.reduce(own[0]))
        coefficients.append(np.eye(len(shares))[item.answer] - (shares if restricted else 0.0))
    return slopes(bench, scoring, coefficients)
