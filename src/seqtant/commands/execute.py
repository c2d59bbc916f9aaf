"""From flags to a delivered result: resolve, run, save, print, exit code. The only path a command takes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any

from seqtant.commands.options import Options
from seqtant.commands.terminal import TerminalProgress, tell_crowded
from seqtant.errors import GateError, InconclusiveError
from seqtant.findings import Result, to_json
from seqtant.instruments import run, write_report
from seqtant.runs.context import Context
from seqtant.settings import resolve
from seqtant.settings_text import to_yaml


def execute(config_type: type[Any], options: Options, **flags: Any) -> Result | None:
    """Runs one instrument for one command, whose own ``flags`` are None where they were not given.

    Raises:
        InputError: The configuration does not fit, or the output cannot be written.
        GateError: The run failed, or a published claim was not reproduced.
        InconclusiveError: Something was measured, and nothing of it allows a verdict.
    """
    config = resolve(config_type, preset_name=options.preset, file=options.config, flags=flags, assignments=options.set)
    if options.print_config:
        print(to_yaml(config), end="")
        return None
    from seqtant.report.terminal import print_result
    from seqtant.runs.files import make_folder, write_text
    from seqtant.runs.store import Store

    # Fails before the work where its result could not be kept; work that fails leaves no empty folder.
    Store()
    folder = options.out
    is_new = folder is not None and not folder.exists()
    if folder is not None:
        make_folder(folder)
    try:
        with TerminalProgress() as progress:
            seed, device, command = options.seed, options.device, command_line(sys.argv[1:])
            context = Context(seed=seed, device=device, folder=folder, progress=progress, command=command)
            result = run(config, context)
    except BaseException:
        if is_new and folder is not None and not any(folder.iterdir()):
            folder.rmdir()
        raise
    page = None
    try:
        Store().save(result)
        if folder is not None:
            write_text(folder / "result.json", to_json(result, indent=1))
            page = write_report([result], folder / "report.html")
    finally:
        # The numbers were paid for: they are printed even where they cannot be kept.
        if options.json:
            print(to_json(result))
        else:
            print_result(result, page=page)
    tell_crowded(result.wall_seconds)
    judge(result)
    return result


def command_line(arguments: Sequence[str]) -> str:
    """The command as a person would type it."""
    return shlex.join(["seqtant", *arguments])


def judge(result: Result) -> None:
    """Turns a delivered result into the exit code of its command; returns where all is well.

    Raises:
        GateError: The run or a part of it failed, or a published claim was not reproduced.
        InconclusiveError: Something was measured, and nothing of it allows a verdict.
    """
    failed = [each.instrument for each in result.walk() if each.status == "failed"]
    if failed:
        raise GateError(f"failed: {', '.join(failed)}")
    missed = [check.claim.id for each in result.walk() for check in each.claims if check.verdict == "not reproduced"]
    if missed:
        raise GateError(f"not reproduced: {', '.join(missed)}")
    measured = [finding for each in result.walk() for finding in each.findings if finding.measured is not None]
    if measured and all(finding.verdict == "inconclusive" for finding in measured):
        raise InconclusiveError(f"inconclusive: {measured[0].summary}")
