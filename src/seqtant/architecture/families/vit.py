"""ViT: an encoder over image patches, whose flattened size bounds the rank of what enters."""

from __future__ import annotations

from seqtant.architecture.families.classes import counted_class
from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.shape import Attention, Entry, FeedForward, Layer, Linear, Shape, Stack, Table


def read(fields: Fields) -> Shape:
    """Reads a ViT configuration.

    Raises:
        InputError: A size is not a size, or patches do not divide the image.
    """
    width = fields.size("hidden_size", 768)
    patches, flattened = _patches(fields)
    counted = counted_class(fields, "ViTModel", "ViTForImageClassification")
    pooled = fields.size("pooler_output_size", width)
    pooler = Linear(name="pooler", inputs=width, outputs=pooled, bias=True, per="sequence")
    classes = Linear(name="classifier", inputs=width, outputs=fields.labels(), bias=True, per="sequence")
    return Shape(
        family="vit",
        counted_as=counted,
        width=width,
        entry=Entry(
            tables=(Table(name="position", rows=patches + 1, columns=width, tensor="position_embeddings"),),
            projection=Linear(name="patches", inputs=flattened, outputs=width, bias=True, per="patch"),
            projection_tensor="patch_embeddings.projection.weight",
            free=width,
        ),
        stacks=(_stack(fields, width),),
        head=(classes if counted == "ViTForImageClassification" else pooler,),
        fixed_tokens=patches + 1,
        context=patches + 1,
        dtype=fields.number_format(),
        notes=tuple(fields.notes),
    )


def _patches(fields: Fields) -> tuple[int, int]:
    image, patch = _pair(fields, "image_size", 224), _pair(fields, "patch_size", 16)
    if any(side < part for side, part in zip(image, patch, strict=True)):
        raise fields.error(f"patch_size is {patch[0]} x {patch[1]}: larger than the image {image[0]} x {image[1]}")
    count = (image[0] // patch[0]) * (image[1] // patch[1])
    return count, patch[0] * patch[1] * fields.size("num_channels", 3)


def _pair(fields: Fields, name: str, default: int) -> tuple[int, int]:
    value = fields.raw(name, default)
    sides = value if isinstance(value, list) else [value, value]
    if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
        raise fields.error(f"{name} is {value!r}: it must be one or two whole numbers of at least 1")
    return sides[0], sides[1]


def _stack(fields: Fields, width: int) -> Stack:
    heads = fields.heads(width, 12)
    depth = fields.size("num_hidden_layers", 12)
    bias = fields.flag("qkv_bias", True)
    attention = Attention(
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        query_bias=bias,
        kv_bias=bias,
        output_bias=True,
        causal=False,
    )
    layer = Layer(
        attention=(attention,),
        feed_forward=FeedForward(width=width, inner=fields.size("intermediate_size", 3072), bias=True),
        norm=4 * width,
        stored=depth,
        applied=depth,
    )
    return Stack(name="encoder", layers=(layer,), norm=2 * width)
