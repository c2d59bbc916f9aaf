"""Opens the components of a mixture: folders, adapters, models in memory, system prompts, personas of the world."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.beb.components.adapters import adapted
from seqtant.beb.prompts.divergence import same_tokenizer
from seqtant.errors import InputError
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import CausalLM, Keep, LMOutput, encode, kept_positions
from seqtant.lm.loading import load
from seqtant.sources import REFERENCE, ModelSource, base_of, is_adapter, is_path

WORLD = "world"
"""The reference world's exact probabilities; ``world:a,b`` are those of some of its personas."""


@dataclass(frozen=True)
class Component:
    """Where one component comes from."""

    source: ModelSource
    """Model folder, hub name, adapter folder, ``reference``, ``world``, ``world:persona,...``, or a model in memory."""
    system: str = ""
    """Text in front of everything it reads."""
    base: ModelSource | None = None
    """The model that an adapter folder belongs to; None takes the one that the folder names."""


def known_name(source: ModelSource | None) -> str:
    """Tells what the reference world knows of a source: ``reference``, ``world`` or ``world:persona,...``; else empty.

    Models in memory are known by the name that they were opened under.
    """
    name = str(source if is_path(source) else getattr(source, "name", ""))
    return name if name == REFERENCE or name.partition(":")[0] == WORLD else ""


def load_to_change(source: ModelSource, *, device: str, dtype: str | None = None) -> HuggingFaceLM:
    """Loads a model whose network will be given adapters; one in memory is copied and stays as it is."""
    loaded: CausalLM = load(source, device=device, dtype=dtype)
    if not isinstance(loaded, HuggingFaceLM):
        raise InputError(f"'{loaded.name}' has no weights to fit P- and P+ on: give a transformers model")
    if is_path(source):
        return loaded
    return loaded.with_network(copy.deepcopy(loaded.model))


def open_components(
    components: Mapping[str, Component], *, device: str, dtype: str | None, one_tokenizer: bool = True
) -> dict[str, CausalLM]:
    """Opens components by name; models that several of them use are loaded once.

    Args:
        components: Name -> where it comes from.
        device: As for :func:`seqtant.lm.loading.load`.
        dtype: As for :func:`seqtant.lm.loading.load`.
        one_tokenizer: Whether all must share one.

    Returns:
        Name -> model.

    Raises:
        InputError: One cannot be opened, or they do not share one tokenizer where they must.
    """

    def key(source: ModelSource) -> str:
        if not is_path(source):  # (model, tokenizer) may be written down twice
            return f"in memory {[id(part) for part in (source if isinstance(source, tuple) else (source,))]}"
        folder = Path(source).expanduser()
        return str(folder.resolve()) if folder.is_dir() else str(source)

    # The world, plain models and adapters are opened in three ways.
    sources = {key(one.source): one.source for one in components.values()}
    bases_of = {
        key(one.source): base_of(one.source) if one.base is None else one.base
        for one in components.values()
        if is_path(one.source) and is_adapter(one.source)
    }
    opened: dict[str, CausalLM] = {
        name: world_component(str(source))
        for name, source in sources.items()
        if is_path(source) and str(source).partition(":")[0] == WORLD
    }
    plain = {name: source for name, source in sources.items() if name not in opened and name not in bases_of}
    # Each base is loaded once, however many adapters and components name it, by whatever path.
    for name, base in (plain | {key(base): base for base in bases_of.values()}).items():
        # Adapters are named by their folders; PEFT makes modules of these names, which hold no dots.
        modules = {each: each.replace(".", "_") for each, owner in bases_of.items() if key(owner) == name}
        if modules:
            loaded = load_to_change(base, device=device, dtype=dtype)
        else:
            loaded = load(base, device=device, dtype=dtype, shared=True)
        made = adapted(loaded, {module: str(sources[each]) for each, module in modules.items()})
        opened |= {each: made[module] for each, module in modules.items()}
        if name in plain:
            opened[name] = made[None]
    models: dict[str, CausalLM] = {}
    for name, one in components.items():
        model = opened[key(one.source)]
        models[name] = SystemPromptLM(model, encode(model, [one.system], start=False)[0]) if one.system else model
    if one_tokenizer:
        check_same_tokenizer(models)
    return models


def world_component(source: str) -> CausalLM:
    """Opens the reference world, or the part of its talks that some personas speak."""
    from seqtant.reference import WorldLM, reference_world

    _, _, personas = source.partition(":")
    names = [name.strip() for name in personas.split(",") if name.strip()]
    if ":" in source and not names:
        raise InputError(f"'{source}' names no persona: write e.g. world:gloomy,grumpy")
    return WorldLM(reference_world().component("talk", *names), name=source)


def check_same_tokenizer(models: Mapping[str, CausalLM]) -> None:
    """Refuses models that do not read the same token ids the same way."""
    (first_name, first), *others = models.items()
    for name, model in others:
        if not same_tokenizer(first, model):
            raise InputError(
                f"{first_name} ('{first.name}') and {name} ('{model.name}') have different tokenizers: only 'beb "
                "measure' and 'beb curve' can compare texts; use sides made from the same base model"
            )


@dataclass(frozen=True)
class _PrefixCache:
    """A cache of the inner model that already holds the system prompt."""

    inner: Any


class SystemPromptLM(CausalLM):
    """The conditional distribution of a model after a system prompt, as a model of its own.

    The system prompt is read once and shared by all rows through the cache. Where sequences begin with the
    beginning-of-sequence token, it stands right after that.

    Args:
        model: The model that reads it.
        system: Token ids of the system prompt, without beginning-of-sequence token.

    Raises:
        InputError: The system prompt is empty or too long.

    Example:
        >>> from seqtant.lm import MarkovLM, token_log_probs
        >>> chain = MarkovLM([[0.9, 0.1], [0.2, 0.8]], bos_id=0)
        >>> token_log_probs(SystemPromptLM(chain, [1]), [[0, 1]])[0].exp()
        tensor([0.8000], dtype=torch.float64)
    """

    def __init__(self, model: CausalLM, system: Sequence[int]) -> None:
        if not system:
            raise InputError("the system prompt is empty: leave it out")
        self.inner = model
        self.name = f"{model.name} with a system prompt"
        self.vocabulary_size, self.tokenizer, self.device = model.vocabulary_size, model.tokenizer, model.device
        self.bos_id, self.eos_id, self.pad_id = model.bos_id, model.eos_id, model.pad_id
        self.context_length = None if model.context_length is None else model.context_length - len(system)
        if self.context_length is not None and self.context_length < 2:
            raise InputError(
                f"a system prompt of {len(system)} tokens leaves no room: '{model.name}' reads {model.context_length}"
            )
        # Read once, batch of one; every row of a later batch begins with a copy of this cache.
        start = [] if model.bos_id is None else [model.bos_id]
        ids = torch.tensor([[*start, *system]], device=model.device)
        with torch.no_grad():
            self._read = model.forward(ids, keep=1, use_cache=True)

    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: _PrefixCache | None = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`."""
        if cache is not None:
            # A cache of ours has the system prompt in it: nothing to add.
            output = self.inner.forward(input_ids, attention_mask, cache=cache.inner, keep=keep, use_cache=use_cache)
            return LMOutput(output.logits, _PrefixCache(output.cache) if use_cache else None)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        # Where each row's own beginning-of-sequence token stands, at most one per row.  # [batch, time]
        first = (mask != 0) & (mask.cumsum(dim=1) == 1)
        begins = torch.zeros_like(first) if self.bos_id is None else first & (input_ids == self.bos_id)
        rows = torch.zeros(input_ids.shape[0], dtype=torch.long, device=input_ids.device)
        inner = self.inner.select_rows(self._read.cache, rows)
        # That token is masked, since the cache holds one already; what follows it follows the system prompt.
        output = self.inner.forward(input_ids, mask * ~begins, cache=inner, keep=keep, use_cache=use_cache)
        kept = kept_positions(keep, input_ids.shape[1], input_ids.device)
        after_system = self._read.logits[:, -1:].to(output.logits)  # [1, 1, vocabulary]
        logits = torch.where(begins[:, kept, None], after_system, output.logits)
        return LMOutput(logits, _PrefixCache(output.cache) if use_cache else None)

    def select_rows(self, cache: _PrefixCache, rows: Int[Tensor, " selected"]) -> _PrefixCache:
        """See :meth:`CausalLM.select_rows`."""
        return _PrefixCache(self.inner.select_rows(cache.inner, rows))
