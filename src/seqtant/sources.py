"""What a setting may hold besides text and numbers: a model or rows in memory, in place of a path to them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast

from pydantic import BeforeValidator, PlainSerializer
from typing_extensions import TypeIs

from seqtant.errors import InputError


@dataclasses.dataclass(frozen=True)
class InMemory:
    """Marks a field that takes objects: what is in memory passes as it is, what is text is a path or a name."""


def is_path(value: object) -> TypeIs[str | Path]:
    """Whether a source names something on disk or on a hub, instead of being it.

    Example:
        >>> is_path("models/mine"), is_path([("a", "b")])
        (True, False)
    """
    return isinstance(value, str | Path)


def describe(value: Any) -> Any:
    """Writes a source as text for records: paths as they are, objects by name, rows by count and hash.

    Example:
        >>> describe("pairs.jsonl"), describe([("a", "b"), ("c", "d")])
        ('pairs.jsonl', '<2 rows in memory, sha256 54a8bc65>')
    """
    if value is None or is_path(value):
        return None if value is None else str(value)
    if _is_model(value):
        inner = value[0] if isinstance(value, tuple) else value
        name = getattr(inner, "name", None) or getattr(getattr(inner, "config", None), "name_or_path", None)
        return f"<{name or type(inner).__name__} in memory>"
    name = type(value).__name__
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        value = value.to_dict("records")
    elif hasattr(value, "to_dict"):
        return f"<{name} in memory, sha256 {_short_hash(value.to_dict())}>"
    elif hasattr(value, "column_names") and hasattr(value, "to_list"):
        value = value.to_list()
    if isinstance(value, Sequence):
        rows = [
            dataclasses.asdict(row) if dataclasses.is_dataclass(row) and not isinstance(row, type) else row
            for row in cast("Sequence[Any]", value)
        ]
        return f"<{len(rows)} rows in memory, sha256 {_short_hash(rows)}>"
    return f"<{name} in memory>"


def _short_hash(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _is_model(value: Any) -> bool:
    """A network, a wrapper of ours, a pipeline, or a network and its tokenizer."""
    inner = value[0] if isinstance(value, tuple) and len(value) == 2 else value
    return callable(getattr(inner, "forward", None)) or hasattr(inner, "model")


def _model(value: Any) -> Any:
    if is_path(value):
        return str(value)
    if not _is_model(value):
        kinds = "a folder, a hub name, a transformers model, or (model, tokenizer)"
        raise InputError(f"{' '.join(repr(value).split()):.60} is no model: give {kinds}")
    return value


def _rows(value: Any) -> Any:
    if is_path(value):
        return str(value)
    if isinstance(value, Mapping | bytes | int | float) or not hasattr(value, "__iter__"):
        raise InputError(f"{' '.join(repr(value).split()):.60} is neither a file nor a list of rows")
    return value


if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from seqtant.lm.interface import CausalLM

    ModelSource: TypeAlias = str | Path | CausalLM | PreTrainedModel | tuple[PreTrainedModel, PreTrainedTokenizerBase]
    Rows: TypeAlias = str | Path | Sequence[Any]
    ObjectOrPath: TypeAlias = str | Path | Any
else:
    ModelSource = Annotated[Any, InMemory(), BeforeValidator(_model), PlainSerializer(describe)]
    """A folder, a hub name, ``reference``, a transformers model, ``(model, tokenizer)``, or a ``CausalLM``."""
    Rows = Annotated[Any, InMemory(), BeforeValidator(_rows), PlainSerializer(describe)]
    """A file, or rows in memory: dataclasses, tuples, dictionaries, a ``datasets.Dataset``, a data frame."""
    ObjectOrPath = Annotated[
        Any,
        InMemory(),
        BeforeValidator(lambda value: str(value) if is_path(value) else value),
        PlainSerializer(describe),
    ]
    """A file or folder, or the object that it would be read into."""
