"""Runs what the claims need and no kept record holds, and keeps it beside this file, one array of records a package.

``python results/claims/write_records.py cpu [PACKAGE ...]``, by default for all packages. Records are kept without
their tables and raw rows, which no claim reads; ``seqtant claims check --force`` makes the whole runs again. Remove a
package's file to renew it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seqtant.experiments.claims import Entry, check_claims, read_claims
from seqtant.experiments.records import Records
from seqtant.findings import Result, to_json
from seqtant.packages import PACKAGES
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Context
from seqtant.runs.store import Store

FOLDER = Path(__file__).parent


def slim(result: Result) -> dict[str, Any]:
    """A record with the headline numbers, findings and provenance only."""
    return json.loads(to_json(replace(result, tables=(), measurements=(), claims=(), artifacts=())))


def keep(entries: Iterable[Entry], store: Store) -> Mapping[str, int]:
    """Adds the new runs to the files of their packages; says how many each gained."""
    new: defaultdict[str, dict[str, Result]] = defaultdict(dict)
    for entry in entries:
        if entry.run and not entry.stored:
            result = store.load(entry.run)
            new[result.package][result.id] = result
    for package, results in new.items():
        path = FOLDER / f"{package}.json"
        old = json.loads(path.read_bytes()) if path.is_file() else []
        records = sorted([*old, *map(slim, results.values())], key=lambda each: each["id"])
        write_text(path, "[\n" + ",\n".join(json.dumps(each, ensure_ascii=False) for each in records) + "\n]\n")
    return {package: len(results) for package, results in new.items()}


def main(scale: Any, packages: Sequence[str]) -> None:
    """Package by package, so that what was run is kept even if a later package ends in an error."""
    with tempfile.TemporaryDirectory() as home:
        store = Store(Path(home) / "runs.sqlite")
        for package in packages:
            context = Context(device="cpu", command="python results/claims/write_records.py")
            entries = check_claims(
                read_claims(only=package), context, store, records=Records(FOLDER.parent), scale=scale
            )
            sys.stdout.write(f"{package}: {sum(keep(entries, store).values())} new runs\n")
            for entry in entries:
                if entry.failed:
                    sys.stdout.write(f"  {entry.check.claim.id}: {entry.check.observed} {entry.reason}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or list(PACKAGES))
