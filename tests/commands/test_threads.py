"""Advice on threads: given to whom it helps, on the error stream, and to nobody else."""

from __future__ import annotations

import os

import pytest

from seqtant.commands.builder import advice_on_threads, tell_crowded


@pytest.mark.parametrize(
    ("seconds", "chosen", "load", "cores", "told"),
    [
        (60.0, False, 4.0, 2, True),
        (60.0, True, 4.0, 2, False),
        (5.0, False, 4.0, 2, False),
        (60.0, False, 2.0, 2, False),
        (60.0, False, 9.0, 1, False),
    ],
    ids=["crowded", "threads chosen", "short", "our own threads", "one core"],
)
def test_who_is_told(seconds: float, chosen: bool, load: float, cores: int, told: bool) -> None:
    assert bool(advice_on_threads(seconds, chosen=chosen, load=load, cores=cores)) == told


def test_told_on_the_error_stream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (9.0, 0.0, 0.0), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    tell_crowded(60.0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("seqtant: The cores were crowded")
