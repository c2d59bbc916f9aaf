"""Reads every decoder-only family by one reader; what distinguishes the families is data, in ``decoders.py``.

Three parts vary by rule rather than by number: the attention window of each layer, the experts of its feed-forward
sublayer, and OPT's embeddings, which may be narrower than its width and have a reader of their own at the end.
"""

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
    """Reads a decoder's configuration.

    Raises:
        InputError: A size is not a size, or heads do not divide.
    """
    sizes = family.sizes
    headed = family.headed or f"{family.prefix}ForCausalLM"
    width = fields.size("hidden_size", sizes.width)
    vocabulary = fields.size("vocab_size", sizes.vocabulary)
    counted = fields.counted_class(f"{family.prefix}Model", headed)
    depth = fields.size("num_hidden_layers", sizes.depth)
    inner = fields.size("intermediate_size", sizes.inner or 4 * width)
    qkv_bias, output_bias, mlp_bias = (each if isinstance(each, bool) else fields.flag(*each) for each in family.biases)
    feed_forward = FeedForward(width=width, inner=inner, gated=family.gated, bias=mlp_bias)
    attention = replace(
        _attention(fields, family, width), query_bias=qkv_bias, kv_bias=qkv_bias, output_bias=output_bias
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


def _attention(fields: Fields, family: Decoder, width: int) -> Attention:
    """Reads heads and the norms on queries and keys."""
    head_dim = fields.optional_size("head_dim") or family.sizes.head_dim
    heads = fields.heads(width, family.sizes.heads, must_divide=family.heads_divide or head_dim is None)
    head_dim = head_dim or width // heads
    rule = family.kv_heads
    kv_heads = rule(fields, heads) if rule else fields.kv_heads(heads, family.sizes.kv_heads)
    kind = family.qk_norm if isinstance(family.qk_norm, str) else family.qk_norm(fields)
    norm = {"none": 0, "head": 2 * head_dim, "inner": (heads + kv_heads) * head_dim}[kind]
    # A norm per head has a shift where the family's other norms have one; a norm over all heads never has.
    norm *= 2 if family.norm_vectors == 2 and kind != "inner" else 1
    return Attention(width=width, heads=heads, kv_heads=kv_heads, head_dim=head_dim, norm=norm)


def sliding(fields: Fields, depth: int, default: int | None = None) -> list[int | None]:
    """Gives every layer the window of ``sliding_window``; an explicit null means none."""
    return [_window(fields, default)] * depth


def patterned(fields: Fields, depth: int, default: int, period: int) -> list[int | None]:
    """Gives all but every so many layers a window, unless ``layer_types`` says which (Gemma)."""
    period = fields.size("sliding_window_pattern", period)
    return _by_layer_type(fields, _window(fields, default), [bool((i + 1) % period) for i in range(depth)])


def later_layers(fields: Fields, depth: int) -> list[int | None]:
    """Gives layers from ``max_window_layers`` on a window, and only with ``use_sliding_window`` (Qwen)."""
    if not fields.flag("use_sliding_window", False):
        return [None] * depth
    first = fields.raw("max_window_layers", 28)
    return _by_layer_type(fields, _window(fields, 4096), [index >= first for index in range(depth)])


def all_or_none(fields: Fields, depth: int) -> list[int | None]:
    """Gives every layer a window, and only with ``use_sliding_window`` (Qwen's mixtures)."""
    return [_window(fields, 4096) if fields.flag("use_sliding_window", False) else None] * depth


def without_rotation(fields: Fields, depth: int) -> list[int | None]:
    """Gives layers without rotary positions a window, and only with ``use_sliding_window`` (SmolLM3)."""
    if not fields.flag("use_sliding_window", False):
        return [None] * depth
    every = fields.size("no_rope_layer_interval", 4)
    rotary = fields.per_layer("no_rope_layers", [int((i + 1) % every != 0) for i in range(depth)], depth)
    return _by_layer_type(fields, _window(fields, None), [not flag for flag in rotary])


def local_and_global(fields: Fields, depth: int) -> list[int | None]:
    """Alternates layers as ``attention_types`` lists them (GPT-Neo).

    Raises:
        InputError: The list does not name every layer's kind.
    """
    listed = fields.raw("attention_types", [[["global", "local"], depth // 2]])
    try:
        kinds = [kind for block, times in listed for _ in range(times) for kind in block]
    except (TypeError, ValueError):
        raise fields.error(f"attention_types is {listed!r}: write [[['global', 'local'], 12]]") from None
    if len(kinds) != depth or not set(kinds) <= {"global", "local"}:
        raise fields.error(
            f"attention_types names {len(kinds)} layers of kinds {sorted(set(kinds))}: it must name {depth}"
        )
    window = fields.size("window_size", 256)
    return [window if kind == "local" else None for kind in kinds]


def _by_layer_type(fields: Fields, window: int | None, slides: list[bool]) -> list[int | None]:
    """Follows ``layer_types`` where it is given, else the rule's own answer.

    Raises:
        InputError: ``layer_types`` names a kind of layer that cannot be counted.
    """
    known = ("full_attention", "sliding_attention")
    kinds = fields.per_layer("layer_types", [known[slide] for slide in slides], len(slides))
    strange = next((kind for kind in kinds if kind not in known), None)
    if strange is not None:
        raise fields.error(f"layer_types names '{strange}': known are {', '.join(known)}")
    return [window if kind == "sliding_attention" else None for kind in kinds]


def _window(fields: Fields, default: int | None) -> int | None:
    """Reads ``sliding_window``; an explicit null means none even where the family has a default."""
    if default is None or "sliding_window" in fields.data:
        return fields.optional_size("sliding_window")
    return default


def mixture(
    fields: Fields, expert: FeedForward, index: int, stored: tuple[str, int] = ("num_local_experts", 8), active: int = 2
) -> FeedForward:
    """Puts experts into every layer, each as wide as the sublayer given (Mixtral).

    Raises:
        InputError: A token would pass through more experts than there are.
    """
    count = fields.size(*stored)
    used = fields.size("num_experts_per_tok", active)
    if used > count:
        raise fields.error(f"num_experts_per_tok is {used}: there are only {count} experts")
    return replace(expert, experts=count, active=used)


def sparse_mixture(fields: Fields, feed_forward: FeedForward, index: int) -> FeedForward:
    """Puts narrow experts into every so many layers, a dense sublayer into the others (Qwen3)."""
    if index in fields.raw("mlp_only_layers", []) or (index + 1) % fields.size("decoder_sparse_step", 1):
        return feed_forward
    narrow = replace(feed_forward, inner=fields.size("moe_intermediate_size", 768))
    return mixture(fields, narrow, index, ("num_experts", 128), 8)


OPT = Decoder(
    "OPT",
    Sizes(50272, 768, 12, 12, 2048, 3072),
    aliases=(("intermediate_size", "ffn_dim"),),
    tied=True,
    biases=(("enable_bias", True),) * 3,
    gated=False,
    norm_vectors=2,
    learned_positions=True,
    position_tensor="embed_positions.weight",
)


def read_opt(fields: Fields) -> Shape:
    """Reads an OPT configuration: embeddings may be narrower than the width, with a projection in and one out.

    Raises:
        InputError: A size is not a size, or heads do not divide the width.
    """
    affine = fields.flag("layer_norm_elementwise_affine", True)
    shape = read_decoder(fields, replace(OPT, norm_vectors=2 if affine else 0))
    width, (token, position) = shape.width, shape.embedding.tables
    narrow = fields.size("word_embed_proj_dim", width)
    up = down = None
    if narrow != width:
        up = Linear(name="projection in", inputs=narrow, outputs=width)
        down = Linear(name="projection out", inputs=width, outputs=narrow)
    # Two rows before position 0.
    tables = (replace(token, columns=narrow), replace(position, rows=position.rows + 2))
    last_norm = fields.flag("do_layer_norm_before", True) and not fields.flag("_remove_final_layer_norm", False)
    return replace(
        shape,
        embedding=Embedding(tables=tables, projection=up, projection_tensor="project_in.weight"),
        stacks=shape.stacks if last_norm else (replace(shape.stacks[0], norm=0),),
        head=((down,) if down else ()) + tuple(replace(output, inputs=narrow) for output in shape.head),
    )
