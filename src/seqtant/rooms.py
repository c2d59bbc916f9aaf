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
        Room("pretraining", "Which texts should share a training example?", (6,)),
        Room("subtasks", "Which steps make a compound task learnable?", (5,)),
        Room("icl", "How many examples must the prompt hold?", (4,)),
        Room("beb", "How long a prompt breaks the alignment?", (3,)),
        Room("steering", "How hard may I steer before the model gets useless?", (1,)),
        Room("ctc", "Can my CTC model have the property I care about?", (2,)),
        Room("quantum", "What is the ground state of this spin lattice?", (9,)),
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
        raise InputError(f"unknown verb '{verb}' of '{name}'{suggest(verb, configs)}: known are {', '.join(configs)}")
    return configs[verb]


def verb_of(config: object) -> tuple[str, str]:
    """The room and verb whose configuration this is.

    Raises:
        InputError: It is no room's configuration.
    """
    parts = type(config).__module__.split(".")
    if len(parts) == 3 and parts[1] in ROOMS and parts[2] == "config":
        for verb, kind in room(parts[1]).door("config").CONFIGS.items():
            if kind is type(config):
                return parts[1], verb
    raise InputError(f"{type(config).__name__} is not the configuration of any instrument")


def dispatch(config: Any, context: Any) -> Any:
    """Runs the instrument that a configuration belongs to: ``seqtant.<room>.instruments.<verb>.run``.

    The import happens here, so that a light verb never pays for the libraries of a heavy one.

    Raises:
        InputError: It is no room's configuration.
    """
    name, verb = verb_of(config)
    return room(name).door(f"instruments.{verb.replace('-', '_')}").run(config, context)
