"""Where a corpus comes from: text, JSON lines, Parquet, folders of such, saved data sets; faults told in one line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seqtant.data.documents import Documents, TextFile, TextList
from seqtant.errors import InputError, suggest
from seqtant.optional import require

REFERENCE = "reference"
"""Name of the corpus drawn from the small world that ships."""

_TITLE = re.compile(r"^\s*= [^=].*[^=] =\s*$")
_SUFFIXES = (".txt", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Corpus:
    """Documents from several sources, in the order in which the sources were named."""

    sources: tuple[Documents, ...]
    """Each gone through in turn."""
    names: tuple[str, ...]
    """What messages and manifests call them."""

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of what each source holds, by name."""
        return {name: source.fingerprint for name, source in zip(self.names, self.sources, strict=True)}

    def __iter__(self) -> Iterator[str]:
        for source in self.sources:
            yield from source


def open_corpus(names: Sequence[str], *, field: str = "text") -> Corpus:
    """Opens a corpus.

    Args:
        names: Paths, or ``reference`` for documents of the small world that ships. In a ``.txt`` file documents are
            separated by blank lines, or by lines ``= Title =`` where it begins with one (WikiText); every ``.txt`` file
            of a folder is one document.
        field: Name of the text in JSON lines, Parquet columns and data sets.

    Raises:
        InputError: A source is missing, empty, of an unknown kind, or named twice.

    Example:
        >>> corpus = open_corpus(["reference"])
        >>> next(iter(corpus)).split()[1]
        ':'
    """
    opened = [(name, source) for given in names for name, source in _open(given, field)]
    doubled = {name for name, _ in opened if [other for other, _ in opened].count(name) > 1}
    if doubled:
        raise InputError(f"'{min(doubled)}' is named twice: name each source once")
    return Corpus(tuple(source for _, source in opened), tuple(name for name, _ in opened))


def _open(name: str, field: str) -> Iterator[tuple[str, Documents]]:
    if name == REFERENCE:
        yield name, TextList(_reference_documents())
        return
    path = Path(name).expanduser()
    if not path.exists():
        raise InputError(f"no corpus '{name}': give a text file, JSON lines, a Parquet file, a folder, or 'reference'")
    if path.is_file():
        yield name, _open_file(path, field)
    elif (path / "dataset_info.json").is_file() or (path / "state.json").is_file():
        yield name, SavedDataset(path, field)
    else:
        yield from _open_folder(path, field)


def _open_file(path: Path, field: str) -> Documents:
    if path.suffix == ".parquet":
        return ParquetFile(path, field)
    if path.suffix not in _SUFFIXES:
        raise InputError(f"'{path}' is of no known kind: give {', '.join(_SUFFIXES)} or a folder of such")
    file = TextFile(path, field=field)
    return Titled(file) if path.suffix == ".txt" else file


def _open_folder(path: Path, field: str) -> Iterator[tuple[str, Documents]]:
    files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    if not files:
        raise InputError(f"the folder '{path}' holds no {', '.join(_SUFFIXES)}: give one that does")
    for file in files:
        yield str(file), WholeFile(file) if file.suffix == ".txt" else _open_file(file, field)


def _reference_documents(count: int = 400) -> list[str]:
    import numpy as np

    from seqtant.reference import reference_world

    world = reference_world()
    drawn = world.draw(count, np.random.default_rng(0), longest=96)
    return [_with_line_breaks(world.vocabulary.decode(document.tokens[1:].tolist())) for document in drawn]


def _with_line_breaks(text: str) -> str:
    """One sentence a line: the world's words know no white space but the blank."""
    return text.replace("<eos>", "").replace(" . ", " .\n")


class Titled:
    """A plain text whose documents begin with lines ``= Title =``; as it is where the first line is none.

    Args:
        file: The text, block by block.
    """

    def __init__(self, file: TextFile) -> None:
        self._file = file

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        return self._file.fingerprint

    def __iter__(self) -> Iterator[str]:
        blocks = iter(self._file)
        first = next(blocks, "")
        if not _TITLE.match(first):
            yield first
            yield from blocks
            return
        yield from _by_title(first, blocks)


def _by_title(first: str, blocks: Iterable[str]) -> Iterator[str]:
    document = [first]
    for block in blocks:
        if _TITLE.match(block):
            yield "\n".join(document)
            document = []
        document.append(block)
    yield "\n".join(document)


class WholeFile:
    """A text file that is one document.

    Args:
        path: The file.

    Raises:
        InputError: It is empty, or (on reading it) not UTF-8 text.
    """

    def __init__(self, path: Path) -> None:
        self._file = TextFile(path)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        return self._file.fingerprint

    def __iter__(self) -> Iterator[str]:
        yield "\n".join(self._file)


class ParquetFile:
    """The texts of one column of a Parquet file, read in batches.

    Args:
        path: The file.
        field: Name of the column.

    Raises:
        InputError: It is no Parquet file, or has no such column of texts.
    """

    def __init__(self, path: Path, field: str) -> None:
        self.path, self.field = path, field
        parquet: Any = require("pyarrow.parquet", extra="data")
        try:
            self._file = parquet.ParquetFile(path)
        except Exception as error:  # pyarrow raises errors of several kinds
            raise InputError(f"'{path}' is not a Parquet file: {str(error).splitlines()[0]}") from error
        names = self._file.schema_arrow.names
        if field not in names:
            raise InputError(f"'{path}' has no column '{field}'{suggest(field, names)}: it has {names}")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file and the column's name."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() + f"/{self.field}"

    def __iter__(self) -> Iterator[str]:
        for batch in self._file.iter_batches(columns=[self.field]):
            for text in batch.column(0).to_pylist():
                yield _demand_text(text, f"'{self.path}'", self.field)


class SavedDataset:
    """The texts of one column of a data set that ``datasets`` saved to a folder.

    Args:
        path: The folder.
        field: Name of the column.

    Raises:
        InputError: It is no saved data set, or has no such column.
    """

    def __init__(self, path: Path, field: str) -> None:
        self.path, self.field = path, field
        datasets: Any = require("datasets", extra="data")
        self._data = datasets.load_from_disk(str(path))
        if isinstance(self._data, datasets.DatasetDict):
            raise InputError(f"'{path}' holds several splits {sorted(self._data)}: name the folder of one")
        if field not in self._data.column_names:
            known = self._data.column_names
            raise InputError(f"'{path}' has no column '{field}'{suggest(field, known)}: it has {known}")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the Arrow files and the column's name."""
        digest = hashlib.sha256()
        for file in sorted(self.path.glob("*.arrow")):
            digest.update(file.read_bytes())
        return f"{digest.hexdigest()}/{self.field}"

    def __iter__(self) -> Iterator[str]:
        for row in self._data:
            yield _demand_text(row[self.field], f"'{self.path}'", self.field)


def _demand_text(text: Any, place: str, field: str) -> str:
    if not isinstance(text, str) or not text:
        raise InputError(f"{place}: '{field}' is {text!r}: it must be a text that is not empty")
    return text
