"""Progress goes to stderr, shows what it is told, and keeps quiet where nobody watches."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from seqtant.commands import builder as module
from seqtant.commands.builder import TerminalProgress
from seqtant.progress import track


def test_nothing_but_notes_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress() as progress:
        assert list(track(range(3), progress, "counting")) == [0, 1, 2]
        progress.note("a long note about [/nothing] " * 8)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "a long note about [/nothing] " * 8 + "\n"


def test_a_bar_shows_task_count_and_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        module, "Console", lambda stderr: Console(file=screen, force_terminal=True, color_system=None, width=100)
    )
    with TerminalProgress() as progress:
        bar = progress.task("training [x]", 4)
        bar.advance(3)
        bar.show(loss=0.123456)
        progress.note("halfway")
        progress._bars.refresh()
        bar.close()
    shown = screen.getvalue()
    for words in ("training [x]", "3/4", "loss 0.1235", "halfway"):
        assert words in shown
