"""One reader for every decoder-only family: what distinguishes the families is data, in ``llama.py`` and ``gpt.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from seqtant.architecture.families.classes import counted_class
from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.shape import Attention, Entry, FeedForward, Layer, Linear, Shape, Stack, Table

Switch = bool | tuple[str, bool]
"""Always on or off, or the name of a field and its default."""
Windows = Callable[[Fields, int], list[int | None]]
"""Attention window of each layer, given the depth; None looks back on everything."""
Experts = Callable[[Fields, FeedForward, int], FeedForward]
"""The feed-forward sublayer of a layer, given the dense one and the layer's index."""


def everything(fields: Fields, depth: int) -> list[int | None]:
    """Full attention in every layer."""
    return [None] * depth


def dense(fields: Fields, feed_forward: FeedForward, index: int) -> FeedForward:
    """The same dense sublayer in every layer."""
    return feed_forward


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """What distinguishes one family of decoders; sizes are the defaults of its fields in transformers."""

    classes: tuple[str, str]
    """Class without and with the output head."""
    vocabulary: int
    width: int
    depth: int
    heads: int
    context: int | None
    inner: int | None = None
    """Feed-forward width; None means four times the width."""
    kv_heads: int | Callable[[Fields, int], int] | None = None
    """Default key-value heads, or a rule; None means as many as heads."""
    head_dim: int | None = None
    """Default head width; None means width over heads."""
    aliases: tuple[tuple[str, str], ...] = ()
    """The family's own names of common fields."""
    heads_divide: bool = True
    """Whether heads must divide the width even where a head width is given."""
    tied: bool = False
    qkv_bias: Switch = False
    output_bias: Switch = False
    mlp_bias: Switch = False
    head_bias: bool = False
    gated: bool = True
    norms: int | Callable[[Fields], int] = 2
    """Norms per layer."""
    norm_vectors: Literal[0, 1, 2] = 1
    """Vectors per norm: none, a scale, or a scale and a shift."""
    qk_norm: Literal["none", "head", "inner"] | Callable[[Fields], Literal["none", "head", "inner"]] = "none"
    """Norms on queries and keys: one of head width each, or one as wide as all heads."""
    entry_norm: bool = False
    """A norm on the embeddings."""
    learned_positions: int | None = None
    """Extra rows of a learned position table; None where positions are not learned."""
    windows: Windows = everything
    experts: Experts = dense
    token_tensor: str = "embed_tokens.weight"
    position_tensor: str = ""


def read(fields: Fields, family: Decoder) -> Shape:
    """Reads a decoder's configuration.

    Raises:
        InputError: A size is not a size, or heads do not divide.
    """
    width = fields.size("hidden_size", family.width)
    vocabulary = fields.size("vocab_size", family.vocabulary)
    counted = counted_class(fields, *family.classes)
    stack = _stack(fields, family, width)
    entry = _entry(fields, family, width, vocabulary)
    tied = fields.flag("tie_word_embeddings", family.tied)
    output = Linear(name="output", inputs=width, outputs=vocabulary, bias=family.head_bias, tied=tied)
    return Shape(
        family=fields.word("model_type", ""),
        counted_as=counted,
        width=width,
        entry=entry,
        stacks=(stack,),
        head=(output,) if counted == family.classes[1] else (),
        vocabulary=vocabulary,
        context=fields.size("max_position_embeddings", family.context) if family.context else None,
        dtype=fields.number_format(),
        notes=tuple(fields.notes),
    )


def _entry(fields: Fields, family: Decoder, width: int, vocabulary: int) -> Entry:
    tables = [Table(name="token", rows=vocabulary, columns=width, tensor=family.token_tensor)]
    if family.learned_positions is not None:
        rows = fields.size("max_position_embeddings", family.context or 1) + family.learned_positions
        tables.append(Table(name="position", rows=rows, columns=width, tensor=family.position_tensor))
    return Entry(tables=tuple(tables), norm=family.norm_vectors * width if family.entry_norm else 0)


def _stack(fields: Fields, family: Decoder, width: int) -> Stack:
    depth = fields.size("num_hidden_layers", family.depth)
    attention = _attention(fields, family, width)
    inner = fields.size("intermediate_size", family.inner or 4 * width)
    bias = switched(fields, family.mlp_bias)
    feed_forward = FeedForward(width=width, inner=inner, gated=family.gated, bias=bias)
    norms = family.norms if isinstance(family.norms, int) else family.norms(fields)
    layers = [
        Layer(
            attention=(replace(attention, window=window),),
            feed_forward=family.experts(fields, feed_forward, index),
            norm=norms * family.norm_vectors * width,
        )
        for index, window in enumerate(family.windows(fields, depth))
    ]
    return Stack(name="decoder", layers=together(layers), norm=family.norm_vectors * width)


def _attention(fields: Fields, family: Decoder, width: int) -> Attention:
    head_dim = fields.optional_size("head_dim") or family.head_dim
    heads = fields.heads(width, family.heads, must_divide=family.heads_divide or head_dim is None)
    head_dim = head_dim or width // heads
    rule = family.kv_heads
    kv_heads = rule(fields, heads) if callable(rule) else fields.kv_heads(heads, rule)
    kind = family.qk_norm if isinstance(family.qk_norm, str) else family.qk_norm(fields)
    norm = {"none": 0, "head": 2 * head_dim, "inner": (heads + kv_heads) * head_dim}[kind]
    qkv_bias = switched(fields, family.qkv_bias)
    return Attention(
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        query_bias=qkv_bias,
        kv_bias=qkv_bias,
        output_bias=switched(fields, family.output_bias),
        norm=norm if family.norm_vectors < 2 or kind == "inner" else 2 * norm,
    )


def switched(fields: Fields, switch: Switch) -> bool:
    """Reads a switch."""
    return switch if isinstance(switch, bool) else fields.flag(*switch)


def together(layers: list[Layer]) -> tuple[Layer, ...]:
    """Joins equal layers into one with its count.

    Example:
        >>> attention = Attention(width=4, heads=1, kv_heads=1, head_dim=4)
        >>> layer = Layer(attention=(attention,), feed_forward=FeedForward(width=4, inner=16), norm=8)
        >>> together([layer, layer])[0].stored
        2
    """
    return tuple(replace(layer, stored=count, applied=count) for layer, count in Counter(layers).items())
