"""From flags to a delivered result: resolve, run, save, print, exit code. The only path a command takes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seqtant.commandline.options import Options
from seqtant.commandline.progress import TerminalProgress
from seqtant.findings import Result, to_json
from seqtant.rooms import room
from seqtant.runs.context import Context
from seqtant.settings import resolve, to_yaml


def execute(
    config_type: type[Any],
    options: Options,
    *,
    run: Callable[[Any, Context], Result] | None = None,
    **flags: Any,
) -> Result | None:
    """Runs one instrument for one command.

    Args:
        config_type: The command's configuration class.
        options: The shared flags.
        run: The instrument; by default the ``run`` of the room that the configuration class lives in.
        **flags: The command's own flags; None means not given.

    Raises:
        InputError: The configuration does not fit.
    """
    config = resolve(
        config_type, preset_name=options.preset, file=options.config, flags=flags, assignments=options.set
    )
    if options.print_config:
        print(to_yaml(config), end="")
        return None
    run = run or room(config_type.__module__.split(".")[1]).door("instrument").run
    with TerminalProgress() as progress:
        context = Context(
            seed=options.seed,
            device=options.device,
            folder=options.out,
            progress=progress,
            command=command_line(sys.argv[1:]),
        )
        result = run(config, context)
    deliver(result, options)
    return result


def command_line(arguments: Sequence[str]) -> str:
    """The command as a person would type it."""
    return shlex.join(["seqtant", *arguments])


def deliver(result: Result, options: Options) -> None:
    """Stores a result, writes its files, and prints it to the terminal or as JSON."""
    from seqtant.runs.store import Store

    Store().save(result)
    page = write_files(result, options.out) if options.out is not None else None
    if options.json:
        print(to_json(result))
        return
    from seqtant.report.terminal import print_result

    print_result(result, page=page)


def write_files(result: Result, folder: Path) -> Path:
    """Writes ``result.json`` and ``report.html`` into a folder, each whole or not at all.

    Returns:
        The path of the page.
    """
    from seqtant.report.page import write_page
    from seqtant.runs.files import write_text

    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "result.json", to_json(result, indent=1))
    return write_page([result], folder / "report.html")
