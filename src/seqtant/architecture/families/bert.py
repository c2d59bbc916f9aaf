"""Encoders of BERT's lineage: two-way attention, token types, the head of masked prediction; ALBERT's narrow table."""

from __future__ import annotations

from dataclasses import dataclass

from seqtant.architecture.families.classes import counted_class
from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.shape import Attention, Entry, FeedForward, Layer, Linear, Shape, Stack, Table


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """What distinguishes one family of encoders; sizes are the defaults of its fields in transformers."""

    prefix: str
    """First word of its class names, e.g. ``Bert``."""
    vocabulary: int = 30522
    width: int = 768
    depth: int = 12
    heads: int = 12
    inner: int = 3072
    types: bool = True
    """Whether tokens have types, and the network a pooler."""
    narrow: int | None = None
    """Default width of the token table; None means the width of the network."""
    shared: bool = False
    """Whether layers share weights."""
    unused_positions: int = 0
    """Rows of the position table before position 0."""
    aliases: tuple[tuple[str, str], ...] = ()


BERT_LIKE: dict[str, Encoder] = {
    "bert": Encoder(prefix="Bert"),
    "roberta": Encoder(prefix="Roberta", vocabulary=50265, unused_positions=2),
    "albert": Encoder(prefix="Albert", vocabulary=30000, width=4096, heads=64, inner=16384, narrow=128, shared=True),
    "distilbert": Encoder(
        prefix="DistilBert",
        depth=6,
        types=False,
        aliases=(
            ("hidden_size", "dim"),
            ("num_hidden_layers", "n_layers"),
            ("num_attention_heads", "n_heads"),
            ("intermediate_size", "hidden_dim"),
        ),
    ),
}
"""``model_type`` -> family."""


def read(fields: Fields, family: Encoder) -> Shape:
    """Reads an encoder's configuration.

    Raises:
        InputError: A size is not a size, or heads do not divide the width.
    """
    width = fields.size("hidden_size", family.width)
    narrow = fields.size("embedding_size", family.narrow) if family.narrow else width
    vocabulary = fields.size("vocab_size", family.vocabulary)
    base = f"{family.prefix}Model"
    masked = f"{family.prefix}ForMaskedLM"
    others = (f"{family.prefix}ForPreTraining",) if family.types and family.prefix != "Roberta" else ()
    counted = counted_class(fields, base, masked, *others)
    pooler = (Linear(name="pooler", inputs=width, outputs=width, bias=True, per="sequence"),) if family.types else ()
    scores = _scores(fields, width, narrow, vocabulary)
    pair = Linear(name="next sentence", inputs=width, outputs=2, bias=True, per="sequence")
    heads = {base: pooler, masked: scores, f"{family.prefix}ForPreTraining": (*pooler, *scores, pair)}
    return Shape(
        family=fields.word("model_type", ""),
        counted_as=counted,
        width=width,
        entry=_entry(fields, family, narrow, vocabulary, width),
        stacks=(_stack(fields, family, width),),
        head=heads[counted],
        head_norm=0 if counted == base else 2 * narrow + _loose_bias(fields, vocabulary),
        vocabulary=vocabulary,
        context=max(1, fields.size("max_position_embeddings", 512) - family.unused_positions),
        dtype=fields.number_format(),
        notes=tuple(fields.notes),
    )


def _scores(fields: Fields, width: int, narrow: int, vocabulary: int) -> tuple[Linear, Linear]:
    tied = fields.flag("tie_word_embeddings", True)
    return (
        Linear(name="transform", inputs=width, outputs=narrow, bias=True),
        Linear(name="output", inputs=narrow, outputs=vocabulary, bias=True, tied=tied),
    )


def _loose_bias(fields: Fields, vocabulary: int) -> int:
    # Untied, transformers keeps the head's own bias beside that of its last layer.
    tied = fields.flag("tie_word_embeddings", True)
    return 0 if tied or fields.raw("model_type") == "distilbert" else vocabulary


def _entry(fields: Fields, family: Encoder, narrow: int, vocabulary: int, width: int) -> Entry:
    tables = [
        Table(name="token", rows=vocabulary, columns=narrow, tensor="word_embeddings.weight"),
        Table(
            name="position",
            rows=fields.size("max_position_embeddings", 512),
            columns=narrow,
            tensor="position_embeddings.weight",
        ),
    ]
    if family.types:
        tables.append(Table(name="type", rows=fields.size("type_vocab_size", 2), columns=narrow))
    up = Linear(name="embedding up", inputs=narrow, outputs=width, bias=True) if family.narrow else None
    return Entry(
        tables=tuple(tables),
        projection=up,
        projection_tensor="embedding_hidden_mapping_in.weight",
        norm=2 * narrow,
    )


def _stack(fields: Fields, family: Encoder, width: int) -> Stack:
    heads = fields.heads(width, family.heads)
    depth = fields.size("num_hidden_layers", family.depth)
    groups = fields.size("num_hidden_groups", 1) * fields.size("inner_group_num", 1) if family.shared else depth
    attention = Attention(
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        query_bias=True,
        kv_bias=True,
        output_bias=True,
        causal=False,
    )
    inner = fields.size("intermediate_size", family.inner)
    layer = Layer(
        attention=(attention,),
        feed_forward=FeedForward(width=width, inner=inner, bias=True),
        norm=4 * width,
        stored=groups,
        applied=depth * (fields.size("inner_group_num", 1) if family.shared else 1),
    )
    return Stack(name="encoder", layers=(layer,))
