"""Text as a stream of documents, from plain text or JSON lines, refused in one line when it is neither."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from seqtant.errors import InputError, suggest


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

    Raises:
        InputError: The file is missing, empty or not text (on going through it: a line is not what it should be).
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
        return self._json_lines() if self.path.suffix == ".jsonl" else self._plain()

    def _lines(self) -> Iterator[str]:
        try:
            with self.path.open(encoding="utf-8") as file:
                for line in file:
                    if "\0" in line:
                        raise InputError(f"'{self.path}' is a binary file: give UTF-8 text")
                    yield line
        except UnicodeDecodeError as error:
            raise InputError(f"'{self.path}' is not UTF-8 text (byte {error.start}): convert it first") from error

    def _json_lines(self) -> Iterator[str]:
        for number, line in enumerate(self._lines(), start=1):
            if line.strip():
                yield self._text_of(line, number)

    def _text_of(self, line: str, number: int) -> str:
        place = f"'{self.path}', line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{place} is not JSON: {error.msg}") from error
        if not isinstance(record, dict) or self.field not in record:
            known = list(record) if isinstance(record, dict) else []
            raise InputError(f"{place} has no field '{self.field}'{suggest(self.field, known)}: it has {known}")
        text = record[self.field]
        if not isinstance(text, str) or not text:
            raise InputError(f"{place}: '{self.field}' is {text!r}: it must be a text that is not empty")
        return text

    def _plain(self) -> Iterator[str]:
        blocks = self._blocks()
        first = next(blocks, None)
        if first is None:
            raise InputError(f"'{self.path}' holds only white space: give a file with text")
        second = next(blocks, None)
        if second is None:
            yield from (line for line in first.splitlines(keepends=True) if line.strip())
            return
        yield first
        yield second
        yield from blocks

    def _blocks(self) -> Iterator[str]:
        block: list[str] = []
        for line in self._lines():
            if line.strip():
                block.append(line)
            elif block:
                yield "".join(block)
                block = []
        if block:
            yield "".join(block)
