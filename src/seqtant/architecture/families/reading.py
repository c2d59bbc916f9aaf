"""From a parsed ``config.json`` to a shape: finds the family by its ``model_type`` and lets it read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from seqtant.architecture.families import bert, opt, t5, vit
from seqtant.architecture.families.decoder import read as read_decoder
from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.gpt import GPT_LIKE
from seqtant.architecture.families.llama import LLAMA_LIKE
from seqtant.architecture.families.shape import Shape
from seqtant.errors import InputError, suggest
from seqtant.registry import Registry

Reader = Callable[[Fields], Shape]

T5_NAMES = {"hidden_size": "d_model", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"}

FAMILIES: Registry[tuple[Reader, Mapping[str, str]]] = Registry("model family", group="seqtant.families")
"""``model_type`` -> reader of its fields, and the family's own names of common fields."""

for _name, _decoder in {**LLAMA_LIKE, **GPT_LIKE}.items():
    FAMILIES.add(_name, (partial(read_decoder, family=_decoder), dict(_decoder.aliases)))
for _name, _encoder in bert.BERT_LIKE.items():
    FAMILIES.add(_name, (partial(bert.read, family=_encoder), dict(_encoder.aliases)))
FAMILIES.add("opt", (opt.read, {}))
FAMILIES.add("t5", (t5.read, T5_NAMES))
FAMILIES.add("vit", (vit.read, {}))


def describe(data: Mapping[str, Any], source: str = "configuration") -> Shape:
    """Reads a parsed ``config.json`` into a shape.

    Args:
        data: The JSON object.
        source: What to call it in messages, e.g. the file's path.

    Raises:
        InputError: The family is unknown, or a field does not fit; one line that names it.

    Example:
        >>> shape = describe({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]})
        >>> shape.depth, shape.width, shape.is_tied
        (12, 768, True)
    """
    kind = data.get("model_type")
    notes: list[str] = []
    if kind not in FAMILIES and isinstance(data.get("text_config"), Mapping):
        notes.append(f"'{kind}' reads more than text: only its text part is counted")
        data = data["text_config"]
        kind = data.get("model_type")
    if kind not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise InputError(f"{source}: unknown model_type {kind!r}{suggest(str(kind), FAMILIES)}: known are {known}")
    reader, aliases = FAMILIES[str(kind)]
    fields = Fields(data, source, aliases)
    fields.notes += notes
    if fields.flag("add_cross_attention", False):
        raise fields.error("add_cross_attention is true: cross-attention added to this family is not counted")
    return reader(fields)
