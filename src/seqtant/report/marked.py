"""Parts of a written page that a script fills from records: what stands between two marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path


def put(page: str, name: str, text: str) -> str:
    r"""Puts a text between ``<!-- name -->`` and the next ``<!-- end -->``.

    Args:
        page: The whole page.
        name: Name of the part.
        text: What shall stand there, on lines of its own.

    Raises:
        ValueError: The page does not hold that part once.

    Example:
        >>> put("seen\n<!-- cost -->\n3 s\n<!-- end -->\n", "cost", "2 s")
        'seen\n<!-- cost -->\n2 s\n<!-- end -->\n'
        >>> put("<!-- new -->\n<!-- end -->\nlater\n<!-- end -->\n", "new", "2 s")
        '<!-- new -->\n2 s\n<!-- end -->\nlater\n<!-- end -->\n'
    """
    part = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    filled, count = part.subn(lambda found: f"{found[1]}{text}\n{found[2]}", page)
    if count != 1:
        raise ValueError(f"{count} parts '{name}' where there must be one: no mark '<!-- {name} -->', or too many")
    return filled


def fill(page: Path, parts: Mapping[str, tuple[Callable[[], str], str]], folder: Path) -> None:
    """Fills those parts of a file that it has and that there are records for.

    Args:
        page: The file.
        parts: Name -> what writes the part, and a pattern of the records it needs, seen from ``folder``.
        folder: Where the records are.
    """
    text = page.read_text(encoding="utf-8")
    for name, (write, records) in parts.items():
        if f"<!-- {name} -->" in text and any(folder.glob(records)):
            text = put(text, name, f"\n{write()}\n")
    page.write_text(text, encoding="utf-8")
