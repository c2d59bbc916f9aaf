"""Finds the bottlenecks of a shape: where a rank below the width makes parameters idle (vocabulary bottleneck).

The theory (paper 7) bounds the separation rank of a network by L * min(r, d): depth times the smaller of the rank of
its input and its width. What a larger width, or an attention inner size above the width, adds to the parameters adds
nothing to that bound. It is a statement about capacity; losses can still differ.

Counting rules, for parameters that the bound does not need (biases and norms left out):

- Input of rank q < d: every attention and feed-forward matrix would do with sides shrunk by q/d, depth and proportions
  kept, so a share 1 - (q/d)^2 of their entries is redundant.
- Attention with H * d_head > d: as many heads as fill the width would do, so a share 1 - d/(H * d_head) of the entries
  of its four projections is redundant.
- Both at once: first the heads are cut, then the width.
- A place narrower than the width (too few heads, a narrow feed-forward layer) costs rank; it makes nothing redundant.

The counts are upper limits: they follow the bound, and losses fall more slowly than capacity. Paper 7 is reported to
find about 25 % of ALBERT and 45 % of T5 redundant [peer]; the rules above say far more of ALBERT and 40 % of T5-11B.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from seqtant.architecture.families.shape import Shape

Kind = Literal[
    "vocabulary",
    "factorized embedding",
    "patch dimension",
    "wide attention",
    "narrow attention",
    "narrow feed-forward",
    "narrow head",
]
Positions = Literal["none", "within", "free"]
"""Learned position vectors: none at the input, within the span of the embedding, or free to add rank."""


@dataclass(frozen=True)
class Bottleneck:
    """One place narrower, or wider, than the residual stream."""

    kind: Kind
    size: int
    """The size that differs from the width: a rank, an inner size."""
    width: int
    """Width of the residual stream there."""
    summary: str
    """What it is and what follows, in one sentence."""
    advice: str
    """The shape to prefer."""
    redundant: int = 0
    """Parameters that the bound does not need."""


@dataclass(frozen=True)
class InputRank:
    """What bounds the rank of the token-dependent part of the input."""

    rank: int
    """min(vocabulary, factorized width, patch dimension, width)."""
    kind: Kind | None
    """What sets it; None where the width does."""
    positions: Positions


def input_rank(shape: Shape) -> InputRank:
    """Bounds the rank of the input embedding by its shape; a trained table may have less."""
    token, position = shape.embedding.table("token"), shape.embedding.table("position")
    limits: list[tuple[int, Kind]] = []
    if token is not None:
        limits = [(token.rows, "vocabulary"), (token.columns, "factorized embedding")]
    elif shape.embedding.projection is not None:
        limits = [(shape.embedding.projection.inputs, "patch dimension")]
    # The smallest limit counts, if it is below the width.
    rank, kind = min(limits, default=(shape.width, None))
    positions: Positions = "none"
    if position is not None:
        positions = "within" if position.columns < shape.width else "free"
    return InputRank(rank, kind, positions) if rank < shape.width else InputRank(shape.width, None, positions)


def redundant_parameters(shape: Shape, *, rank: int | None = None, cut_heads: bool = False) -> int:
    """Counts the entries of the network's matrices that the bound does not need, by the rules at the top.

    A ``rank`` of the input narrows the width to it; ``cut_heads`` leaves as many heads as fill the width.
    """
    # Both sides of a matrix shrink by the same factor, so its entries shrink by the square.
    kept_of_width = Fraction(min(rank or shape.width, shape.width), shape.width) ** 2
    # Exact shares: floats would lose single parameters of large networks.
    full = kept = Fraction(0)
    for layer in shape.layers:
        for part in layer.attention:
            kept_heads = min(Fraction(part.width, part.inner), Fraction(1)) if cut_heads else Fraction(1)
            full += layer.stored * part.weights
            kept += layer.stored * part.weights * kept_heads * kept_of_width
        entries = layer.stored * layer.feed_forward.experts * layer.feed_forward.expert_weights
        full += entries
        kept += entries * kept_of_width
    return int(full - kept)


def find_bottlenecks(shape: Shape, *, deepest: int | None = None) -> tuple[Bottleneck, ...]:
    """Finds all bottlenecks of a shape, one per kind, the input first; advice to go deeper stops at ``deepest``."""
    found = _at_the_input(shape, deepest)
    # The widest attention above the width and the narrowest below it; an inner size equal to the width is neither.
    parts = [part for layer in shape.layers for part in layer.attention]
    part = max(parts, key=lambda part: part.inner / part.width)
    if part.inner > part.width:
        heads = max(1, part.width // part.head_dim)
        found.append(
            Bottleneck(
                kind="wide attention",
                size=part.inner,
                width=part.width,
                redundant=redundant_parameters(shape, cut_heads=True),
                summary=f"{part.heads} heads of {part.head_dim} make an inner size of {part.inner}, "
                f"{part.inner / part.width:.3g} times the width {part.width} that must carry its output.",
                advice=f"Take {heads} heads of {part.head_dim} (inner size {heads * part.head_dim}), "
                f"or widen the residual stream to {part.inner} with fewer layers.",
            )
        )
    part = min(parts, key=lambda part: part.inner / part.width)
    if part.inner < part.width:
        if part.width % part.heads == 0:
            advice = f"Take heads of {part.width // part.heads} (inner size {part.width})."
        else:
            heads = -(-part.width // part.head_dim)  # rounded up
            advice = f"Take {heads} heads of {part.head_dim} (inner size {heads * part.head_dim})."
        found.append(
            Bottleneck(
                kind="narrow attention",
                size=part.inner,
                width=part.width,
                summary=f"{part.heads} heads of {part.head_dim} make an inner size of {part.inner}, "
                f"{part.inner / part.width:.3g} times the width {part.width}: attention cannot reach the whole stream.",
                advice=advice,
            )
        )
    feed_forward = [layer.feed_forward for layer in shape.layers]
    # A token passes through ``active`` experts side by side: together they may fill the width.
    thinnest = min(feed_forward, key=lambda part: part.active * part.inner / part.width)
    inner = thinnest.active * thinnest.inner
    if inner < thinnest.width:
        found.append(
            Bottleneck(
                kind="narrow feed-forward",
                size=inner,
                width=thinnest.width,
                summary=f"feed-forward layers pass a token through {inner} numbers in a width of {thinnest.width}.",
                advice=f"Take an inner size of at least {thinnest.width}; four times the width is usual.",
            )
        )
    output = next((linear for linear in shape.head if linear.name == "output"), None)
    # Only a narrowing that the input's rank does not already explain.
    if output is not None and output.inputs < min(shape.width, input_rank(shape).rank):
        found.append(
            Bottleneck(
                kind="narrow head",
                size=output.inputs,
                width=shape.width,
                summary=f"the output head reads {output.inputs} numbers of a width of {shape.width}.",
                advice="Let the head read the whole width.",
            )
        )
    return tuple(found)


def _at_the_input(shape: Shape, deepest: int | None) -> list[Bottleneck]:
    found = input_rank(shape)
    if found.kind is None:
        return []
    q, d = found.rank, shape.width
    positions = {
        "none": "positions add no rank at the input",
        "within": "positions lie within the same span and add none",
        "free": "learned positions add some rank back",
    }[found.positions]
    cause = {
        "vocabulary": f"the vocabulary has only {q} entries",
        "factorized embedding": f"embeddings are factorized through {q} numbers",
        "patch dimension": f"a flattened patch has only {q} numbers",
    }.get(found.kind, "")
    deeper = f"take width {q} and spend the parameters on depth"
    if deepest is not None:
        # At equal size, depth grows as the inverse square of the width.
        deeper = (
            f"spend parameters on depth, but stop at {deepest} layers: width {q} at this size would take "
            f"{shape.depth * (d / q) ** 2:,.0f}; more tokens, or larger patches, lift the limit"
        )
    advice = f"At this input {deeper}."
    if found.kind == "factorized embedding" and shape.vocabulary is not None:
        factorized, plain = shape.vocabulary * q + q * d, shape.vocabulary * d
        advice = (
            f"Unless memory forbids it, embed at the full width ({plain:,} parameters instead of {factorized:,}); "
            f"otherwise {deeper}."
        )
    summary = f"{cause}, so the input has rank at most {q} in a width of {d}; {positions}."
    return [Bottleneck(found.kind, q, d, summary, advice, redundant_parameters(shape, rank=q))]


def scores_rank(shape: Shape) -> int | None:
    """Bounds the rank of a matrix of logits: the softmax bottleneck, which is another matter."""
    output = next((linear for linear in shape.head if linear.name == "output"), None)
    return None if output is None else min(output.inputs, output.outputs)
