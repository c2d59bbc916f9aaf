"""Exact counts of a shape: parameters by component, matrix-product FLOPs of a forward pass, bytes of key-value cache.

Conventions, stated once and used everywhere:

- A tied weight is one parameter. A weight shared by layers is one parameter, applied many times.
- ``embedding`` is everything that turns ids or patches into the residual stream (tables, the projection of factorized
  or patch embeddings, their norm); ``head`` is everything after the last norm that is not tied; the rest, the network
  itself, is ``non_embedding``: the size that depth laws speak of.
- A multiply-add is two FLOPs. Only matrix products count: no softmax, norm, activation or rotary angle.
- ``square`` attention counts every query against every key, masked or not, as kernels and profilers do; ``masked``
  counts the pairs that the causal mask and the window leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqtant.architecture.families.shape import Attention, FeedForward, Layer, Linear, Shape
from seqtant.errors import InputError, suggest

Pairs = Literal["square", "masked"]

BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int8": 1}
"""Bytes per number of each format."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of a shape by component; the components add up to the total."""

    components: dict[str, int]
    """Component -> parameters."""
    inactive: int
    """Parameters of experts that one token does not pass through."""

    @property
    def total(self) -> int:
        """All parameters, tied weights once."""
        return sum(self.components.values())

    @property
    def active(self) -> int:
        """Parameters that one token passes through; whole embedding tables included."""
        return self.total - self.inactive

    @property
    def embedding(self) -> int:
        """Tables, projection and norm of the input."""
        return sum(count for name, count in self.components.items() if name.startswith("embedding"))

    @property
    def head(self) -> int:
        """What the output head does not share with the input."""
        return self.components["head"]

    @property
    def non_embedding(self) -> int:
        """The network between embedding and head."""
        return self.total - self.embedding - self.head


def count_parameters(shape: Shape) -> Parameters:
    """Counts the parameters of a shape, exactly as transformers instantiates it.

    Example:
        >>> from seqtant.architecture.families.reading import describe
        >>> gpt2 = count_parameters(describe({"model_type": "gpt2"}))
        >>> gpt2.total, gpt2.non_embedding
        (124439808, 85056000)
    """
    entry, layers = shape.entry, _layers(shape)
    components = {f"embedding: {table.name}": table.parameters for table in entry.tables}
    if entry.projection is not None:
        components["embedding: projection"] = entry.projection.parameters
    if entry.norm + entry.free:
        components["embedding: norm and free vectors"] = entry.norm + entry.free
    components |= {
        "attention": sum(layer.stored * sum(part.parameters for part in layer.attention) for layer in layers),
        "feed-forward": sum(layer.stored * _feed_forward_parameters(layer.feed_forward) for layer in layers),
        "norms": sum(layer.stored * layer.norm for layer in layers) + sum(stack.norm for stack in shape.stacks),
        "head": sum(linear.parameters for linear in shape.head) + shape.head_norm,
    }
    parts = ((layer.stored, layer.feed_forward) for layer in layers)
    inactive = sum(times * (part.experts - part.active) * part.expert_parameters for times, part in parts)
    return Parameters(components, inactive)


def _layers(shape: Shape) -> list[Layer]:
    return [layer for stack in shape.stacks for layer in stack.layers]


def _feed_forward_parameters(part: FeedForward) -> int:
    return part.experts * part.expert_parameters + part.router


@dataclass(frozen=True)
class Flops:
    """FLOPs of the matrix products of one forward pass over one sequence, by component."""

    components: dict[str, int]
    """Component -> FLOPs."""
    tokens: int
    """Tokens of the sequence."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.components.values())

    @property
    def per_token(self) -> float:
        """FLOPs over tokens."""
        return self.total / self.tokens


def count_flops(shape: Shape, tokens: int, *, pairs: Pairs = "square", scored: int | None = None) -> Flops:
    """Counts the FLOPs of one forward pass over one sequence.

    Args:
        shape: The network.
        tokens: Length of the sequence; an encoder-decoder reads this many and writes this many.
        pairs: Whether attention counts all pairs of tokens, or those that the mask leaves.
        scored: Tokens whose output scores are computed; all by default, 1 where only the next token is asked for.

    Raises:
        InputError: There is no token, or the shape reads images of another size.

    Example:
        >>> from seqtant.architecture.families.reading import describe
        >>> nano = describe({"model_type": "gpt2", "n_layer": 4, "n_embd": 384, "n_head": 6})
        >>> count_flops(nano, 256, scored=1).total  # 2 x the 2,032,564,608 multiply-adds that DeepSpeed measures
        4065129216
    """
    if tokens < 1:
        raise InputError(f"length is {tokens}: give at least one token")
    if shape.fixed_tokens not in (None, tokens):
        raise InputError(f"length is {tokens}: this network always reads {shape.fixed_tokens} patches and class token")
    layers = _layers(shape)
    components = {
        "embedding": _linear_flops(shape.entry.projection, tokens),
        "attention projections": sum(
            2 * tokens * layer.applied * sum(part.query_weights + part.kv_weights for part in layer.attention)
            for layer in layers
        ),
        "attention scores and values": sum(
            4 * layer.applied * sum(part.inner * count_pairs(part, tokens, pairs) for part in layer.attention)
            for layer in layers
        ),
        "feed-forward": sum(
            2 * tokens * layer.applied * (part.active * part.expert_weights + part.router)
            for layer in layers
            for part in (layer.feed_forward,)
        ),
        "head": sum(_linear_flops(linear, tokens if scored is None else scored) for linear in shape.head),
    }
    return Flops(components, tokens)


def _linear_flops(linear: Linear | None, tokens: int) -> int:
    if linear is None:
        return 0
    times = {"token": tokens, "sequence": 1, "patch": tokens - 1}[linear.per]
    return 2 * linear.weights * times


def count_pairs(attention: Attention, tokens: int, pairs: Pairs) -> int:
    """Pairs of a query and a key that one head of an attention sublayer multiplies.

    Example:
        >>> part = Attention(width=4, heads=1, kv_heads=1, head_dim=4, window=2)
        >>> count_pairs(part, 4, "square"), count_pairs(part, 4, "masked")  # masked: 1 + 2 + 2 + 2
        (16, 7)
    """
    if pairs == "square" or attention.cross:
        return tokens * tokens
    window = min(attention.window or tokens, tokens)
    if attention.causal:
        return window * (window + 1) // 2 + (tokens - window) * window
    return tokens * tokens


@dataclass(frozen=True)
class Cache:
    """Bytes of the key-value cache of one sequence."""

    per_token: int
    """Bytes that one more token takes while no window is full."""
    per_source_token: int
    """Bytes that one source token takes for cross-attention."""
    at_length: int
    """Bytes at the length asked for: windows hold no more than they see."""


def count_cache(shape: Shape, tokens: int, dtype: str) -> Cache | None:
    """Counts the key-value cache of a network that writes token by token; None for those that do not.

    Raises:
        InputError: The number format is unknown.

    Example:
        >>> from seqtant.architecture.families.reading import describe
        >>> count_cache(describe({"model_type": "llama"}), 4096, "float16").per_token
        524288
    """
    if dtype not in BYTES:
        raise InputError(f"dtype is '{dtype}'{suggest(dtype, BYTES)}: known are {', '.join(BYTES)}")
    per_token = source = held = 0
    for layer in _layers(shape):
        for part in layer.attention:
            size = 2 * part.kv_inner * layer.applied * BYTES[dtype]
            if part.cross:
                source += size
                held += size * tokens
            elif part.causal:
                per_token += size
                held += size * min(part.window or tokens, tokens)
    return Cache(per_token, source, held) if per_token else None
