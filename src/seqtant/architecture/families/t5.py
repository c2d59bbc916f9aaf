"""T5: an encoder and a decoder with relative positions; version 1.1 gates its feed-forwards and unties its head."""

from __future__ import annotations

from dataclasses import replace

from seqtant.architecture.families.classes import counted_class
from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.shape import Attention, Entry, FeedForward, Layer, Linear, Shape, Stack, Table

OLD_NAMES = {"T5WithLMHeadModel": "T5ForConditionalGeneration"}


def read(fields: Fields) -> Shape:
    """Reads a T5 configuration.

    The output head is counted as tied unless ``tie_word_embeddings`` is false, as the published weights have it;
    transformers 5 builds it tied either way and unties it only when a checkpoint holds a head of its own.

    Raises:
        InputError: A size is not a size, or the feed-forward kind is unknown.
    """
    width = fields.size("hidden_size", 512)
    vocabulary = fields.size("vocab_size", 32128)
    counted = counted_class(fields, "T5Model", "T5ForConditionalGeneration", "T5EncoderModel", renamed=OLD_NAMES)
    encoder = _stack(fields, width, fields.size("num_hidden_layers", 6), decoder=False)
    decoder = _stack(fields, width, fields.size("num_decoder_layers", encoder.depth), decoder=True)
    tied = fields.flag("tie_word_embeddings", True)
    output = Linear(name="output", inputs=width, outputs=vocabulary, tied=tied)
    token = Table(name="token", rows=vocabulary, columns=width, tensor="shared.weight")
    return Shape(
        family="t5",
        counted_as=counted,
        width=width,
        entry=Entry(tables=(token,)),
        stacks=(encoder,) if counted == "T5EncoderModel" else (encoder, decoder),
        head=(output,) if counted == "T5ForConditionalGeneration" else (),
        vocabulary=vocabulary,
        context=fields.optional_size("n_positions"),
        dtype=fields.number_format(),
        notes=tuple(fields.notes),
    )


def _stack(fields: Fields, width: int, depth: int, *, decoder: bool) -> Stack:
    heads = fields.size("num_attention_heads", 8)
    own = Attention(width=width, heads=heads, kv_heads=heads, head_dim=fields.size("d_kv", 64), causal=decoder)
    other = replace(own, causal=False, cross=True)
    kind = fields.word("feed_forward_proj", "relu").split("-")
    if len(kind) > 2 or (len(kind) == 2 and kind[0] != "gated"):
        raise fields.error(f"feed_forward_proj is '{'-'.join(kind)}': write an activation, or gated- and an activation")
    layer = Layer(
        attention=(own, other) if decoder else (own,),
        feed_forward=FeedForward(width=width, inner=fields.size("d_ff", 2048), gated=len(kind) == 2),
        norm=(3 if decoder else 2) * width,
    )
    # Relative positions are learned by the first layer and used by all.
    buckets = fields.size("relative_attention_num_buckets", 32)
    first = replace(layer, attention=(replace(own, position_bias=buckets * heads), *layer.attention[1:]))
    rest = (replace(layer, stored=depth - 1, applied=depth - 1),) if depth > 1 else ()
    return Stack(name="decoder" if decoder else "encoder", layers=(first, *rest), norm=width)
