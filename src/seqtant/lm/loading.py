"""Loading a language model with every fault of a folder found early and told in one line.

Transformers fills missing weights with random numbers, reads a truncated file late and takes a tokenizer of another
model without a word. Each of these would end as a silent wrong number, so each is checked here.

Families differ where nobody looks: some see later tokens, some are right with a cache one token at a time only, some
read padding as text. A probe of a dozen tokens finds out; a scored sequence without padding and cache is the truth that
the other ways are compared with.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging import CRITICAL, getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import psutil
import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.huggingface import Abilities, HuggingFaceLM, only_grows
from seqtant.lm.interface import CausalLM
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
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENS = 12
TOLERANCE = {torch.float64: 1e-3, torch.float32: 1e-3, torch.bfloat16: 0.5, torch.float16: 0.1}
"""Largest difference of a log-probability, in nats, that rounding explains, by number type."""
STEP_TOLERANCE = 4
"""Single steps may differ by so many tolerances: some state-space families leave out the floor of their step size."""
FILLED = 0.8
"""Largest share of the free memory that weights may take before Accelerate spreads them."""

BEYOND = {
    # The cache keeps a window; a pass over all tokens looks back on everything.
    "moshi": Abilities(steps=False, pieces=False, padding=False),
    # Queries far into a text are scaled by their column, padding included, not by their position.
    "llama4": Abilities(padding=False),
    "inkling": Abilities(padding=False),
}
"""Families -> what goes wrong at lengths that the probe does not reach (transformers 5.23)."""

_KNOWN: WeakKeyDictionary[nn.Module, Abilities] = WeakKeyDictionary()


@torch.no_grad()
def probe(model: HuggingFaceLM) -> Abilities:
    """Finds out by which ways a network reads tokens rightly, and sets them on the wrapper; warns of those it does not.

    Changing the last token must not move the log-probabilities before it. Then a sequence read whole must agree with
    itself read token by token over a cache, in two pieces (with a copied row, twice from one cache, another text in
    between), and beside a longer row with padding on the left.

    Args:
        model: The wrapped network; its weights must be there.

    Returns:
        What was found; each network is tried once.
    """
    if model.model not in _KNOWN:
        found, kind = _probe(model), model.model.config.model_type
        known = next((each for family, each in BEYOND.items() if kind.startswith(family)), Abilities())
        found = Abilities(
            found.steps and known.steps,
            found.pieces and known.pieces,
            found.padding and known.padding,
            found.branches and known.pieces,
        )
        # Where no cache serves, nothing more is to be said of it.
        right = (found.steps, found.pieces or not found.steps, found.padding)
        if lacks := [text for text, able in zip(_LACKS, right, strict=True) if not able]:
            warnings.warn(f"'{model.name}' {'; '.join(lacks)}: it is read in slower ways that are right", stacklevel=2)
        _KNOWN[model.model] = found
    model.abilities = _KNOWN[model.model]
    return model.abilities


def _probe(model: HuggingFaceLM) -> Abilities:
    long, short = _texts(model)
    length, split = len(long), len(short)
    model.abilities = Abilities()  # each way is trusted while it is tried
    if length < 4:
        return model.abilities
    if model.model.config.model_type == "reformer":  # beyond its first chunk, which is longer than the probe
        raise InputError(f"'{model.name}' is a Reformer, which looks ahead between chunks: give a causal model")
    parameter = next(model.model.parameters())
    allowed = TOLERANCE.get(parameter.dtype, 0.5)
    whole, other = (_log_probs(model.forward(ids[None]).logits)[0] for ids in (long, short))
    if not bool(whole.isfinite().all()):
        return model.abilities  # broken weights are told by whoever reads their scores
    changed = long.clone()
    changed[-1] = short[-1] if short[-1] != long[-1] else short[0]
    ahead = float((_log_probs(model.forward(changed[None]).logits)[0] - whole)[:-1].abs().max())
    if ahead > allowed / 10 and getattr(
        getattr(model.model.config, "quantization_config", None), "load_in_8bit", False
    ):
        raise InputError(
            f"another last token moves the scores of '{model.name}' before it by {ahead:.2g} nats: 8-bit layers with "
            "outlier columns look at all tokens at once: load it with llm_int8_threshold=0, or in 4 bits"
        )
    if ahead > allowed / 10:
        raise InputError(
            f"'{model.name}' looks ahead: another last token moves the scores before it by {ahead:.2g} nats, so "
            "they are no probabilities of text: give a causal language model"
        )

    def agrees(way: Callable[[], list[tuple[Tensor, Tensor]]], tolerance: float) -> bool:
        try:
            pairs = way()
        except Exception:  # the families' own errors are of every kind; all mean that this way is not theirs
            return False
        return all(float((_log_probs(found) - wanted).abs().max()) <= tolerance for found, wanted in pairs)

    def steps() -> list[tuple[Tensor, Tensor]]:
        cache: Any = model.forward(long[None, :split], use_cache=True).cache
        model.forward(short[None, :split], use_cache=True)  # a state kept in the network itself is gone now
        found = []
        for place in range(split, length):
            output = model.forward(long[None, place : place + 1], cache=cache, use_cache=True)
            cache = output.cache
            found.append((output.logits[0, 0], whole[place]))
        return found

    def pieces() -> list[tuple[Tensor, Tensor]]:
        cache: Any = model.forward(long[None, :split], use_cache=True).cache
        twice = model.select_rows(cache, torch.tensor([0, 0], device=model.device))
        model.forward(short[None, :split], use_cache=True)
        both = model.forward(long[split:].expand(2, -1), cache=twice).logits
        again = model.forward(long[None, split:], cache=cache).logits[0]
        return [(line, whole[split:]) for line in (*both, again)]

    def padding() -> list[tuple[Tensor, Tensor]]:
        pads = length - split
        ids = torch.stack([long, torch.cat([long.new_full((pads,), model.pad_id), short])])
        mask = torch.ones_like(ids)
        mask[1, :pads] = 0
        output = model.forward(ids, mask).logits
        pairs = [(output[0], whole), (output[1, pads:], other)]
        if steps_right:
            # The two last tokens after a padded beginning, at once where the family can.
            size = 2 if pieces_right else 1
            cache: Any = model.forward(ids[:, :-2], mask[:, :-2], use_cache=True).cache
            for start in range(length - 2, length, size):
                step = model.forward(ids[:, start : start + size], cache=cache, use_cache=True)
                cache, end = step.cache, start + size
                pairs += [(step.logits[0], whole[start:end]), (step.logits[1], other[start - pads : end - pads])]
        return pairs

    steps_right = agrees(steps, STEP_TOLERANCE * allowed)
    pieces_right = steps_right and agrees(pieces, allowed)
    packs = pieces_right and agrees(lambda: _branches(model, long, short, whole), allowed)
    return Abilities(steps_right, pieces_right, agrees(padding, STEP_TOLERANCE * allowed), packs)


def _branches(model: HuggingFaceLM, long: Tensor, short: Tensor, whole: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Three continuations of one text, two of which begin alike, packed into one row, beside what they are alone."""
    split = len(short)
    cache: Any = model.forward(long[None, :split], use_cache=True).cache
    if not model.takes_positions or not all(only_grows(each, windows=False) for each in cache.past.layers):
        raise TypeError("a mask of one's own is for caches of keys and values of all tokens")
    lines = [long[split:], long[split:-1], short[:2]]
    found, paths = model.read_branches(cache, [line.tolist() for line in lines])
    alone = _log_probs(model.forward(torch.cat([long[:split], short[:2]])[None]).logits)[0]
    return list(zip([found[path] for path in paths], (whole[split:], whole[split:-1], alone[split:]), strict=True))


_LACKS = (
    "cannot go on from its cache",
    "goes on from its cache rightly only one token at a time",
    "reads padding as text",
)


def _texts(model: HuggingFaceLM) -> tuple[Tensor, Tensor]:
    """Two texts of ordinary tokens, of unlike length; no two tokens of a text are alike where the vocabulary allows."""
    special = set(getattr(model.tokenizer, "all_special_ids", ()))
    special |= {value for name, value in vars(model.model.config).items() if "token" in name and isinstance(value, int)}
    top = model.vocabulary_size if model.tokenizer is None else min(model.vocabulary_size, len(model.tokenizer))
    ordinary = [token for token in range(top) if token not in special][:4096] or list(range(model.vocabulary_size))
    order = torch.randperm(len(ordinary), generator=torch.Generator().manual_seed(0))
    repeated = [ordinary[int(place)] for place in order] * (2 * TOKENS // len(ordinary) + 1)
    length = min(TOKENS, model.context_length or TOKENS)
    ids = torch.tensor(repeated[: length + length // 2 + 1], device=model.device)
    return ids[:length], ids[length:]


def _log_probs(logits: Tensor) -> Float[Tensor, "*positions vocabulary"]:
    return torch.log_softmax(logits.double(), dim=-1)


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
    if dtype in ("8bit", "4bit"):
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
        stored = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
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
    if dtype in ("8bit", "4bit"):
        return str(dtype)
    if dtype is None:
        return torch.float32 if device.type == "cpu" else "auto"
    chosen = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise InputError(f"unknown number type '{dtype}': use float32, bfloat16, float16, float64, 8bit or 4bit")
    return chosen


def _best_device() -> str:
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
