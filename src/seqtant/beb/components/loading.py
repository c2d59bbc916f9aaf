"""Opens the sides of a study: folders, adapters, system prompts, and the reference world's exact personas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seqtant.beb.components.adapters import adapted, base_of, is_adapter
from seqtant.beb.components.system_prompt import SystemPromptLM
from seqtant.beb.prompts.retokenize import share_words
from seqtant.errors import InputError
from seqtant.lm.folder import REFERENCE
from seqtant.lm.interface import CausalLM
from seqtant.lm.loading import load
from seqtant.lm.text import encode

WORLD = "world"
"""The reference world's exact probabilities; ``world:a,b`` are those of some of its personas."""


@dataclass(frozen=True)
class Side:
    """Where one side comes from."""

    source: str
    """Model folder, hub name, adapter folder, ``reference``, ``world`` or ``world:persona,...``."""
    system: str = ""
    """Text in front of everything it reads."""


def of_reference(source: str) -> bool:
    """Whether a side speaks the reference world's words."""
    return source == REFERENCE or source.partition(":")[0] == WORLD


def open_sides(
    sides: Mapping[str, Side], *, device: str, dtype: str | None, one_tokenizer: bool = True
) -> dict[str, CausalLM]:
    """Opens sides by name; models that several of them use are loaded once.

    Args:
        sides: Name -> where it comes from.
        device: As for :func:`seqtant.lm.loading.load`.
        dtype: As for :func:`seqtant.lm.loading.load`.
        one_tokenizer: Whether the sides must share one.

    Returns:
        Name -> model.

    Raises:
        InputError: A side cannot be opened, or the sides do not share one tokenizer where they must.
    """
    sources = list(dict.fromkeys(side.source for side in sides.values()))
    adapters = [source for source in sources if is_adapter(source)]
    opened: dict[str, CausalLM] = {
        source: world_side(source) for source in sources if source.partition(":")[0] == WORLD
    }
    plain = [source for source in sources if source not in opened and source not in adapters]
    bases = {_key(source): source for source in [*plain, *map(base_of, adapters)]}
    for key, base in bases.items():
        mine = {source: source for source in adapters if _key(base_of(source)) == key}
        loaded = load(base, device=device, dtype=dtype, shared=not mine)  # adapters change the network
        made = adapted(loaded, {_name(source): source for source in mine})
        opened |= {source: made[_name(source)] for source in mine}
        opened |= {source: made[None] for source in plain if _key(source) == key}
    models = {name: _with_system(opened[side.source], side.system) for name, side in sides.items()}
    if one_tokenizer:
        same_words(models)
    return models


def _key(source: str) -> str:
    folder = Path(source).expanduser()
    return str(folder.resolve()) if folder.is_dir() else source


def _name(source: str) -> str:
    """A name PEFT accepts: module names hold no dots."""
    return _key(source).replace(".", "_")


def world_side(source: str) -> CausalLM:
    """The reference world, or the part of its talks that some personas speak.

    Raises:
        InputError: There is no such persona.

    Example:
        >>> world_side("world:gloomy").name
        'world:gloomy'
    """
    from seqtant.reference import WorldLM, reference_world

    _, _, personas = source.partition(":")
    names = [name.strip() for name in personas.split(",") if name.strip()]
    if ":" in source and not names:
        raise InputError(f"'{source}' names no persona: write e.g. world:gloomy,grumpy")
    return WorldLM(reference_world().component("talk", *names), name=source)


def _with_system(model: CausalLM, system: str) -> CausalLM:
    return SystemPromptLM(model, encode(model, [system], start=False)[0]) if system else model


def same_words(models: Mapping[str, CausalLM]) -> None:
    """Refuses sides that do not read the same token ids the same way.

    Raises:
        InputError: Vocabularies, tokenizers or first tokens differ.
    """
    (first_name, first), *others = models.items()
    for name, model in others:
        if not share_words(first, model):
            raise InputError(
                f"{first_name} ('{first.name}') and {name} ('{model.name}') have different tokenizers: only 'beb "
                "measure' and 'beb curve' can compare texts; use sides made from the same base model"
            )
