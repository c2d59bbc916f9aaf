"""Files that are written whole or not at all: in a temporary folder, then moved to their place."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqtant.errors import InputError

_PLACE_AT_FAULT = {
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a path in a temporary folder beside ``path`` and moves it there on success; on failure nothing is left."""
    # Beside it, since a rename is atomic within one file system only; by process, so that two do not mix; a folder,
    # since a library may write a temporary file of its own beside what it is given (safetensors 0.8 does).
    folder = path.with_name(f".{path.name}.{os.getpid()}.partial")
    make_folder(path.parent)
    try:
        folder.mkdir(exist_ok=True)
        yield folder / path.name
        (folder / path.name).replace(path)
    except OSError as error:
        if error.errno not in _PLACE_AT_FAULT:
            raise
        raise InputError(f"cannot write '{path}': {error.strerror}: choose another place") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def make_folder(folder: Path) -> None:
    """Makes a folder for output, before any work is spent on what would go there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder '{folder}': {error.strerror}: choose another place") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"cannot write into the folder '{folder}': choose another place")
