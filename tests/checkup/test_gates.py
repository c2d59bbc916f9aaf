"""Limits on what a checkup finds, and the exit codes they become."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtant._checkup.gates import findings, judge, read_gates
from seqtant.errors import GateError, InconclusiveError, InputError
from seqtant.findings import Estimate, Finding, Result


def result(instrument: str, **more: object) -> Result:
    return Result(instrument=instrument, title="", id=instrument, created="", config={}, config_hash="", **more)


ACCURACY = Estimate(value=0.9, low=0.85, high=0.95, method="Wilson")
PART = result(
    "subtasks.eval",
    values={"accuracy": 0.9, "steps": 4},
    findings=(Finding(key="a", question="", verdict="agrees", summary="", measured=ACCURACY),),
)
CHECKUP = result("checkup", parts=(PART,))


def gates(tmp_path: Path, text: str):
    path = tmp_path / "gate.yaml"
    path.write_text(text, encoding="utf-8")
    return read_gates(path)


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [
        ("accuracy: {least: 0.8}", "agrees"),
        ("accuracy: {least: 0.85, most: 0.95}", "agrees"),
        ("accuracy: {least: 0.9}", "inconclusive"),
        ("accuracy: {least: 0.96}", "disagrees"),
        ("accuracy: {most: 0.8}", "disagrees"),
        ("steps: {most: 4}", "agrees"),
        ("steps: {most: 3}", "disagrees"),
    ],
)
def test_the_whole_interval_must_lie_within_the_limit(tmp_path: Path, limit: str, verdict: str) -> None:
    (found,) = findings(gates(tmp_path, f"subtasks: {{{limit}}}"), CHECKUP)
    assert found.verdict == verdict


def judged(tmp_path: Path, text: str) -> None:
    found = tuple(findings(gates(tmp_path, text), CHECKUP))
    judge(result("checkup", parts=(PART, result("checkup.gate", findings=found))))


def test_exit_codes(tmp_path: Path) -> None:
    judged(tmp_path, "subtasks: {accuracy: {least: 0.8}}")
    with pytest.raises(GateError, match=r"subtasks\.steps at most 3"):
        judged(tmp_path, "subtasks: {accuracy: {least: 0.9}, steps: {most: 3}}")
    with pytest.raises(InconclusiveError, match=r"accuracy at least 0\.9"):
        judged(tmp_path, "subtasks: {accuracy: {least: 0.9}}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "sets no limits"),
        ("subtasks: 3", "subtasks: write the name"),
        ("subtasks: {accuracy: 0.9}", r"subtasks\.accuracy is 0\.9: write"),
        ("subtasks: {accuracy: {}}", "neither 'least' nor 'most'"),
        ("subtasks: {accuracy: {leest: 1}}", "leest"),
        ("subtask: {accuracy: {least: 1}}", "did you mean 'subtasks'"),
        ("subtasks: {acuracy: {least: 1}}", "did you mean 'accuracy'"),
    ],
)
def test_a_limit_that_cannot_be_held_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        findings(gates(tmp_path, text), CHECKUP)


def test_of_two_models_the_second_is_held_to_the_limits(tmp_path: Path) -> None:
    worse = result("checkup", parts=(result("subtasks.eval", values={"accuracy": 0.1}),))
    both = result("checkup", parts=(CHECKUP, worse))
    (found,) = findings(gates(tmp_path, "subtasks: {accuracy: {least: 0.8}}"), both)
    assert found.verdict == "disagrees"
