"""Tells models and files apart without reading them, so that a resumed checkup keeps only what is still true."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import seqtant
from seqtant.lm.folder import locate


def of_model(model: str) -> str:
    """Names, sizes and times of a model folder's files; the bare name of a hub model."""
    folder = locate(model)
    return f"{seqtant.__version__}:{model if folder is None else of_files([folder])}"


def of_files(paths: Iterable[Path]) -> str:
    """Names, sizes and times of files, and of all files in folders.

    Example:
        >>> of_files([])
        ''
    """
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16] if facts else ""
