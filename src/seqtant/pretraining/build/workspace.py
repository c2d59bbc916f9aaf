"""Where the stages of a build keep what they made: named by what went into it, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqtant.errors import InputError
from seqtant.runs.files import make_folder, whole_file, write_text

MANIFEST = "manifest.json"


class Workspace:
    """A folder of artifacts.

    An artifact's name holds the hash of its stage, the settings of the stage and the names of what it was made from, so
    that one that is there is the right one: a run that was killed goes on where it stopped.

    Args:
        folder: Made if it is not there; left-overs of killed runs are removed.

    Example:
        >>> import tempfile
        >>> place = Workspace(Path(tempfile.mkdtemp()))
        >>> path = place.once("double", {"of": 21}, ".txt", lambda path: path.write_text("42"))
        >>> path.read_text(), path == place.path("double", {"of": 21}, ".txt")
        ('42', True)
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.folder = folder
        self.seconds: dict[str, float] = defaultdict(float)
        for left in folder.rglob(".*.partial"):
            if not _alive(left):
                left.unlink(missing_ok=True)

    def path(self, stage: str, inputs: dict[str, Any], suffix: str) -> Path:
        """Where an artifact lies, or would."""
        text = json.dumps({"stage": stage, **inputs}, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return self.folder / "stages" / stage / (hashlib.sha256(text.encode()).hexdigest()[:16] + suffix)

    def once(self, stage: str, inputs: dict[str, Any], suffix: str, make: Callable[[Path], object]) -> Path:
        """Makes an artifact if it is not there yet.

        Args:
            stage: Name of the stage.
            inputs: All that the artifact depends on, as plain JSON data.
            suffix: Ending of the file's name.
            make: Writes it to the path it is given.
        """
        path = self.path(stage, inputs, suffix)
        with self.timed(stage):
            write_once(path, make)
        return path

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the wall time of what is done inside to the seconds of a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started

    def demand_same_inputs(self, fingerprints: dict[str, str]) -> None:
        """Refuses a folder whose manifest was written for other inputs.

        Raises:
            InputError: An input has changed, came or went since then.
        """
        path = self.folder / MANIFEST
        before = read_manifest(self.folder)["inputs"] if path.is_file() else fingerprints
        changed = sorted(set(before) ^ set(fingerprints)) or [n for n in before if before[n] != fingerprints[n]]
        if changed:
            raise InputError(
                f"'{path}' was written for another '{changed[0]}': give another --out, or delete that folder"
            )

    def write_manifest(self, content: dict[str, Any]) -> None:
        """Writes the manifest, last of all."""
        write_text(self.folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True) + "\n")


def write_once(path: Path, make: Callable[[Path], object]) -> None:
    """Writes a file whole if it is not there yet."""
    if not path.is_file():
        with whole_file(path) as partial:
            make(partial)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a build.

    Raises:
        InputError: There is none, or it is not one of ours.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"'{folder}' holds no {MANIFEST}: give a folder that 'seqtant pretraining build' wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is not JSON: build again into an empty folder") from error
    if not isinstance(content, dict) or not {"inputs", "examples", "segments"} <= content.keys():
        raise InputError(f"'{path}' is not a build's manifest: build again into an empty folder")
    return content


def _alive(partial: Path) -> bool:
    """Whether the process that writes a temporary file still runs."""
    number = re.search(r"\.(\d+)\.partial$", partial.name)
    if number is None:
        return False
    try:
        os.kill(int(number[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
