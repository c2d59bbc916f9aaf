"""Finds the files of a model and reads its ``config.json`` into a shape, by the family that ``model_type`` names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtant.architecture.families.decoder import read_decoder
from seqtant.architecture.families.decoders import DECODERS, OPT, read_opt
from seqtant.architecture.families.encoders import BERT_LIKE, read_bert, read_t5, read_vit
from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.shape import Shape
from seqtant.errors import InputError, suggest
from seqtant.registry import Registry
from seqtant.sources import base_of, is_adapter, is_path, name_of, read_json

if TYPE_CHECKING:
    from torch import Tensor

    from seqtant.architecture.config import NetworkSource

REFERENCE = "reference"
"""The name of the model that ships in the package."""
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

FAMILIES: Registry[tuple[Callable[[Fields], Shape], Mapping[str, str]]] = Registry(
    "model family", group="seqtant.families"
)
"""``model_type`` -> reader of its fields, and the family's own names of common fields."""

for _name, _decoder in DECODERS.items():
    FAMILIES.add(_name, (partial(read_decoder, family=_decoder), dict(_decoder.aliases)))
for _name, _encoder in BERT_LIKE.items():
    FAMILIES.add(_name, (partial(read_bert, family=_encoder), dict(_encoder.aliases)))
FAMILIES.add("opt", (read_opt, dict(OPT.aliases)))
FAMILIES.add(
    "t5", (read_t5, {"hidden_size": "d_model", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"})
)
FAMILIES.add("vit", (read_vit, {}))


def describe(data: Mapping[str, Any], source: str = "configuration") -> Shape:
    """Reads a parsed ``config.json`` into a shape.

    Example:
        >>> shape = describe({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]})
        >>> shape.depth, shape.width, shape.is_tied
        (12, 768, True)
    """
    kind = data.get("model_type")
    notes: list[str] = []
    if kind not in FAMILIES and isinstance(data.get("text_config"), Mapping):
        notes.append(f"'{kind}' reads more than text: only its text part is counted")
        # transformers 5 obeys the flag of the whole, not that of the part.
        tie = data.get("tie_word_embeddings")
        data = {**data["text_config"], **({} if tie is None else {"tie_word_embeddings": tie})}
        kind = data.get("model_type")
    if kind not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise InputError(f"{source}: unknown model_type {kind!r}{suggest(str(kind), FAMILIES)}: known are {known}")
    reader, aliases = FAMILIES[str(kind)]
    fields = Fields(data, source, aliases)
    fields.notes += notes
    if fields.flag("add_cross_attention", False):
        raise fields.error("add_cross_attention is true: cross-attention added to this family is not counted")
    shape = replace(reader(fields), family=str(kind), dtype=fields.dtype(), notes=tuple(fields.notes))
    return replace(shape, whole=fields.whole and not notes)


def is_known(data: Mapping[str, Any]) -> bool:
    """Whether a reader here knows the family of a parsed ``config.json``."""
    return data.get("model_type") in FAMILIES


@dataclass(frozen=True)
class ModelFiles:
    """A model's files: its configuration, and its weights where they are at hand."""

    name: str
    """What reports call it."""
    config_path: str
    """Where the configuration was read, for messages."""
    config: Mapping[str, Any]
    """The parsed ``config.json``."""
    weights: tuple[Path, ...] | Mapping[str, Tensor] = ()
    """Safetensors files, in order, or the parameters of a network in memory by name; none of a configuration alone."""


def find_model(model: NetworkSource, *, download: bool = False) -> ModelFiles:
    """Finds the files of a model.

    Args:
        model: ``"reference"``, a folder in Hugging Face format, a ``config.json``, a ``.safetensors`` file beside its
            ``config.json``, or a name on the Hugging Face hub; or a transformers model or configuration in memory.
        download: Whether weights of a hub model may be fetched too; its configuration always may.
    """
    if not is_path(model):
        return _in_memory(model)
    model = str(model)
    if model == REFERENCE:
        folder = Path(str(files("seqtant.reference") / "weights"))
        if not (folder / "config.json").is_file():
            raise InputError("the reference model is not in this installation: give a model folder instead")
        return _of_folder(folder, REFERENCE)
    path = Path(model).expanduser()
    if path.is_dir() or (path.name == "config.json" and path.is_file()):
        folder = path if path.is_dir() else path.parent
        return _of_folder(folder, folder.resolve().name)
    if path.is_file() and path.suffix == ".safetensors":
        config_path = path.parent / "config.json"
        if not config_path.is_file():
            raise InputError(f"'{path}' has no config.json beside it: it says how the tensors are to be read")
        return ModelFiles(path.stem, str(config_path), read_json(config_path), (path,))
    if path.is_file() and path.suffix == ".gguf":
        raise InputError(f"'{path}' keeps its shape in a form of its own: audit the folder that it was made from")
    if path.is_file():
        return ModelFiles(path.stem, str(path), read_json(path))
    # A mistyped path must not become a question to the network: only owner/name is one.
    is_hub_name = re.match(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", model)
    if path.suffix in {".json", ".safetensors"} or not is_hub_name or path.parent.is_dir():
        raise InputError(f"'{model}' does not exist: give a model folder, a config.json, or a hub name as owner/name")
    config_path = _fetch(model, "config.json")
    config = read_json(config_path)
    if download:
        try:
            weights = (_fetch(model, SINGLE),)
        except InputError:
            # Large models have an index and several files; if that is missing too, its error is the one to show.
            weights = tuple(_fetch(model, shard) for shard in _shard_names(_fetch(model, INDEX)))
    else:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(model, SINGLE)
        weights = (Path(cached),) if isinstance(cached, str) else ()
    return ModelFiles(model, str(config_path), config, weights)


def _in_memory(model: Any) -> ModelFiles:
    """Reads a transformers configuration, or a transformers network alone, with its tokenizer, or in a wrapper."""
    name = name_of(model)
    network = model[0] if isinstance(model, tuple) else model
    if hasattr(network, "model_type"):  # a configuration
        config = network.to_dict()
        # transformers 5 calls every T5 tied; this is how it remembers that the published weights are not.
        if config.get("scale_decoder_outputs") is False:
            config["tie_word_embeddings"] = False
        return ModelFiles(name, name, config)
    if not hasattr(network, "config"):  # a wrapper of ours, or a pipeline
        network = getattr(network, "model", network)
    if not hasattr(getattr(network, "config", None), "to_dict"):
        raise InputError(f"{type(network).__name__} has no transformers configuration to read its shape from")
    # What was built counts, not what the checkpoint was saved as.
    config = network.config.to_dict() | {"architectures": [type(network).__name__]}
    from seqtant.lm.huggingface import read_weight

    head = getattr(network, "get_output_embeddings", lambda: None)()
    weights: dict[str, Tensor] = dict(network.named_parameters())  # tied parameters are listed once
    if head is not None:
        tables = (head.weight, network.get_input_embeddings().weight)
        # Only the two tables are ever read.
        own = {key: each for key, each in weights.items() if any(each is table for table in tables)}
        kept = {key: read_weight(network, key, each) for key, each in own.items()}
        # The stand-ins of what Accelerate keeps elsewhere are never shared: the configuration tells of those.
        if all(kept[key] is own[key] for key in own):
            config["tie_word_embeddings"] = tables[0] is tables[1]
        weights |= kept
    return ModelFiles(name, f"the configuration of {name}", config, weights)


def _of_folder(folder: Path, name: str) -> ModelFiles:
    """Reads a folder; an index that names a missing weights file is an error."""
    path = folder / "config.json"
    if not path.is_file():
        if is_adapter(folder):
            # An adapter has no shape of its own: it is that of its model.
            return replace(find_model(base_of(folder)), name=name)
        raise InputError(f"'{folder}' has no config.json: give a folder in Hugging Face format")
    weights = (folder / SINGLE,) if (folder / SINGLE).is_file() else ()
    if (folder / INDEX).is_file():
        weights = tuple(folder / shard for shard in _shard_names(folder / INDEX))
        missing = next((shard for shard in weights if not shard.is_file()), None)
        if missing is not None:
            raise InputError(f"'{folder}' lacks the weights file '{missing.name}' that its index names: copy it again")
    return ModelFiles(name, str(path), read_json(path), weights)


def _shard_names(index: Path) -> list[str]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise InputError(f"'{index}' names no weights: copy the checkpoint again")
    return sorted({str(name) for name in names.values()})


def _fetch(name: str, file: str) -> Path:
    """Downloads one file of a hub model, or takes it from the cache."""
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
