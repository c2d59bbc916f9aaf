"""The one table of rooms: what each answers and where its doors are. Command line, docs, claims and tests read it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from seqtant.errors import InputError, suggest


@dataclass(frozen=True)
class Room:
    """One subject of the house."""

    name: str
    """Package and command group, e.g. ``architecture``."""
    question: str
    """What a user asks it."""
    papers: tuple[int, ...]
    """Numbers in the paper index."""

    def door(self, module: str) -> Any:
        """Imports one of the room's modules, e.g. ``door("instrument")``."""
        return import_module(f"seqtant.{self.name}.{module}")


ROOMS: dict[str, Room] = {
    room.name: room
    for room in (
        Room("architecture", "How deep, how wide? Is the vocabulary choking the width?", (7, 8)),
    )
}


def room(name: str) -> Room:
    """Looks a room up by name.

    Raises:
        InputError: There is no such room.

    Example:
        >>> room("architecture").papers
        (7, 8)
    """
    if name not in ROOMS:
        raise InputError(f"unknown instrument '{name}'{suggest(name, ROOMS)}: known are {', '.join(ROOMS)}")
    return ROOMS[name]


def config_type(instrument: str) -> type:
    """The configuration class of an instrument such as ``"architecture.plan"``.

    Raises:
        InputError: There is no such room or verb.
    """
    name, _, verb = instrument.partition(".")
    configs: dict[str, type] = room(name).door("config").CONFIGS
    if verb not in configs:
        raise InputError(
            f"unknown verb '{verb}' of '{name}'{suggest(verb, configs)}: known are {', '.join(configs)}"
        )
    return configs[verb]
