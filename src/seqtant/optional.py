"""Optional libraries: one helper, one message with the line that installs what is missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from seqtant.errors import MissingExtraError


def require(module: str, *, extra: str) -> ModuleType:
    """Imports an optional library.

    Args:
        module: Import name, e.g. ``"faiss"``.
        extra: The extra of this package that installs it, e.g. ``"retrieval"``.

    Raises:
        MissingExtraError: The library is not installed.

    Example:
        >>> require("json", extra="none").dumps([1])
        '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.split(".", maxsplit=1)[0] != error.name.split(".")[0]:
            raise
        raise MissingExtraError(f"'{module}' is not installed: pip install 'seqtant[{extra}]'") from error
