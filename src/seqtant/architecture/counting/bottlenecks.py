"""Narrow places of a shape: where a rank below the width makes parameters idle, by the vocabulary-bottleneck theory.

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

from seqtant.architecture.families.shape import Attention, Shape

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
    """One narrow place."""

    kind: Kind
    size: int
    """The size that differs from the width: a rank, an inner size."""
    width: int
    """Width of the residual stream there."""
    redundant: int
    """Parameters that the bound does not need."""
    says: str
    """What it is and what follows, in one sentence."""
    advice: str
    """The shape to prefer."""


@dataclass(frozen=True)
class InputRank:
    """What bounds the rank of the token-dependent part of the input."""

    rank: int
    """min(vocabulary, factorized width, patch dimension, width)."""
    kind: Kind | None
    """What sets it; None where the width does."""
    positions: Positions


def input_rank(shape: Shape) -> InputRank:
    """The largest rank that the input embedding can have by its shape; a trained table may have less.

    Example:
        >>> from seqtant.architecture.families.reading import describe
        >>> input_rank(describe({"model_type": "albert"})).rank
        128
    """
    token, position = shape.entry.table("token"), shape.entry.table("position")
    limits: list[tuple[int, Kind]] = []
    if token is not None:
        limits = [(token.rows, "vocabulary"), (token.columns, "factorized embedding")]
    elif shape.entry.projection is not None:
        limits = [(shape.entry.projection.inputs, "patch dimension")]
    rank, kind = min(limits, default=(shape.width, None))
    positions: Positions = "none"
    if position is not None:
        positions = "within" if position.columns < shape.width else "free"
    return InputRank(rank, kind, positions) if rank < shape.width else InputRank(shape.width, None, positions)


def redundant_parameters(shape: Shape, *, rank: int | None = None, cut_heads: bool = False) -> int:
    """Entries of the network's matrices that the bound does not need.

    Args:
        shape: The network.
        rank: Rank of the input that a narrower width could match; None keeps the width.
        cut_heads: Whether attention is cut to as many heads as fill the width.

    Example:
        >>> from seqtant.architecture.families.reading import describe
        >>> gemma = describe({"model_type": "gemma"})  # 16 heads of 256 on width 3072
        >>> redundant_parameters(gemma, cut_heads=True)  # a quarter of 28 layers of 4 x 3072 x 4096
        352321536
    """
    kept_of_width = Fraction(min(rank or shape.width, shape.width), shape.width) ** 2
    full = kept = Fraction(0)
    for layer in (layer for stack in shape.stacks for layer in stack.layers):
        for part in layer.attention:
            entries = layer.stored * (part.query_weights + part.kv_weights)
            full += entries
            kept += entries * (min(Fraction(part.width, part.inner), Fraction(1)) if cut_heads else 1) * kept_of_width
        entries = layer.stored * layer.feed_forward.experts * layer.feed_forward.expert_weights
        full += entries
        kept += entries * kept_of_width
    return int(full - kept)


def find_bottlenecks(shape: Shape, *, deepest: int | None = None) -> tuple[Bottleneck, ...]:
    """All narrow places of a shape, one per kind, the input first.

    Args:
        shape: The network.
        deepest: Depth at which advice to go deeper stops; None where nothing stops it.
    """
    found = [_at_the_input(shape, deepest), *_in_attention(shape), _in_feed_forward(shape), _at_the_head(shape)]
    return tuple(each for each in found if each is not None)


def _at_the_input(shape: Shape, deepest: int | None) -> Bottleneck | None:
    entry = input_rank(shape)
    if entry.kind is None:
        return None
    q, d = entry.rank, shape.width
    lifted = {
        "none": "positions add no rank at the input",
        "within": "positions lie within the same span and add none",
        "free": "learned positions add some rank back",
    }[entry.positions]
    cost = {
        "vocabulary": f"the vocabulary has only {q} entries",
        "factorized embedding": f"embeddings are factorized through {q} numbers",
        "patch dimension": f"a flattened patch has only {q} numbers",
    }.get(entry.kind, "")
    return Bottleneck(
        kind=entry.kind,
        size=q,
        width=d,
        redundant=redundant_parameters(shape, rank=q),
        says=f"{cost}, so the input has rank at most {q} in a width of {d}; {lifted}.",
        advice=_input_advice(shape, entry, deepest),
    )


def _input_advice(shape: Shape, entry: InputRank, deepest: int | None) -> str:
    q, d = entry.rank, shape.width
    deeper = f"take width {q} and spend the parameters on depth"
    if deepest is not None:
        deeper = (
            f"spend parameters on depth, but stop at {deepest} layers: width {q} at this size would take "
            f"{shape.depth * (d / q) ** 2:,.0f}; more tokens, or larger patches, lift the limit"
        )
    if entry.kind != "factorized embedding" or shape.vocabulary is None:
        return f"At this input {deeper}."
    factorized, plain = shape.vocabulary * q + q * d, shape.vocabulary * d
    return (
        f"Unless memory forbids it, embed at the full width ({plain:,} parameters instead of {factorized:,}); "
        f"otherwise {deeper}."
    )


def _in_attention(shape: Shape) -> list[Bottleneck]:
    parts = [part for stack in shape.stacks for layer in stack.layers for part in layer.attention]
    wide = max((part for part in parts if part.inner > part.width), key=_ratio, default=None)
    narrow = min((part for part in parts if part.inner < part.width), key=_ratio, default=None)
    found: list[Bottleneck] = []
    if wide is not None:
        found.append(
            Bottleneck(
                kind="wide attention",
                size=wide.inner,
                width=wide.width,
                redundant=redundant_parameters(shape, cut_heads=True),
                says=f"{wide.heads} heads of {wide.head_dim} make an inner size of {wide.inner}, "
                f"{_ratio(wide):.3g} times the width {wide.width} that must carry its output.",
                advice=f"{_fewer_heads(wide)}, or widen the residual stream to {wide.inner} with fewer layers.",
            )
        )
    if narrow is not None:
        found.append(
            Bottleneck(
                kind="narrow attention",
                size=narrow.inner,
                width=narrow.width,
                redundant=0,
                says=f"{narrow.heads} heads of {narrow.head_dim} make an inner size of {narrow.inner}, "
                f"{_ratio(narrow):.3g} times the width {narrow.width}: attention cannot reach the whole stream.",
                advice=_more_heads(narrow),
            )
        )
    return found


def _ratio(part: Attention) -> float:
    return part.inner / part.width


def _more_heads(part: Attention) -> str:
    if part.width % part.heads == 0:
        return f"Take heads of {part.width // part.heads} (inner size {part.width})."
    heads = -(-part.width // part.head_dim)
    return f"Take {heads} heads of {part.head_dim} (inner size {heads * part.head_dim})."


def _fewer_heads(part: Attention) -> str:
    heads = max(1, part.width // part.head_dim)
    return f"Take {heads} heads of {part.head_dim} (inner size {heads * part.head_dim})"


def _in_feed_forward(shape: Shape) -> Bottleneck | None:
    parts = [layer.feed_forward for stack in shape.stacks for layer in stack.layers]
    narrow = min(
        (part for part in parts if part.active * part.inner < part.width),
        key=lambda part: part.active * part.inner / part.width,
        default=None,
    )
    if narrow is None:
        return None
    inner = narrow.active * narrow.inner
    return Bottleneck(
        kind="narrow feed-forward",
        size=inner,
        width=narrow.width,
        redundant=0,
        says=f"feed-forward layers pass a token through {inner} numbers in a width of {narrow.width}.",
        advice=f"Take an inner size of at least {narrow.width}; four times the width is usual.",
    )


def _at_the_head(shape: Shape) -> Bottleneck | None:
    """A narrowing after the layers that the input does not already explain."""
    output = next((linear for linear in shape.head if linear.name == "output"), None)
    if output is None or output.inputs >= min(shape.width, input_rank(shape).rank):
        return None
    return Bottleneck(
        kind="narrow head",
        size=output.inputs,
        width=shape.width,
        redundant=0,
        says=f"the output head reads {output.inputs} numbers of a width of {shape.width}.",
        advice="Let the head read the whole width.",
    )


def scores_rank(shape: Shape) -> int | None:
    """Largest rank that a matrix of output scores can have: the softmax bottleneck, which is another matter."""
    output = next((linear for linear in shape.head if linear.name == "output"), None)
    return None if output is None else min(output.inputs, output.outputs)
