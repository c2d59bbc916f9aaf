"""OPT: a decoder whose embeddings may be narrower than its width, with a projection in and one out."""

from __future__ import annotations

from seqtant.architecture.families.classes import counted_class
from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.shape import Attention, Entry, FeedForward, Layer, Linear, Shape, Stack, Table

EXTRA_POSITIONS = 2
"""Rows of the position table before position 0."""


def read(fields: Fields) -> Shape:
    """Reads an OPT configuration.

    Raises:
        InputError: A size is not a size, or heads do not divide the width.
    """
    width = fields.size("hidden_size", 768)
    vocabulary = fields.size("vocab_size", 50272)
    narrow = fields.size("word_embed_proj_dim", width)
    counted = counted_class(fields, "OPTModel", "OPTForCausalLM")
    output = Linear(name="output", inputs=narrow, outputs=vocabulary, tied=fields.flag("tie_word_embeddings", True))
    down = (Linear(name="projection out", inputs=width, outputs=narrow),) if narrow != width else ()
    return Shape(
        family="opt",
        counted_as=counted,
        width=width,
        entry=_entry(fields, vocabulary, narrow, width),
        stacks=(_stack(fields, width),),
        head=(*down, output) if counted == "OPTForCausalLM" else down,
        vocabulary=vocabulary,
        context=fields.size("max_position_embeddings", 2048),
        dtype=fields.number_format(),
        notes=tuple(fields.notes),
    )


def _entry(fields: Fields, vocabulary: int, narrow: int, width: int) -> Entry:
    rows = fields.size("max_position_embeddings", 2048) + EXTRA_POSITIONS
    return Entry(
        tables=(
            Table(name="token", rows=vocabulary, columns=narrow, tensor="embed_tokens.weight"),
            Table(name="position", rows=rows, columns=width, tensor="embed_positions.weight"),
        ),
        projection=Linear(name="projection in", inputs=narrow, outputs=width) if narrow != width else None,
        projection_tensor="project_in.weight",
    )


def _stack(fields: Fields, width: int) -> Stack:
    heads = fields.heads(width, 12)
    bias = fields.flag("enable_bias", True)
    norm = 2 * width if fields.flag("layer_norm_elementwise_affine", True) else 0
    depth = fields.size("num_hidden_layers", 12)
    layer = Layer(
        attention=(
            Attention(
                width=width,
                heads=heads,
                kv_heads=heads,
                head_dim=width // heads,
                query_bias=bias,
                kv_bias=bias,
                output_bias=bias,
            ),
        ),
        feed_forward=FeedForward(width=width, inner=fields.size("ffn_dim", 3072), bias=bias),
        norm=2 * norm,
        stored=depth,
        applied=depth,
    )
    last = fields.flag("do_layer_norm_before", True) and not fields.flag("_remove_final_layer_norm", False)
    return Stack(name="decoder", layers=(layer,), norm=norm if last else 0)
