"""One instrument's part of a checkup: run it, keep it, take it up again, or say why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from seqtant.checkup.config import CheckupConfig
from seqtant.errors import MissingExtraError, NothingToSayError, SeqtantError
from seqtant.findings import Result, from_json, to_json
from seqtant.rooms import ROOMS, Room
from seqtant.runs.context import Context
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Recorder

ORDER = ("architecture", "pretraining", "icl", "beb", "steering", "subtasks")
"""What is asked of a language model, from what it is to what it can be made to do."""


@dataclass(frozen=True)
class Unasked:
    """An instrument that had nothing to say."""

    room: Room
    reason: str
    """What to give, or what is missing."""


def chosen(config: CheckupConfig) -> list[Room]:
    """The instruments to run, in order."""
    wanted = [name for name in ORDER if (not config.only or name in config.only) and name not in config.skip]
    return [ROOMS[name] for name in wanted]


def section(
    room: Room, config: CheckupConfig, inputs: Mapping[str, Any], context: Context, stamp: str
) -> Result | Unasked:
    """One instrument's result: the finished one of an earlier, interrupted checkup, or a new one.

    Args:
        room: The instrument's room.
        config: The checkup's configuration, of one model.
        inputs: What rooms are given besides the model.
        context: Its ``folder`` is the checkup's.
        stamp: Changes with the model, the seed and the inputs.
    """
    folder = context.folder / "sections" / room.name if context.folder else None
    if folder is not None:
        mark = folder / "stamp"
        if mark.is_file() and mark.read_text(encoding="utf-8") == stamp:
            context.progress.note(f"{room.name}: taken from the interrupted checkup in {context.folder}")
            return from_json(Result, (folder / "result.json").read_bytes())
    found = _ask(room, config, inputs, replace(context, folder=folder, command=""))
    if folder is not None and isinstance(found, Result) and found.status == "ok":
        write_text(folder / "result.json", to_json(found))
        write_text(folder / "stamp", stamp)
    return found


def _ask(room: Room, config: CheckupConfig, inputs: Mapping[str, Any], context: Context) -> Result | Unasked:
    try:
        return room.door("checks").check(config.model, context, **inputs)
    except (NothingToSayError, MissingExtraError) as reason:
        return Unasked(room, str(reason))
    except (SeqtantError, RuntimeError, ValueError, ArithmeticError, LookupError, OSError) as error:
        kind = "" if isinstance(error, SeqtantError) else f"{type(error).__name__}: "
        reason = f"{room.name} failed: {kind}{' '.join(str(error).split())}"
        with Recorder(f"{room.name}.check", f"{room.name} failed", config, context, papers=room.papers) as record:
            record.warn(reason)
        return replace(record.result, status="failed")
