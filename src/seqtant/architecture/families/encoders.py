"""Reads networks with an encoder: BERT's lineage with ALBERT's narrow table, ViT over patches, T5 with its decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.shape import Attention, Embedding, FeedForward, Layer, Linear, Shape, Stack, Table


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """What distinguishes one family of BERT's lineage; sizes are the defaults of its fields in transformers."""

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


def read_bert(fields: Fields, family: Encoder) -> Shape:
    """Reads the configuration of an encoder of BERT's lineage."""
    width = fields.size("hidden_size", family.width)
    narrow = fields.size("embedding_size", family.narrow) if family.narrow else width
    vocabulary = fields.size("vocab_size", family.vocabulary)
    positions = fields.size("max_position_embeddings", 512)
    base, masked = f"{family.prefix}Model", f"{family.prefix}ForMaskedLM"
    paired = f"{family.prefix}ForPreTraining"
    counted = fields.counted_class(base, masked, *((paired,) if family.types and family.prefix != "Roberta" else ()))

    tied = fields.flag("tie_word_embeddings", True)
    pooler = (Linear(name="pooler", inputs=width, outputs=width, bias=True, per="sequence"),) if family.types else ()
    scores = (
        Linear(name="transform", inputs=width, outputs=narrow, bias=True),
        Linear(name="output", inputs=narrow, outputs=vocabulary, bias=True, tied=tied),
    )
    pair = Linear(name="next sentence", inputs=width, outputs=2, bias=True, per="sequence")
    # Untied, transformers keeps the head's own bias beside that of its last layer.
    loose_bias = 0 if tied or fields.raw("model_type") == "distilbert" else vocabulary

    tables = [
        Table(name="token", rows=vocabulary, columns=narrow, tensor="word_embeddings.weight"),
        Table(name="position", rows=positions, columns=narrow, tensor="position_embeddings.weight"),
    ]
    if family.types:
        tables.append(Table(name="type", rows=fields.size("type_vocab_size", 2), columns=narrow))

    depth = fields.size("num_hidden_layers", family.depth)
    # Layers of a group share weights; inside a group, each of ``inner_group_num`` layers has its own.
    inner_layers = fields.size("inner_group_num", 1) if family.shared else 1
    layer = Layer(
        attention=(_two_way(width, fields.heads(width, family.heads)),),
        feed_forward=FeedForward(width=width, inner=fields.size("intermediate_size", family.inner), bias=True),
        norm=4 * width,
        stored=fields.size("num_hidden_groups", 1) * inner_layers if family.shared else depth,
        applied=depth * inner_layers,
    )
    return Shape(
        counted_as=counted,
        width=width,
        embedding=Embedding(
            tables=tuple(tables),
            projection=Linear(name="embedding up", inputs=narrow, outputs=width, bias=True) if family.narrow else None,
            projection_tensor="embedding_hidden_mapping_in.weight",
            norm=2 * narrow,
        ),
        stacks=(Stack(name="encoder", layers=(layer,)),),
        head={base: pooler, masked: scores, paired: (*pooler, *scores, pair)}[counted],
        # The norm of the transform, with scale and shift.
        head_norm=0 if counted == base else 2 * narrow + loose_bias,
        vocabulary=vocabulary,
        context=max(1, positions - family.unused_positions),
    )


def _two_way(width: int, heads: int, *, bias: bool = True) -> Attention:
    """Attention over all tokens, with as many key-value heads as heads."""
    return Attention(
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        query_bias=bias,
        kv_bias=bias,
        output_bias=True,
        causal=False,
    )


def read_vit(fields: Fields) -> Shape:
    """Reads a ViT configuration; the flattened size of a patch bounds the rank of what enters."""

    def pair(name: str, default: int) -> tuple[int, int]:
        value = fields.raw(name, default)
        sides = value if isinstance(value, list) else [value, value]
        if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
            raise fields.error(f"{name} is {value!r}: it must be one or two whole numbers of at least 1")
        return sides[0], sides[1]

    width = fields.size("hidden_size", 768)
    image, patch = pair("image_size", 224), pair("patch_size", 16)
    if any(side < part for side, part in zip(image, patch, strict=True)):
        raise fields.error(f"patch_size is {patch[0]} x {patch[1]}: larger than the image {image[0]} x {image[1]}")
    tokens = (image[0] // patch[0]) * (image[1] // patch[1]) + 1  # patches and the class token
    flattened = patch[0] * patch[1] * fields.size("num_channels", 3)
    counted = fields.counted_class("ViTModel", "ViTForImageClassification")
    names = fields.raw("id2label")
    labels = len(names) if isinstance(names, dict) and names else fields.size("num_labels", 2)
    pooler_width = fields.size("pooler_output_size", width)
    pooler = Linear(name="pooler", inputs=width, outputs=pooler_width, bias=True, per="sequence")
    classes = Linear(name="classifier", inputs=width, outputs=labels, bias=True, per="sequence")
    depth = fields.size("num_hidden_layers", 12)
    bias = fields.flag("qkv_bias", True)
    layer = Layer(
        attention=(_two_way(width, fields.heads(width, 12), bias=bias),),
        feed_forward=FeedForward(width=width, inner=fields.size("intermediate_size", 3072), bias=True),
        norm=4 * width,
        stored=depth,
        applied=depth,
    )
    return Shape(
        counted_as=counted,
        width=width,
        embedding=Embedding(
            tables=(Table(name="position", rows=tokens, columns=width, tensor="position_embeddings"),),
            projection=Linear(name="patches", inputs=flattened, outputs=width, bias=True, per="patch"),
            projection_tensor="patch_embeddings.projection.weight",
            free=width,
        ),
        stacks=(Stack(name="encoder", layers=(layer,), norm=2 * width),),
        head=(classes if counted == "ViTForImageClassification" else pooler,),
        fixed_tokens=tokens,
        context=tokens,
    )


def read_t5(fields: Fields) -> Shape:
    """Reads a T5 configuration; version 1.1 gates its feed-forward layers and unties its head.

    The output head is counted as tied unless ``tie_word_embeddings`` is false, as the published weights have it;
    transformers 5 builds it tied either way and unties it only when a checkpoint holds a head of its own.
    """
    width = fields.size("hidden_size", 512)
    vocabulary = fields.size("vocab_size", 32128)
    old_names = {"T5WithLMHeadModel": "T5ForConditionalGeneration"}
    counted = fields.counted_class("T5Model", "T5ForConditionalGeneration", "T5EncoderModel", renamed=old_names)
    kind = fields.word("feed_forward_proj", "relu").split("-")
    if len(kind) > 2 or (len(kind) == 2 and kind[0] != "gated"):
        raise fields.error(f"feed_forward_proj is '{'-'.join(kind)}': write an activation, or gated- and an activation")
    feed_forward = FeedForward(width=width, inner=fields.size("d_ff", 2048), gated=len(kind) == 2)
    heads = fields.size("num_attention_heads", 8)
    buckets = fields.size("relative_attention_num_buckets", 32)
    head_dim = fields.size("d_kv", 64)

    def stack(name: str, depth: int) -> Stack:
        causal = name == "decoder"
        own = Attention(width=width, heads=heads, kv_heads=heads, head_dim=head_dim, causal=causal)
        others = (replace(own, causal=False, cross=True),) if causal else ()
        layer = Layer(attention=(own, *others), feed_forward=feed_forward, norm=(3 if causal else 2) * width)
        # Relative positions are learned by the first layer and used by all.
        first = replace(layer, attention=(replace(own, position_bias=buckets * heads), *others))
        rest = (replace(layer, stored=depth - 1, applied=depth - 1),) if depth > 1 else ()
        return Stack(name="decoder" if causal else "encoder", layers=(first, *rest), norm=width)

    depth = fields.size("num_hidden_layers", 6)
    # transformers copies num_layers into num_decoder_layers before it reads num_hidden_layers.
    own = fields.data.get("num_layers")
    encoder = stack("encoder", depth)
    decoder = stack("decoder", fields.size("num_decoder_layers", 6 if own is None else own))
    tied = fields.flag("tie_word_embeddings", True)
    output = Linear(name="output", inputs=width, outputs=vocabulary, tied=tied)
    return Shape(
        counted_as=counted,
        width=width,
        embedding=Embedding(tables=(Table(name="token", rows=vocabulary, columns=width, tensor="shared.weight"),)),
        stacks=(encoder,) if counted == "T5EncoderModel" else (encoder, decoder),
        head=(output,) if counted == "T5ForConditionalGeneration" else (),
        vocabulary=vocabulary,
        context=fields.optional_size("n_positions"),
    )
