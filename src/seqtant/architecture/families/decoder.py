"""Reads every decoder-only family by one reader; what distinguishes the families is data, in ``decoders.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.shape import Attention, Embedding, FeedForward, Layer, Linear, Shape, Stack, Table

Switch = bool | tuple[str, bool]
"""Always on or off, or the name of a field and its default."""
Windows = Callable[[Fields, int], list[int | None]]
"""Attention window of each layer, given the depth; None looks back on everything."""
Experts = Callable[[Fields, FeedForward, int], FeedForward]
"""The feed-forward sublayer of a layer, given the dense one and the layer's index."""
QueryKeyNorm = Literal["none", "head", "inner"]
"""Norms on queries and keys: none, one of head width each, or one as wide as all heads."""


@dataclass(frozen=True)
class Sizes:
    """Default sizes of one family in transformers."""

    vocabulary: int
    width: int
    depth: int
    heads: int
    context: int | None
    inner: int | None = None
    """Feed-forward width; None means four times the width."""
    kv_heads: int | None = None
    """Key-value heads; None means as many as heads."""
    head_dim: int | None = None
    """Head width; None means width over heads."""


@dataclass(frozen=True)
class Decoder:
    """What distinguishes one family of decoders."""

    prefix: str
    """First word of its class names, e.g. ``Llama`` of ``LlamaModel`` and ``LlamaForCausalLM``."""
    sizes: Sizes
    headed: str = ""
    """Class with the output head, where it goes by another name."""
    kv_heads: Callable[[Fields, int], int] | None = None
    """A rule for the key-value heads, where they are no field of the usual name."""
    aliases: tuple[tuple[str, str], ...] = ()
    """The family's own names of common fields."""
    heads_divide: bool = True
    """Whether heads must divide the width even where a head width is given."""
    tied: bool = False
    biases: tuple[Switch, Switch, Switch] = (False, False, False)
    """Biases of queries, keys and values; of the attention's output; of the feed-forward sublayer."""
    head_bias: bool = False
    gated: bool = True
    norms: int | Callable[[Fields], int] = 2
    """Norms per layer."""
    norm_vectors: Literal[0, 1, 2] = 1
    """Vectors per norm: none, a scale, or a scale and a shift."""
    qk_norm: QueryKeyNorm | Callable[[Fields], QueryKeyNorm] = "none"
    embedding_norm: bool = False
    """A norm on the embeddings."""
    learned_positions: bool = False
    windows: Windows | None = None
    """None gives every layer full attention."""
    experts: Experts | None = None
    """None makes every layer dense."""
    token_tensor: str = "embed_tokens.weight"
    position_tensor: str = ""


def read_decoder(fields: Fields, family: Decoder) -> Shape:
    """Reads a decoder's configuration."""
    sizes = family.sizes
    headed = family.headed or f"{family.prefix}ForCausalLM"
    width = fields.size("hidden_size", sizes.width)
    vocabulary = fields.size("vocab_size", sizes.vocabulary)
    counted = fields.counted_class(f"{family.prefix}Model", headed)
    depth = fields.size("num_hidden_layers", sizes.depth)
    inner = fields.size("intermediate_size", sizes.inner or 4 * width)
    qkv_bias, output_bias, mlp_bias = (each if isinstance(each, bool) else fields.flag(*each) for each in family.biases)
    feed_forward = FeedForward(width=width, inner=inner, gated=family.gated, bias=mlp_bias)
    head_dim = fields.optional_size("head_dim") or family.sizes.head_dim
    heads = fields.heads(width, family.sizes.heads, must_divide=family.heads_divide or head_dim is None)
    head_dim = head_dim or width // heads
    rule = family.kv_heads
    kv_heads = rule(fields, heads) if rule else fields.kv_heads(heads, family.sizes.kv_heads)
    kind = family.qk_norm if isinstance(family.qk_norm, str) else family.qk_norm(fields)
    norm = {"none": 0, "head": 2 * head_dim, "inner": (heads + kv_heads) * head_dim}[kind]
    # A norm per head has a shift where the family's other norms have one; a norm over all heads never has.
    norm *= 2 if family.norm_vectors == 2 and kind != "inner" else 1
    attention = Attention(
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        norm=norm,
        query_bias=qkv_bias,
        kv_bias=qkv_bias,
        output_bias=output_bias,
    )
    norms = family.norms if isinstance(family.norms, int) else family.norms(fields)
    windows = family.windows(fields, depth) if family.windows else [None] * depth
    # Equal layers become one entry with their number, in the order of their first occurrence.
    layers = Counter(
        Layer(
            attention=(replace(attention, window=window),),
            feed_forward=family.experts(fields, feed_forward, index) if family.experts else feed_forward,
            norm=norms * family.norm_vectors * width,
        )
        for index, window in enumerate(windows)
    )
    tables = [Table(name="token", rows=vocabulary, columns=width, tensor=family.token_tensor)]
    if family.learned_positions:
        rows = fields.size("max_position_embeddings", sizes.context or 1)
        tables.append(Table(name="position", rows=rows, columns=width, tensor=family.position_tensor))
    tied = fields.flag("tie_word_embeddings", family.tied)
    output = Linear(name="output", inputs=width, outputs=vocabulary, bias=family.head_bias, tied=tied)
    stack = tuple(replace(layer, stored=count, applied=count) for layer, count in layers.items())
    return Shape(
        counted_as=counted,
        width=width,
        embedding=Embedding(tables=tuple(tables), norm=family.norm_vectors * width if family.embedding_norm else 0),
        stacks=(Stack(name="decoder", layers=stack, norm=family.norm_vectors * width),),
        head=(output,) if counted == headed else (),
        vocabulary=vocabulary,
        context=fields.size("max_position_embeddings", sizes.context) if sizes.context else None,
    )
