"""Text as a stream of documents, from plain text or JSON lines, refused in one line when it is neither."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from seqtant.errors import InputError
from seqtant.sources import read_lines, text_of


class Documents(Protocol):
    """Documents that can be gone through again and again."""

    @property
    def fingerprint(self) -> str:
        """Tells two collections apart."""
        ...

    def __iter__(self) -> Iterator[str]:
        """Goes through the documents in order."""
        ...


class TextList:
    """Documents held in memory.

    Example:
        >>> list(TextList(["one", "two"]))
        ['one', 'two']
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all texts."""
        digest = hashlib.sha256()
        for text in self.texts:
            digest.update(text.encode() + b"\0")
        return digest.hexdigest()

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)


class TextFile:
    """Documents of a file, read line by line each time they are gone through.

    ``.jsonl`` holds one JSON object per line with the text under ``field``. Anything else is plain text: documents are
    separated by blank lines; if there is no blank line between texts, every line is a document.

    Args:
        path: The file.
        field: Name of the text in a JSON line.
    """

    def __init__(self, path: Path | str, *, field: str = "text") -> None:
        self.path, self.field = Path(path), field
        if not self.path.is_file():
            raise InputError(f"no file '{path}': give a text file or JSON lines")
        if self.path.stat().st_size == 0:
            raise InputError(f"'{path}' is empty: give a file with text")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file and the field's name."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() + f"/{self.field}"

    def __iter__(self) -> Iterator[str]:
        if self.path.suffix == ".jsonl":
            yield from (text_of(record, self.field, place) for place, record in read_lines(self.path))
            return
        blocks = self._blocks()
        first = next(blocks, None)
        if first is None:
            raise InputError(f"'{self.path}' holds only white space: give a file with text")
        second = next(blocks, None)
        if second is None:  # no blank line between texts: every line is a document
            yield from (line for line in first.splitlines(keepends=True) if line.strip())
            return
        yield first
        yield second
        yield from blocks

    def _blocks(self) -> Iterator[str]:
        """Texts between blank lines."""
        block: list[str] = []
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                for line in file:
                    if "\0" in line:
                        raise InputError(f"'{self.path}' is a binary file: give UTF-8 text")
                    if line.strip():
                        block.append(line)
                    elif block:
                        yield "".join(block)
                        block = []
        except UnicodeDecodeError as error:
            raise InputError(f"'{self.path}' is not UTF-8 text (byte {error.start}): convert it first") from error
        if block:
            yield "".join(block)
