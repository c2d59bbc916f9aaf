"""From what a user names - a folder, a config.json, a weights file, a hub model - to its configuration and weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from seqtant.architecture.families.reading import describe
from seqtant.architecture.families.shape import Shape
from seqtant.errors import InputError
from seqtant.lm.folder import read_json

REFERENCE = "reference"
"""The name of the model that ships in the package."""
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

_HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


@dataclass(frozen=True)
class Source:
    """A model's files: its configuration, and its weights where they are at hand."""

    name: str
    """What reports call it."""
    config_path: str
    """Where the configuration was read, for messages."""
    config: Mapping[str, Any]
    """The parsed ``config.json``."""
    weights: tuple[Path, ...] = ()
    """Safetensors files, in order; none where only a configuration was given."""
    hub_name: str = ""
    """Name on the Hugging Face hub, if that is what was given."""

    def shape(self) -> Shape:
        """The network that the configuration describes.

        Raises:
            InputError: The family is unknown, or a field does not fit.
        """
        return describe(self.config, self.config_path)


def locate(model: str, *, download: bool = False) -> Source:
    """Finds the files of a model.

    Args:
        model: ``"reference"``, a folder in Hugging Face format, a ``config.json``, a ``.safetensors`` file beside its
            ``config.json``, or a name on the Hugging Face hub.
        download: Whether weights of a hub model may be fetched too; its configuration always may.

    Raises:
        InputError: There is nothing of that name, or its configuration cannot be read; one line that says what to do.
    """
    if model == REFERENCE:
        folder = Path(str(files("seqtant.reference") / "weights"))
        if not (folder / "config.json").is_file():
            raise InputError("the reference model is not in this installation: give a model folder instead")
        return _of_folder(folder, REFERENCE)
    path = Path(model).expanduser()
    if path.is_dir():
        return _of_folder(path, path.resolve().name)
    if path.is_file():
        return _of_file(path)
    # A mistyped path must not become a question to the network: only owner/name is one.
    if path.suffix in {".json", ".safetensors"} or not _HUB_NAME.match(model) or path.parent.is_dir():
        raise InputError(f"'{model}' does not exist: give a model folder, a config.json, or a hub name as owner/name")
    return _of_hub(model, download=download)


def _of_folder(folder: Path, name: str) -> Source:
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"'{folder}' has no config.json: give a folder in Hugging Face format")
    return Source(name, str(path), read_json(path), _weights(folder))


def _of_file(path: Path) -> Source:
    if path.suffix == ".safetensors":
        beside = path.parent / "config.json"
        if not beside.is_file():
            raise InputError(f"'{path}' has no config.json beside it: it says how the tensors are to be read")
        return Source(path.stem, str(beside), read_json(beside), (path,))
    weights = _weights(path.parent) if path.name == "config.json" else ()
    name = path.resolve().parent.name if path.name == "config.json" else path.stem
    return Source(name, str(path), read_json(path), weights)


def _weights(folder: Path) -> tuple[Path, ...]:
    """Weights files of a folder; an index that names a missing file is an error."""
    index = folder / INDEX
    if not index.is_file():
        return (folder / SINGLE,) if (folder / SINGLE).is_file() else ()
    shards = tuple(folder / name for name in shard_names(index))
    missing = next((shard for shard in shards if not shard.is_file()), None)
    if missing is not None:
        raise InputError(f"'{folder}' lacks the weights file '{missing.name}' that its index names: copy it again")
    return shards


def shard_names(index: Path) -> list[str]:
    """Names of the weights files that an index lists.

    Raises:
        InputError: The index names none.
    """
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise InputError(f"'{index}' names no weights: copy the checkpoint again")
    return sorted({str(name) for name in names.values()})


def _of_hub(name: str, *, download: bool) -> Source:
    from huggingface_hub import try_to_load_from_cache

    path = _fetch(name, "config.json")
    config = read_json(path)
    if download:
        return Source(name, str(path), config, _fetch_weights(name), name)
    cached = try_to_load_from_cache(name, SINGLE)
    weights = (Path(cached),) if isinstance(cached, str) else ()
    return Source(name, str(path), config, weights, name)


def _fetch_weights(name: str) -> tuple[Path, ...]:
    try:
        return (_fetch(name, SINGLE),)
    except InputError:
        # Large models have an index and several files instead; if that is missing too, its error is the one to show.
        return tuple(_fetch(name, shard) for shard in shard_names(_fetch(name, INDEX)))


def _fetch(name: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        return Path(hf_hub_download(name, file))
    except Exception as error:  # the hub's library lets errors of every kind through, those of the network included
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"there is no folder '{name}', and the hub did not give its {file}: {type(error).__name__}: {first}"
        ) from error
    finally:
        logging.set_verbosity(level)
