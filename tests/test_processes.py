"""Measurements shared among processes: the numbers of one, from a part of its passes each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
WORKER = Path(__file__).with_name("measuring_worker.py")


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [*map(str, command)], check=check, capture_output=True, text=True, timeout=300, env=environment
    )


def test_two_processes_read_half_of_the_batches_each_and_both_know_all_scores(tmp_path: Path) -> None:
    run(sys.executable, WORKER, tmp_path / "alone")
    run(*LAUNCH, WORKER, tmp_path / "shared")
    alone = json.loads((tmp_path / "alone0.json").read_text())
    both = [json.loads((tmp_path / f"shared{rank}.json").read_text()) for rank in (0, 1)]
    for each in both:
        assert each["scores"] == alone["scores"]
    for kind, passes in alone["passes"].items():
        assert sorted(each["passes"][kind] for each in both) == [passes // 2, passes - passes // 2], kind


def test_what_fails_on_one_process_fails_on_all_with_its_message(tmp_path: Path) -> None:
    ended = run(*LAUNCH, WORKER, tmp_path / "shared", "fail", check=False)
    assert ended.returncode != 0
    said = [(tmp_path / f"shared{rank}.txt").read_text() for rank in (0, 1)]
    assert said == ["no number in batch 3: mend it"] * 2


@pytest.mark.parametrize(
    "verb",
    [
        ["icl", "shots", "reference", "--preset", "smoke"],
        ["beb", "measure", "reference", "--preset", "smoke"],
    ],
    ids=lambda verb: "-".join(verb[:2]),
)
def test_a_command_on_two_processes_prints_the_numbers_of_one(verb: list[str]) -> None:
    arguments = ["-m", "seqtant", *verb, "--device", "cpu", "--json"]
    alone, shared = (json.loads(run(*launch, *arguments).stdout) for launch in ([sys.executable], LAUNCH))
    assert shared["values"] == alone["values"]
    assert shared["findings"] == alone["findings"]
