"""Changes one sign, factor, threshold or index of the package at a time, in a copy, and sees whether a test notices.

``python benchmarks/mutations/run.py [FILE[:NAME] ...]`` runs all mutations of the YAML files beside this one, or some,
and keeps what came out in ``benchmarks/results/mutations.json``: the first failing test of those that the mutation
names (doctests, which sit beside the lines, do not count). The source tree is left as it is; a killed run goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "benchmarks" / "results" / "mutations.json"


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One place, made wrong."""

    group: str
    """The YAML file it stands in, usually a package."""
    name: str
    file: str
    """Relative to ``src/seqtant``."""
    what: str
    """What the place decides."""
    before: str
    """Text of the file; it must occur exactly once."""
    after: str
    tests: str
    """What to run, relative to ``tests``, separated by blanks."""

    @property
    def key(self) -> str:
        return f"{self.group}:{self.name}"


def read_mutations() -> Iterator[Mutation]:
    """All mutations, group by group."""
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        for name, fields in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            yield Mutation(group=path.stem, name=name, **fields)


def main(names: list[str]) -> int:
    """Runs the mutations of these groups or names, all by default; 1 if one survives."""
    mutations = list(read_mutations())
    kept: dict[str, Any] = json.loads(RECORD.read_bytes()) if RECORD.is_file() else {}
    for mutation in mutations:
        known = kept.get(mutation.key, {})
        same = (known.get("before"), known.get("after")) == (mutation.before, mutation.after) and known["caught_by"]
        if mutation.group in names or mutation.key in names or (not names and not same):
            kept[mutation.key] = record = try_out(mutation)
            print(mutation.key, record["caught_by"] or "SURVIVED", flush=True)
            RECORD.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    listed = {mutation.key: kept[mutation.key] for mutation in mutations if mutation.key in kept}
    RECORD.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    print(f"{len(listed)} mutations, {sum(not each['caught_by'] for each in listed.values())} survive")
    return int(any(not each["caught_by"] for each in listed.values()))


def try_out(mutation: Mutation) -> dict[str, str]:
    """What notices one mutation."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        skip = shutil.ignore_patterns("__pycache__", ".import_linter_cache")
        for name in ("src", "tests", "docs", "recipes", "examples"):
            shutil.copytree(ROOT / name, folder / name, ignore=skip)
        shutil.copy(ROOT / "pyproject.toml", folder)
        path = folder / "src" / "seqtant" / mutation.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutation.before) != 1:
            raise SystemExit(f"{mutation.key}: {text.count(mutation.before)} places of {mutation.before!r}")
        path.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")
        settings = os.environ | {"PYTHONPATH": str(folder / "src"), "SEQTANT_HOME": str(folder / "home")}
        tests = [f"tests/{each}" for each in mutation.tests.split()]
        options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header"]
        command = [sys.executable, "-m", "pytest", *options, *tests]
        done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    failed = [line.removeprefix("FAILED ").split(" - ")[0] for line in done.stdout.splitlines() if "FAILED " in line]
    if done.returncode not in (0, 1):
        raise SystemExit(f"{mutation.key}: the tests could not be run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return {
        "file": mutation.file,
        "what": mutation.what,
        "before": mutation.before,
        "after": mutation.after,
        "caught_by": next(iter(failed), ""),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
