"""Models and rows that a setting names: in memory, or at a path, checked before a heavy library reads them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast

from pydantic import BeforeValidator, PlainSerializer
from typing_extensions import TypeIs

from seqtant.errors import InputError, suggest


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


TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
)
"""Any one of these makes a tokenizer."""

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


REFERENCE = "reference"
"""The name under which the model that ships in the package is asked for."""

_HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


def locate(model: str | Path) -> Path | None:
    """The folder (or GGUF file) that a model's name means; None if it can only be a name on the Hugging Face hub.

    Args:
        model: A local folder, a GGUF file, ``"reference"``, or a hub name as ``owner/name``.

    Raises:
        InputError: It is a file, a path that does not exist, or the reference model is not in this installation.

    Example:
        >>> locate("organization/model") is None
        True
    """
    if str(model) == REFERENCE:
        shipped = Path(str(files("seqtant.reference") / "weights"))
        if not (shipped / "config.json").is_file():
            raise InputError("the reference model is not in this installation: give a model folder instead")
        return shipped
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file() and folder.suffix == ".gguf":
        return folder
    if folder.exists():
        raise InputError(f"'{model}' is a file: give the folder that holds config.json and the weights")
    # A mistyped path must not become a question to the network.
    if isinstance(model, Path) or not _HUB_NAME.match(model) or folder.parent.is_dir():
        raise InputError(
            f"model folder '{model}' does not exist: give a folder, a hub name as owner/name, or '{REFERENCE}'"
        )
    return None


def name_of(model: ModelSource) -> str:
    """Names a model for a title: the name of its folder, not the way to it; of a model in memory, its own.

    Example:
        >>> name_of("/models/after/tuning"), name_of("organization/model"), name_of("reference")
        ('tuning', 'organization/model', 'reference')
    """
    if not is_path(model):
        return name_of(re.sub(r"^<(.*) in memory(, sha256 \w+)?>$", r"\1", str(describe(model))))
    folder = Path(str(model)).expanduser()
    return folder.resolve().name if folder.is_absolute() or folder.is_dir() else str(model)


def is_reference(model: ModelSource) -> bool:
    """Whether a model is the one that ships, by its name or loaded by :func:`seqtant.lm.load`."""
    return (str(model) if is_path(model) else name_of(model)) == REFERENCE


def check_folder(folder: Path, *, tokenizer: bool = True) -> None:
    """Checks a local model folder: configuration, weights, tokenizer.

    Args:
        folder: Folder in Hugging Face format, with a PEFT adapter, or a GGUF file.
        tokenizer: Whether it must hold a tokenizer.
    """
    if folder.is_file():
        with folder.open("rb") as stream:
            if stream.read(4) != b"GGUF":
                raise InputError(f"'{folder}' is no GGUF file: copy it again")
        return
    config = folder / "config.json"
    if not config.is_file():
        _check_adapter(folder, tokenizer=tokenizer)
        return
    if "model_type" not in read_json(config):
        raise InputError(f"'{config}' names no model_type: it is not the config.json of a transformers model")
    from safetensors import SafetensorError, safe_open

    for shard in weight_files(folder):
        if not shard.is_file():
            raise InputError(f"'{folder}' lacks the weights file '{shard.name}' that its index names: copy it again")
        try:
            # Opening reads the header and compares the file's size with it: truncated files are found here.
            with safe_open(str(shard), framework="numpy") as tensors:
                empty = not list(tensors.keys())
        except (SafetensorError, OSError) as error:
            raise InputError(f"'{shard}' is corrupt ({error}): copy the checkpoint again") from error
        if empty:
            raise InputError(f"'{shard}' holds no tensors: copy the checkpoint again")
    if not tokenizer:
        return
    present = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not present:
        raise InputError(
            f"'{folder}' has no tokenizer (such as tokenizer.json): copy the one the model was trained with"
        )
    for path in present:
        if path.stat().st_size == 0:
            raise InputError(f"the tokenizer file '{path}' is empty: copy the one the model was trained with")


def _check_adapter(folder: Path, *, tokenizer: bool) -> None:
    if not is_adapter(folder):
        raise InputError(f"'{folder}' has no config.json: give a folder in Hugging Face format")
    base = base_of(folder)
    if not (folder / "adapter_model.safetensors").is_file():
        refuse_pickles(folder)
        raise InputError(f"the adapter '{folder}' has no weights: adapter_model.safetensors is missing")
    below = locate(base)
    if below is None:
        return
    if is_adapter_alone(below):
        raise InputError(f"the adapter '{folder}' names another adapter, '{base}': name the model below both")
    check_folder(below, tokenizer=tokenizer and not any((folder / name).is_file() for name in TOKENIZER_FILES))


def is_adapter(folder: str | Path) -> bool:
    """Whether a folder holds a PEFT adapter."""
    return (Path(folder).expanduser() / "adapter_config.json").is_file()


def is_adapter_alone(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return is_adapter(folder) and not (folder / "config.json").is_file()


def base_of(folder: str | Path) -> str:
    """The base model that an adapter names; a relative path is taken from the working folder or from beside it."""
    config = Path(folder).expanduser() / "adapter_config.json"
    base = read_json(config).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise InputError(f"'{config}' names no base model: base_model_name_or_path does not name the model below it")
    beside = config.parent / base
    return str(beside) if beside.is_dir() and not Path(base).is_dir() else base


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder: those that its index names, else the one file."""
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        names = read_json(index).get("weight_map")
        if not isinstance(names, dict) or not names:
            raise InputError(f"'{index}' names no weights: copy the checkpoint again")
        return [folder / name for name in sorted({str(name) for name in names.values()})]
    if not single.is_file():
        refuse_pickles(folder)
        raise InputError(f"'{folder}' has no weights: model.safetensors is missing")
    return [single]


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object."""
    try:
        # transformers 5 writes infinite numbers as {"__float__": "Infinity"}.
        content = json.loads(
            path.read_text(encoding="utf-8-sig"),
            object_hook=lambda each: float(each["__float__"]) if each.keys() == {"__float__"} else each,
        )
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' is not readable JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"'{path}' does not hold a JSON object")
    return content


def refuse_pickles(folder: Path) -> None:
    """Refuses a folder whose only weights are pickles."""
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles and not any(folder.glob("*.safetensors")):
        raise InputError(
            f"'{folder}' holds pickled weights ('{pickles[0]}'), which may run code when read: convert to safetensors"
        )


def read_lines(
    source: Rows, *, give: str = "a file of JSON lines", fields: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Goes through rows: the JSON objects of a file, or what is in memory.

    Args:
        source: File with one JSON object per line (empty lines are skipped); or dictionaries, dataclasses, tuples,
            texts, a ``datasets.Dataset``, a data frame.
        give: What to give instead of a file that is not there.
        fields: Names of a tuple's elements; a row that is a text alone is the first of them.

    Yields:
        Where the row stands, for messages, and the row.
    """
    if is_path(source):
        yield from _read_file(str(source), give)
        return
    rows: Any = source
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # a data frame, whose iteration gives column names
        rows = rows.to_dict("records")
    number = 0
    for number, row in enumerate(rows, start=1):
        place = f"row {number}"
        if dataclasses.is_dataclass(row) and not isinstance(row, type):
            yield place, {name: value for name, value in vars(row).items() if value is not None}
        elif isinstance(row, Mapping):
            yield place, {str(name): value for name, value in row.items()}
        elif fields and isinstance(row, str):
            yield place, {fields[0]: row}
        elif fields and isinstance(row, tuple | list) and len(row) <= len(fields):
            yield place, dict(zip(fields, row, strict=False))
        else:
            wanted = f"({', '.join(fields)})" if fields else "a dictionary"
            raise InputError(f"{place} is {row!r:.60}: give {wanted}")
    if not number:
        raise InputError(f"there are no rows: give at least one, or {give}")


def read_text_lines(path: Path, give: str) -> list[str]:
    """Reads the lines of a UTF-8 text, with or without a byte order mark; only a line feed ends a line."""
    if not path.is_file():
        raise InputError(f"no file '{path}': give {give}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text (byte {error.start}): convert it first") from error
    return [line.removesuffix("\r") for line in text.split("\n")]


def _read_file(path: str, give: str) -> Iterator[tuple[str, dict[str, Any]]]:
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"no file '{path}': give {give}")
    found = False
    with file.open("rb") as stream:
        # In binary a line ends at a line feed only: U+2028 and its like may stand inside a text.
        for number, line in enumerate(stream, start=1):
            place = f"'{path}', line {number}"
            try:
                text = line.decode("utf-8-sig")  # some programs write a byte order mark at the beginning
                if not text.strip():
                    continue
                found = True
                record = json.loads(text)
            except UnicodeDecodeError as error:
                raise InputError(f"{place} is not UTF-8 text (byte {error.start}): convert the file first") from error
            except json.JSONDecodeError as error:
                raise InputError(f"{place} is not JSON: {error.msg}") from error
            except (ValueError, RecursionError) as error:
                raise InputError(f"{place} is JSON that cannot be read: {error!s:.100}") from error
            if not isinstance(record, dict):
                raise InputError(f"{place} holds no JSON object: write {{...}}")
            yield place, record
    if not found:
        raise InputError(f"'{path}' is empty: give at least one line")


def value_of(record: dict[str, Any], key: str, place: str) -> Any:
    """What stands under a key."""
    if key not in record:
        raise InputError(f"{place} has no '{key}'{suggest(key, record)}: it has {', '.join(record) or 'nothing'}")
    return record[key]


def text_of(record: dict[str, Any], key: str, place: str) -> str:
    """The text under a key."""
    value = value_of(record, key, place)
    if not isinstance(value, str) or not value:
        raise InputError(f"{place}: '{key}' is {value!r}: it must be a text that is not empty")
    return value


def texts_of(record: dict[str, Any], key: str, place: str, *, least: int = 1) -> tuple[str, ...]:
    """The list of different texts under a key, or the one text there."""
    value = value_of(record, key, place)
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list | tuple) or len(value) < least or not all(isinstance(v, str) and v for v in value):
        raise InputError(f"{place}: '{key}' must be a list of at least {least} text(s)")
    if len(set(value)) < len(value):
        raise InputError(f"{place}: '{key}' holds a text twice")
    return tuple(value)
