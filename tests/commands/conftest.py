"""The command line with the demo package in it, called as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cyclopts import App

from seqtant import cli
from seqtant.commands.builder import build_group


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    error: str


Call = Callable[..., Done]


@pytest.fixture
def call(
    demo_package: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Runs ``seqtant`` with some arguments in an empty folder."""
    app = App(name="seqtant")
    app.command(build_group("demo", {"pendulum": "length angle"}), name="demo")
    for name in ("runs", "claims", "recipe"):
        app.command(f"seqtant.commands.{name}:app", name=name)
    for name in ("report", "cite", "env"):
        app.command(f"seqtant.commands.about:{name}", name=name)
    monkeypatch.setattr(cli, "app", app)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["seqtant", *arguments])
        code = cli.call(arguments)
        return Done(code, *capsys.readouterr())

    return run
