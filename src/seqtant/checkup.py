"""The main job: point every instrument that applies at one language model, and write one report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import seqtant
from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options
from seqtant.errors import InputError, SeqtantError
from seqtant.findings import Result, from_json, to_json
from seqtant.lm.folder import locate
from seqtant.rooms import ROOMS, Room, room
from seqtant.runs.context import Context
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Recorder

DEFAULT_FOLDER = Path("seqtant-checkup")


@dataclass(frozen=True)
class CheckupConfig:
    """What to check, and with which instruments."""

    model: str = "reference"
    """Hugging Face folder, hub name, or ``reference`` for the model that ships."""
    only: tuple[str, ...] = ()
    """Instruments to run; empty runs all that apply."""
    skip: tuple[str, ...] = ()
    """Instruments to leave out."""


def checkup(
    model: str | None = None,
    /,
    *,
    only: Annotated[tuple[str, ...] | None, Parameter(negative="")] = None,
    skip: Annotated[tuple[str, ...] | None, Parameter(negative="")] = None,
    options: Options = DEFAULT,
) -> None:
    """Run every instrument that applies to a causal language model and write one report.

    Parameters
    ----------
    model
        Hugging Face folder, hub name, or 'reference' for the model that ships (default).
    only
        Run this instrument only (may be repeated).
    skip
        Leave this instrument out (may be repeated).
    """
    with_folder = replace(options, out=options.out or DEFAULT_FOLDER)
    execute(CheckupConfig, with_folder, run=run, model=model, only=only, skip=skip)


def run(config: CheckupConfig, context: Context | None = None) -> Result:
    """Runs the checkup.

    Sections that a killed checkup had finished in ``context.folder`` for the same model, seed and version are reused;
    a section that fails says why, and the others go on.

    Args:
        config: The model and the choice of instruments.
        context: Seed, device, folder, progress.

    Returns:
        A composite result: one part per instrument, headline values prefixed with the instrument's name.

    Raises:
        InputError: The model does not exist, an instrument's name is unknown, or no instrument is left.
    """
    context = context or Context()
    rooms = list(_chosen(config))
    print_of_model = fingerprint(config.model)
    with Recorder("checkup", f"Checkup of {config.model}", config, context) as record:
        bar = context.progress.task("checkup", len(rooms))
        for each in rooms:
            section = _section(each, config, context, print_of_model)
            if section is not None:
                record.part(section)
                for name, value in section.values.items():
                    record.value(f"{each.name}_{name}", value)
            bar.advance()
        bar.close()
    if context.folder is not None:
        for mark in context.folder.glob("sections/*/stamp"):
            mark.unlink()
    return record.result


def _chosen(config: CheckupConfig) -> Iterable[Room]:
    for name in (*config.only, *config.skip):
        room(name)
    chosen = [
        each
        for each in ROOMS.values()
        if (not config.only or each.name in config.only)
        and each.name not in config.skip
        and find_spec(f"seqtant.{each.name}.checks")
    ]
    if not chosen:
        raise InputError("no instrument is left to run: widen --only or drop --skip")
    return chosen


def fingerprint(model: str) -> str:
    """Tells models apart without reading their weights: names, sizes and times of a folder's files."""
    folder = locate(model)
    if folder is None:
        return f"{seqtant.__version__}:{model}"
    facts = [(str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(folder.rglob("*"))]
    return f"{seqtant.__version__}:{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"


def _section(each: Room, config: CheckupConfig, context: Context, print_of_model: str) -> Result | None:
    """One instrument's result: the finished one of an earlier, interrupted checkup, or a new one."""
    stamp = f"{print_of_model}:{context.seed}"
    folder = context.folder / "sections" / each.name if context.folder else None
    if folder is not None and (done := _finished(folder, stamp)) is not None:
        context.progress.note(f"{each.name}: taken from the interrupted checkup in {folder.parent.parent}")
        return done
    result = _run_check(each, config, replace(context, folder=folder))
    if folder is not None and result is not None and result.status == "ok":
        write_text(folder / "result.json", to_json(result))
        write_text(folder / "stamp", stamp)
    return result


def _finished(folder: Path, stamp: str) -> Result | None:
    mark = folder / "stamp"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != stamp:
        return None
    return from_json(Result, (folder / "result.json").read_bytes())


def _run_check(each: Room, config: CheckupConfig, context: Context) -> Result | None:
    try:
        return each.door("checks").check(config.model, context)
    except InputError:
        raise
    except (SeqtantError, RuntimeError, ValueError, ArithmeticError, LookupError, OSError) as error:
        reason = f"{each.name} failed: {type(error).__name__}: {' '.join(str(error).split())}"
        with Recorder(f"{each.name}.check", f"{each.name} failed", config, context, papers=each.papers) as record:
            record.warn(reason)
        return replace(record.result, status="failed")
