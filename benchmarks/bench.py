"""Runs the comparisons of plan.yaml one after the other, each beside its peer in an environment of the peer's own.

    python benchmarks/bench.py [--only NAME ...] [--peers FOLDER] [--tables]

Environments are made once, in .bench/. A peer that cannot be installed is told, its comparison keeps its stored record,
and the others go on. At the end the tables of benchmarks/README.md and README.md are written from the stored records.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import yaml
from tables import write_tables

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent


def environment(name: str, requirements: list[str], folder: Path) -> Path | None:
    """Python of a peer's environment, made if it is not there; None if it cannot be made."""
    place = folder / name
    python, mark = place / "bin" / "python", place / "installed"
    if mark.is_file() and mark.read_text(encoding="utf-8") == "\n".join(requirements):
        return python
    print(f"  installing {', '.join(requirements)} into {place}", flush=True)
    venv.create(place, with_pip=True, clear=True)
    done = subprocess.run([python, "-m", "pip", "install", "-q", *requirements], check=False)
    if done.returncode:
        return None
    mark.write_text("\n".join(requirements), encoding="utf-8")
    return python


def run(comparison: dict[str, Any], peers: dict[str, list[str]], folder: Path) -> str:
    """Runs one comparison; returns what became of it."""
    command = [sys.executable, str(FOLDER / comparison["script"]), *comparison.get("arguments", [])]
    for flag, peer in comparison.get("peers", {}).items():
        python = environment(peer, peers[peer], folder)
        if python is None:
            return f"not run: {peer} could not be installed; its stored record is kept"
        command += [flag, str(python)]
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    taken = time.monotonic() - started
    return f"{'done' if done.returncode == 0 else 'failed: its stored record is kept'}, {taken:.0f} s"


def main() -> int:
    """Runs what was asked for and writes the tables; 1 if a comparison failed."""
    plan = yaml.safe_load((FOLDER / "plan.yaml").read_text(encoding="utf-8"))
    names = [each["name"] for each in plan["comparisons"]]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--peers", type=Path, default=ROOT / ".bench", help="where the peers' environments are")
    parser.add_argument("--tables", action="store_true", help="run nothing, write the tables only")
    chosen = parser.parse_args()
    outcomes = {}
    for each in plan["comparisons"] if not chosen.tables else []:
        if each["name"] in chosen.only:
            print(f"{each['name']}: {each['script']}", flush=True)
            outcomes[each["name"]] = run(each, plan["peers"], chosen.peers.resolve())
    write_tables()
    for name, outcome in outcomes.items():
        print(f"{name:16} {outcome}")
    return int(any(not outcome.startswith("done") for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
