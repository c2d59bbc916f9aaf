"""Loading a language model with every fault of a folder found early and told in one line.

Transformers fills missing weights with random numbers, reads a truncated file late and takes a tokenizer of another
model without a word. Each of these would end as a silent wrong number, so each is checked here.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging import CRITICAL, getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch

from seqtant.errors import InputError
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import CausalLM
from seqtant.lm.probe import probe
from seqtant.optional import require
from seqtant.sources import (
    REFERENCE,
    TOKENIZER_FILES,
    ModelSource,
    base_of,
    check_folder,
    is_adapter_alone,
    is_path,
    locate,
    read_json,
    weight_files,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILLED = 0.8
"""Largest share of the free memory that weights may take before Accelerate spreads them."""
BITS = ("8bit", "4bit")
"""Number types that bitsandbytes makes."""

_LOADED: ContextVar[dict[tuple[str, ...], HuggingFaceLM] | None] = ContextVar("loaded", default=None)
"""Models that may be given out again; None outside of :func:`loaded_once`."""


@contextmanager
def loaded_once() -> Iterator[None]:
    """Within the block, ``load(..., shared=True)`` reads a model's files once and gives the same object again."""
    token = _LOADED.set({})
    try:
        yield
    finally:
        _LOADED.reset(token)


def load(
    model: ModelSource = REFERENCE,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype | None = None,
    tokenizer: bool = True,
    shared: bool = False,
) -> HuggingFaceLM:
    """Loads a causal language model, or wraps one that is in memory, in evaluation mode and with frozen weights.

    Args:
        model: A local folder in Hugging Face format, ``"reference"`` for the model that ships in the package, or a
            name on the Hugging Face hub; or a transformers model, ``(model, tokenizer)``, a pipeline, or a
            :class:`CausalLM`, each used where it is and as it is. A folder never touches the network; only a hub name
            may.
        device: ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. With ``"auto"``, a folder
            whose weights do not fit there is spread by Accelerate over all GPUs, memory and disk.
        dtype: E.g. ``"float32"`` or ``torch.bfloat16``, or ``"8bit"`` or ``"4bit"``, which need bitsandbytes. None
            means float32 on a CPU and the checkpoint's own elsewhere.
        tokenizer: Whether the model must come with a tokenizer; False loads the network alone.
        shared: Whether the caller leaves the network as it is, so that others may use the same object: within
            :func:`loaded_once` it is loaded only once.

    Returns:
        The model behind the common interface.

    Raises:
        InputError: The folder, its weights or its tokenizer cannot be used; the message names the fault.
    """
    if not is_path(model):
        given: Any = model
        if not isinstance(model, CausalLM):
            network, words = given if isinstance(given, tuple) else (given, None)
            if hasattr(network, "model") and hasattr(network, "tokenizer"):  # a pipeline
                network, words = network.model, network.tokenizer
            if not hasattr(network, "config"):
                name = type(network).__name__
                raise InputError(f"{name} is no transformers model: give one, or a CausalLM around yours")
            given = HuggingFaceLM(network, words)
        if tokenizer and given.tokenizer is None:
            raise InputError(f"'{given.name}' comes without a tokenizer: give (model, tokenizer)")
        if given.tokenizer is not None:
            check_match(given, given.tokenizer)
        if isinstance(given, HuggingFaceLM):
            probe(given)
        return given
    where = pick_device(device)
    kind = pick_dtype(dtype, where)
    known = _LOADED.get() if shared else None
    if known is None:
        return _open(model, where, kind, tokenizer=tokenizer, spread=device == "auto")
    key = (str(model), str(where), str(kind), str(tokenizer))
    if key not in known:
        known[key] = _open(model, where, kind, tokenizer=tokenizer, spread=device == "auto")
    return known[key]


def _placed(folder: Path | None, device: torch.device, dtype: str | torch.dtype, *, spread: bool) -> dict[str, Any]:
    """Options that say where the weights go, and in how many bits: on the device, unless that is too small."""
    if dtype in BITS:
        require("bitsandbytes", extra="quantized")
        from transformers import BitsAndBytesConfig

        # Without outlier columns, which are found over all tokens at once, each token is rounded by itself.
        bits = {"load_in_8bit": True, "llm_int8_threshold": 0.0}
        if dtype == "4bit":
            number = torch.float32 if device.type == "cpu" else torch.bfloat16
            bits = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": number}
        return {"quantization_config": BitsAndBytesConfig(**bits), "device_map": {"": device}}
    options: dict[str, Any] = {"dtype": dtype}
    if spread and folder is not None and folder.is_dir():
        stored = sum(path.stat().st_size for path in weight_files(folder))
        config = read_json(folder / "config.json")
        half = config.get("dtype", config.get("torch_dtype")) in ("bfloat16", "float16")
        if stored * (2 if half and dtype is torch.float32 else 1) > FILLED * free_bytes(device):
            gpus = range(torch.cuda.device_count() if device.type == "cuda" else 0)
            free = {place: int(FILLED * free_bytes(torch.device(place))) for place in (*gpus, "cpu")}
            options |= {"device_map": "auto", "max_memory": free}
            warnings.warn(
                f"'{folder.name}' does not fit on {device}: Accelerate spreads it, which is slow", stacklevel=4
            )
            options["offload_folder"] = tempfile.mkdtemp(prefix="seqtant-weights-")
            atexit.register(shutil.rmtree, options["offload_folder"], ignore_errors=True)
    return options


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def _open(
    model: str | Path, device: torch.device, dtype: str | torch.dtype, *, tokenizer: bool, spread: bool = False
) -> HuggingFaceLM:
    """Loads from a folder or, by a name on the hub, from the network."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = locate(model)
    source, name, local = str(model), str(model), folder is not None
    if folder is not None:
        check_folder(folder, tokenizer=tokenizer)
        source, name = str(folder), REFERENCE if str(model) == REFERENCE else folder.resolve().name
        if is_adapter_alone(folder):
            return _open_adapter(folder, base_of(folder), device, dtype, tokenizer=tokenizer)
    more: dict[str, Any] = {}
    if folder is not None and folder.is_file():
        require("gguf", extra="gguf")
        more, source, name = {"gguf_file": folder.name}, str(folder.parent), folder.stem
    words: PreTrainedTokenizerBase | None = None
    if tokenizer:
        found: Any = from_pretrained(AutoTokenizer, source, "the tokenizer of", local_files_only=local, **more)
        words, count = found, len(found.get_vocab())
        if count <= len(set(found.all_special_ids)):
            raise InputError(
                f"the tokenizer of '{source}' is empty ({count} tokens): copy the one the model was trained with"
            )
    network, report = from_pretrained(
        AutoModelForCausalLM,
        source,
        "the model",
        local_files_only=local,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **more,
        **_placed(folder, device, dtype, spread=spread),
    )
    for key, held, wanted in sorted(report["mismatched_keys"]):
        raise InputError(
            f"'{key}' of '{source}' is {' x '.join(map(str, held))}, but config.json says "
            f"{' x '.join(map(str, wanted))}: the checkpoint and its config.json do not belong together"
        )
    # What the weights lack was filled with random numbers.
    missing, surplus = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if missing:
        raise InputError(
            f"the weights of '{source}' lack {len(missing)} tensors that config.json asks for, such as '{missing[0]}': "
            "the checkpoint and its config.json do not belong together"
        )
    if surplus:
        warnings.warn(
            f"'{source}' holds {len(surplus)} tensors that its config.json does not use, such as '{surplus[0]}'",
            stacklevel=3,
        )
    # What Accelerate or a quantizer has placed stays where it is.
    placed = hasattr(network, "hf_device_map")
    loaded = HuggingFaceLM(network if placed else network.to(device), words, name=name)
    if words is not None:
        check_match(loaded, words)
    probe(loaded)
    return loaded


def _open_adapter(
    folder: Path, base: str, device: torch.device, dtype: str | torch.dtype, *, tokenizer: bool
) -> HuggingFaceLM:
    """Loads a PEFT adapter on top of the model that it belongs to."""
    require("peft", extra="peft")
    has_words = any((folder / name).is_file() for name in TOKENIZER_FILES)
    # Never spread: PEFT would make the adapter's own weights without numbers.
    loaded = _open(base, device, dtype, tokenizer=tokenizer and not has_words)
    network: Any = loaded.model
    try:
        with quiet(), without_foreign_warnings():
            network.load_adapter(str(folder))
    except Exception as error:  # PEFT raises of every kind where adapter and model do not fit
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(f"the adapter '{folder}' does not fit its model '{base}': {first:.160}") from error
    network.eval().requires_grad_(False)
    words: Any = loaded.tokenizer
    if tokenizer and has_words:
        from transformers import AutoTokenizer

        words = from_pretrained(AutoTokenizer, folder, "the tokenizer of", local_files_only=True)
    found = HuggingFaceLM(network, words, name=folder.resolve().name)
    if words is not None:
        check_match(found, words)
    found.abilities = loaded.abilities
    return found


@contextmanager
def without_foreign_warnings() -> Iterator[None]:
    """Silences what PEFT's calls make transformers say of a property it means to rename: no user can act on it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield


def pick_device(device: str | torch.device) -> torch.device:
    """Turns ``"auto"`` into the best device there is, and checks any other.

    Example:
        >>> pick_device("cpu")
        device(type='cpu')
    """
    if device == "auto":
        return torch.device(_best_device())
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"unknown device '{device}': use auto, cpu, cuda or cuda:1") from error
    there = chosen.type == "cpu" or (chosen.type == "cuda" and (chosen.index or 0) < torch.cuda.device_count())
    if not there:
        reason = "has no double precision, which exact sums need" if chosen.type == "mps" else "is not on this machine"
        raise InputError(f"device '{device}' {reason}: use '{_best_device()}' or 'auto'")
    return chosen


def pick_dtype(dtype: str | torch.dtype | None, device: torch.device) -> str | torch.dtype:
    """The number type to load in: as asked, else float32 on a CPU and ``"auto"`` (the checkpoint's own) elsewhere.

    Example:
        >>> pick_dtype("float64", torch.device("cpu"))
        torch.float64
    """
    if dtype in BITS:
        return str(dtype)
    if dtype is None:
        return torch.float32 if device.type == "cpu" else "auto"
    chosen = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise InputError(f"unknown number type '{dtype}': use float32, bfloat16, float16, float64, 8bit or 4bit")
    return chosen


def _best_device() -> str:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and torch.cuda.device_count() > 1:
        return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_match(model: CausalLM, tokenizer: PreTrainedTokenizerBase) -> None:
    """Checks that every token of a tokenizer is one the model knows."""
    largest = max(tokenizer.get_vocab().values())
    if largest >= model.vocabulary_size:
        raise InputError(
            f"the tokenizer of '{model.name}' makes ids up to {largest}, but the model knows {model.vocabulary_size} "
            "tokens: they do not belong together"
        )


_ATTENTION = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")


def from_pretrained(auto_class: Any, source: str | Path, what: str, **options: Any) -> Any:
    """Loads a network, a tokenizer or a configuration, by one of transformers' auto classes.

    Args:
        auto_class: E.g. ``transformers.AutoTokenizer``.
        source: A folder, or a hub name.
        what: What is loaded, for messages: ``"the model"``.
        **options: Passed on.
    """
    # Kernels that a configuration names in a hub repository would be fetched and run.
    path = Path(source) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        config = {}  # hub names have no file here; broken files are told by whoever reads them
    for key in _ATTENTION if isinstance(config, dict) else ():
        if "/" in json.dumps(config.get(key)):
            raise InputError(
                f"'{path}' sets {key} to {config[key]!r}, code of a hub repository, which is never run: remove {key}"
            )
    try:
        with quiet():
            return auto_class.from_pretrained(str(source), trust_remote_code=False, **options)
    except MemoryError:
        raise
    except Exception as error:  # transformers lets errors of every kind through, from six libraries
        if "trust_remote_code" in str(error):
            raise InputError(
                f"{what} '{source}' can be loaded only by running Python code that comes with it, which is never done: "
                "save it in a format that transformers knows by itself, or load it yourself and hand over the object"
            ) from error
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        text = lines[0] if lines else type(error).__name__
        text = text if len(text) <= 200 else text[:197] + "..."
        raise InputError(f"cannot load {what} '{source}': {text}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers from printing bars and load reports: faults are raised here, in our own words."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    accelerate = getLogger("accelerate")
    own = accelerate.level
    logging.set_verbosity(CRITICAL)
    accelerate.setLevel(CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        accelerate.setLevel(own)
        if bar:
            logging.enable_progress_bar()
