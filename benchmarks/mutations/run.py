"""Changes one constant of a ``theory.py`` at a time, in a copy, and sees whether a test or a claim notices.

``python benchmarks/mutations/run.py [NAME ...]`` runs all or some and keeps what came out in
``benchmarks/results/mutations.json``: the first failing test of the room's ``test_theory.py`` (doctests, which sit
beside the constants, do not count), and the first claim at scale smoke that is no longer reproduced. The source tree
is left as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "benchmarks" / "results" / "mutations.json"


@dataclass(frozen=True)
class Mutation:
    """One constant of one formula, made wrong."""

    name: str
    room: str
    formula: str
    """What the constant belongs to."""
    before: str
    """Text of ``theory.py``; it must occur exactly once."""
    after: str


MUTATIONS = (
    Mutation("depth-law", "architecture", "optimal depth", "size / (12.0 * math.exp(", "size / (11.0 * math.exp("),
    Mutation("evidence", "beb", "evidence of Theorems 1 and 4", "math.log(4 / eps)", "math.log(3 / eps)"),
    Mutation("mass", "beb", "Theorem 5", "4 * sigma**2 / (beta**2", "2 * sigma**2 / (beta**2"),
    Mutation("delay", "ctc", "delay penalty", "- T // 2).sum()", "- T // 3).sum()"),
    Mutation("hoeffding", "icl", "Lemma 1, refined", "_bound(8.0, threshold", "_bound(4.0, threshold"),
    Mutation("margin", "icl", "Theorem 2, margin", "margin >= 4 * (1", "margin >= 3 * (1"),
    Mutation("degree", "pretraining", "degree of a network", "else 2 * (3**depth - 1)", "else 2 * (3**depth - 2)"),
    Mutation("infinite-chain", "quantum", "energy of the infinite Ising chain", "-2 / math.pi", "-3 / math.pi"),
    Mutation(
        "operations", "quantum", "operations of the network", "2 * kernel**2 + kernel + 1", "2 * kernel**2 + kernel + 2"
    ),
    Mutation(
        "half", "steering", "guarantee of Theorem 1", "_array(strength) / 2 + start", "_array(strength) / 1 + start"
    ),
    Mutation("bell", "steering", "Theorem 2", "_array(strength) ** 2 / 2)", "_array(strength) ** 2 / 3)"),
    Mutation("signal", "subtasks", "variance of gradients", "return 4 * gradient_square", "return 2 * gradient_square"),
)


def main(names: list[str]) -> int:
    """Runs the mutations of these names, all by default; 1 if one survives."""
    kept: dict[str, Any] = json.loads(RECORD.read_bytes()) if RECORD.is_file() else {}
    for mutation in MUTATIONS:
        if not names or mutation.name in names:
            kept[mutation.name] = record = try_out(mutation)
            print(mutation.name, record["caught_by"] or "SURVIVED", flush=True)
    listed = {mutation.name: kept[mutation.name] for mutation in MUTATIONS if mutation.name in kept}
    RECORD.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    return int(any(not each["caught_by"] for each in listed.values()))


def try_out(mutation: Mutation) -> Mapping[str, Any]:
    """What notices one mutation."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        copy(folder)
        change(folder / "src" / "seqtant" / mutation.room / "theory.py", mutation)
        test, claim = failing_test(folder, mutation.room), failing_claim(folder, mutation.room)
    seen = {"room": mutation.room, "formula": mutation.formula, "before": mutation.before, "after": mutation.after}
    return seen | {"first_failing_test": test, "first_failing_claim": claim, "caught_by": test or claim}


def copy(folder: Path) -> None:
    """The package and the tests without what they do not need."""
    skip = shutil.ignore_patterns("__pycache__", ".import_linter_cache")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", folder)


def change(path: Path, mutation: Mutation) -> None:
    """Makes the constant wrong."""
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.before) != 1:
        raise SystemExit(f"{mutation.name}: {text.count(mutation.before)} places of {mutation.before!r} in {path.name}")
    path.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")


def run(folder: Path, *arguments: str) -> str:
    """What a command prints that runs in the copy."""
    settings = os.environ | {"PYTHONPATH": str(folder / "src"), "SEQTANT_HOME": str(folder / "home")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False).stdout


def failing_test(folder: Path, room: str) -> str:
    """The first test that fails; empty if none does."""
    tests = f"tests/{room}/test_theory.py"
    printed = run(folder, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", tests)
    return next(_after("FAILED ", printed), "")


def failing_claim(folder: Path, room: str) -> str:
    """The first claim that is no longer reproduced; empty if none is. Nothing is taken from kept records."""
    empty = folder / "empty"
    empty.mkdir()
    printed = run(
        folder, "-m", "seqtant", "claims", "check", "--room", room, "--format", "json", "--records", str(empty)
    )
    failed = [entry["check"]["claim"]["id"] for entry in json.loads(printed) if entry["failed"]]
    return next((id for id in failed if id not in KNOWN_MISSES), "")


KNOWN_MISSES = frozenset({"paper3.section4.guard_delay.anti_immigration"})
"""Claims that are not reproduced as it is."""


def _after(start: str, printed: str) -> Iterator[str]:
    return (line.removeprefix(start).split(" - ")[0] for line in printed.splitlines() if line.startswith(start))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
