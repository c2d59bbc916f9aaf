"""``seqtant checkup``: the main job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from seqtant._checkup.config import CheckupConfig
from seqtant.commands.builder import build_command
from seqtant.commands.options import Options
from seqtant.errors import InputError
from seqtant.findings import Result

DEFAULT_FOLDER = Path("seqtant-checkup")


def _prepare(given: dict[str, Any], options: Options) -> Options:
    if given.get("model") is not None and given.get("compare"):
        raise InputError(f"both '{given['model']}' and --compare are given: name one model, or two behind --compare")
    return replace(options, out=options.out or DEFAULT_FOLDER)


def _finish(result: Result) -> int:
    from seqtant._checkup.gates import judge

    judge(result)
    return 0


checkup = build_command(
    "checkup",
    CheckupConfig,
    "model / compare behavior tasks corpus budget gate only skip",
    prepare=_prepare,
    finish=_finish,
)
