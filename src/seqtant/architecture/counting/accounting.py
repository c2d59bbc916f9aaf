"""Counts a shape exactly: parameters by component, matrix-product FLOPs of a forward pass, bytes of key-value cache.

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

from seqtant.architecture.families.shape import Attention, Linear, Shape
from seqtant.errors import InputError, suggest

Pairs = Literal["square", "masked"]

BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int8": 1}
"""Bytes per number of each format."""


def bytes_of(dtype: str) -> int:
    """Looks up the bytes per number of a format."""
    if dtype not in BYTES:
        raise InputError(f"dtype is '{dtype}'{suggest(dtype, BYTES)}: known are {', '.join(BYTES)}")
    return BYTES[dtype]


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
        """The network between embedding and head, without what reads something besides text."""
        return self.total - self.embedding - self.head - self.components.get("vision and audio", 0)

    @property
    def active_non_embedding(self) -> int:
        """What one token passes through between embedding and head."""
        return self.non_embedding - self.inactive


def count_parameters(shape: Shape) -> Parameters:
    """Counts the parameters of a shape, exactly as transformers instantiates it.

    Example:
        >>> from seqtant.architecture.families.loading import describe
        >>> gpt2 = count_parameters(describe({"model_type": "gpt2"}))
        >>> gpt2.total, gpt2.non_embedding
        (124439808, 85056000)
    """
    embedding, layers = shape.embedding, shape.layers
    components = {f"embedding: {table.name}": table.parameters for table in embedding.tables}
    if embedding.projection is not None:
        components["embedding: projection"] = embedding.projection.parameters
    if embedding.norm + embedding.free:
        components["embedding: norm and free vectors"] = embedding.norm + embedding.free
    parts = [(layer.stored, layer.feed_forward) for layer in layers]
    components |= {
        "attention": sum(layer.stored * sum(part.parameters for part in layer.attention) for layer in layers),
        "feed-forward": sum(
            times * ((part.experts + part.shared) * part.expert_parameters + part.router) for times, part in parts
        ),
        "norms": sum(layer.stored * layer.norm for layer in layers) + sum(stack.norm for stack in shape.stacks),
        "head": sum(linear.parameters for linear in shape.head) + shape.head_norm,
    }
    # Of the experts stored, one token passes through the active ones only.
    inactive = sum(times * (part.experts - part.active) * part.expert_parameters for times, part in parts)
    return Parameters(components, inactive)


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
    """Counts the FLOPs of one forward pass over one sequence; an encoder-decoder reads and writes ``tokens`` each.

    Output scores are computed for ``scored`` tokens: all by default, 1 where only the next token is asked for.

    Example:
        >>> from seqtant.architecture.families.loading import describe
        >>> nano = describe({"model_type": "gpt2", "n_layer": 4, "n_embd": 384, "n_head": 6})
        >>> count_flops(nano, 256, scored=1).total  # 2 x the 2,032,564,608 multiply-adds that DeepSpeed measures
        4065129216
    """
    if tokens < 1:
        raise InputError(f"length is {tokens}: give at least one token")
    if shape.fixed_tokens not in (None, tokens):
        raise InputError(f"length is {tokens}: this network always reads {shape.fixed_tokens} patches and class token")

    def linear(matrix: Linear, tokens: int) -> int:
        # Of the tokens of an image network one is the class token: the patches are one fewer.
        return 2 * matrix.weights * {"token": tokens, "sequence": 1, "patch": tokens - 1}[matrix.per]

    projection, layers = shape.embedding.projection, shape.layers
    feed_forward = [(layer.applied, layer.feed_forward) for layer in layers]
    components = {
        "embedding": linear(projection, tokens) if projection else 0,
        "attention projections": sum(
            2 * tokens * layer.applied * sum(part.weights for part in layer.attention) for layer in layers
        ),
        # One product of queries with keys and one of weights with values: two multiply-adds per pair and number.
        "attention scores and values": sum(
            4 * layer.applied * sum(part.inner * count_pairs(part, tokens, pairs) for part in layer.attention)
            for layer in layers
        ),
        "feed-forward": sum(
            2 * tokens * times * ((part.active + part.shared) * part.expert_weights + part.router)
            for times, part in feed_forward
        ),
        "head": sum(linear(matrix, tokens if scored is None else scored) for matrix in shape.head),
    }
    return Flops(components, tokens)


def count_pairs(attention: Attention, tokens: int, pairs: Pairs) -> int:
    """Counts the pairs of a query and a key that one head of an attention sublayer multiplies.

    Example:
        >>> part = Attention(width=4, heads=1, kv_heads=1, head_dim=4, window=2)
        >>> count_pairs(part, 4, "square"), count_pairs(part, 4, "masked")  # masked: 1 + 2 + 2 + 2
        (16, 7)
    """
    if pairs == "square" or attention.cross or not attention.causal:
        return tokens * tokens
    # The first ``window`` queries see 1, 2, ..., window keys; every later one sees the window.
    window = min(attention.window or tokens, tokens)
    return window * (window + 1) // 2 + (tokens - window) * window


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
    """Counts the key-value cache of a network that writes token by token; None for those that do not."""
    number = bytes_of(dtype)
    per_token = source = held = 0
    for layer in shape.layers:
        for part in layer.attention:
            # One key and one value per key-value head and layer.
            size = 2 * part.kv_inner * layer.applied * number
            # Cross-attention keeps what it asked of the source, as long as the target here.
            if part.cross:
                source += size
                held += size * tokens
            elif part.causal:
                per_token += size
                # A window of 0 or None sees everything; else older keys and values are dropped.
                held += size * min(part.window or tokens, tokens)
    return Cache(per_token, source, held) if per_token else None
