"""The one door to ``from_pretrained``: files of a folder are read, code of a folder is never run, nothing is asked.

Left to its default, transformers asks on the terminal whether to run the Python files that a folder brings along.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from logging import CRITICAL
from pathlib import Path
from typing import Any

from seqtant.errors import InputError

_ATTENTION = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")


def from_pretrained(auto_class: Any, source: str | Path, what: str, **options: Any) -> Any:
    """Loads a network, a tokenizer or a configuration, by one of transformers' auto classes.

    Args:
        auto_class: E.g. ``transformers.AutoTokenizer``.
        source: A folder, or a hub name.
        what: What is loaded, for messages: ``"the model"``.
        **options: Passed on.

    Raises:
        InputError: It cannot be loaded, or only by running code that comes with it.
    """
    refuse_kernels(Path(source))
    try:
        with quiet():
            return auto_class.from_pretrained(str(source), trust_remote_code=False, **options)
    except MemoryError:
        raise
    except Exception as error:  # transformers lets errors of every kind through, from six libraries
        if "trust_remote_code" in str(error):
            raise InputError(
                f"{what} '{source}' can be loaded only by running Python code that comes with it, which is never done: "
                "save it in a format that transformers knows by itself, or load it yourself and hand over the object"
            ) from error
        raise InputError(f"cannot load {what} '{source}': {first_line(error)}") from error


def refuse_kernels(folder: Path) -> None:
    """Refuses a configuration that names compiled kernels of a hub repository, which would be fetched and run.

    Raises:
        InputError: It names some.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return  # hub names have no file here; broken files are told by whoever reads them
    for key in _ATTENTION:
        named = config.get(key) if isinstance(config, dict) else None
        if "/" in json.dumps(named):
            raise InputError(
                f"'{folder / 'config.json'}' sets {key} to {named!r}, code of a hub repository, which is never run: "
                f"remove {key}"
            )


def first_line(error: Exception) -> str:
    """The first line of an error of another library, cut to 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers from printing bars and load reports: faults are raised here, in our own words."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
