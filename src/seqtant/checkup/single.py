"""The checkup of one model: every instrument that applies, one after the other, and what is known beside it."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from seqtant.checkup import stamps
from seqtant.checkup.calibration import record_calibration
from seqtant.checkup.config import CheckupConfig
from seqtant.checkup.inputs import Inputs, gather
from seqtant.checkup.sections import Unasked, chosen, section
from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.lm.folder import check_folder, locate, name_of
from seqtant.lm.loading import loaded_once
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


def check_model(config: CheckupConfig, context: Context) -> Result:
    """Runs the checkup of ``config.model``.

    Sections that a killed checkup had finished in ``context.folder`` for the same model, seed, files and version are
    reused; a section that fails says why, and the others go on.

    Returns:
        A composite result: one part per instrument, headline values prefixed with the instrument's name.

    Raises:
        InputError: The model does not exist, a file of the user's cannot be read, or no instrument is left.
    """
    rooms = chosen(config)
    if not rooms:
        raise InputError("no instrument is left to run: widen --only or drop --skip")
    _check_there(config.model, [room.name for room in rooms])
    with ExitStack() as stack:
        record = stack.enter_context(Recorder("checkup", f"Checkup of {name_of(config.model)}", config, context))
        stack.enter_context(loaded_once())
        inputs = _inputs(config, context, stack)
        stamp = f"{stamps.of_model(config.model)}:{context.seed}:{inputs.stamp}:{config.budget}"
        bar = context.progress.task("checkup", len(rooms))
        parts: list[tuple[str, Result]] = []
        unasked: list[Unasked] = []
        for room in rooms:
            found = section(room, config, {"budget": config.budget, **inputs.given}, context, stamp)
            if isinstance(found, Unasked):
                unasked.append(found)
            else:
                parts.append((room.name, found))
            bar.advance()
        bar.close()
        for name, part in parts:
            _add(record, name, part)
        _record_unasked(record, unasked)
        record_calibration(record, config.model, parts)
    if context.folder is not None:
        for mark in context.folder.glob("sections/*/stamp"):
            mark.unlink()
    return record.result


def _check_there(model: str, rooms: list[str]) -> None:
    """Fails once instead of in every section; the shape alone can be read off a folder without weights."""
    folder = locate(model)
    if folder is not None and rooms != ["architecture"]:
        check_folder(folder)


def _inputs(config: CheckupConfig, context: Context, stack: ExitStack) -> Inputs:
    folder = context.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seqtant-")))
    return gather(folder / "inputs", behavior=config.behavior, tasks=config.tasks, corpus=config.corpus)


def _add(record: Recorder, name: str, found: Result) -> None:
    record.part(found)
    for key, value in found.values.items():
        record.value(f"{name}_{key}", value)


def _record_unasked(record: Recorder, unasked: list[Unasked]) -> None:
    if unasked:
        record.table(
            "unasked",
            "Not asked",
            ("instrument", "question", "what it needs"),
            [(each.room.name, each.room.question, each.reason) for each in unasked],
        )
