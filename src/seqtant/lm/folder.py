"""Where a model lies and what must lie there, checked before any heavy library is asked to read it."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from seqtant.errors import InputError
from seqtant.sources import ModelSource, describe, is_path

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
    """The folder that a model's name means; None if it can only be a name on the Hugging Face hub.

    Args:
        model: A local folder, ``"reference"``, or a hub name as ``owner/name``.

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


def check_folder(folder: Path, *, tokenizer: bool = True) -> None:
    """Checks a local model folder: configuration, weights, tokenizer.

    Args:
        folder: Folder in Hugging Face format.
        tokenizer: Whether it must hold a tokenizer.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise InputError(f"'{folder}' has no config.json: give a folder in Hugging Face format")
    if "model_type" not in read_json(config):
        raise InputError(f"'{config}' names no model_type: it is not the config.json of a transformers model")
    from safetensors import SafetensorError, safe_open

    for shard in _weight_files(folder):
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


def _weight_files(folder: Path) -> list[Path]:
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
        content = json.loads(path.read_text(encoding="utf-8"))
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
