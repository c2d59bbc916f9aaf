"""Public names of a package, imported when first used; its stub is their one list, for Python and type checkers alike.

A package keeps ``from seqtant.room.module import Name as Name`` lines in ``__init__.pyi``. Type checkers and editors
read them as they are, so that what is imported late is typed all the same; :func:`attach` reads where a name lives.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Makes ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Args:
        package: Its ``__name__``.
        file: Its ``__file__``; the stub lies beside it.

    Example:
        >>> import seqtant
        >>> import_late, names, _ = attach("seqtant", seqtant.__file__)
        >>> import_late("Estimate").__module__, "Estimate" in names()
        ('seqtant.findings', True)
    """
    homes = public_names(file)

    def import_late(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(import_module(homes[name]), name)

    return import_late, lambda: sorted(homes), [*homes]


def public_names(file: str) -> dict[str, str]:
    """The public names of a package, and the module where each is defined.

    Args:
        file: The package's ``__file__``.
    """
    path = Path(file).with_suffix(".pyi")
    parts = path.parent.parts
    package = ".".join(parts[len(parts) - parts[::-1].index("seqtant") - 1 :]) if "seqtant" in parts else ""
    stub = ast.parse(path.read_text(encoding="utf-8"))
    lines = [line for line in stub.body if isinstance(line, ast.ImportFrom) and line.module]
    homes = [(f"{package}.{line.module}" if line.level else str(line.module), line) for line in lines]
    return {name.name: home for home, line in homes for name in line.names}
