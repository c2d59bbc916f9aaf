"""Reads a corpus: plain text, JSON lines, Parquet, folders of these, data sets saved by ``datasets``."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from seqtant.data.documents import Documents, TextFile, TextList
from seqtant.errors import InputError, suggest
from seqtant.optional import require
from seqtant.pretraining.sections import Source, Sources, as_sources
from seqtant.sources import describe, is_path, read_lines, text_of

REFERENCE = "reference"
"""Name of the corpus sampled from the reference world that ships."""

_TITLE = re.compile(r"^\s*= [^=].*[^=] =\s*$")
_SUFFIXES = (".txt", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Corpus:
    """Documents from several sources, in the order in which the sources were named."""

    sources: dict[str, Documents]
    """Read one after the other; by what messages and manifests call them."""

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of the content of each source, by name."""
        return {name: source.fingerprint for name, source in self.sources.items()}

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.sources.values())


def open_corpus(sources: Sources, *, field: str = "text") -> Corpus:
    """Opens a corpus: paths, ``reference`` for documents of the reference world, or documents in memory.

    In a ``.txt`` file documents are separated by blank lines, or by lines ``= Title =`` where it begins with one
    (WikiText); every ``.txt`` file of a folder is one document. ``field`` names the text in all other kinds.

    Example:
        >>> corpus = open_corpus(["reference"])
        >>> next(iter(corpus)).split()[1]
        ':'
        >>> list(open_corpus([["One document.", "Another one."]]))
        ['One document.', 'Another one.']
    """
    # A folder stands for several sources; each has a name of its own in the manifest.
    opened = [pair for given in as_sources(sources) for pair in _sources(given, field)]
    doubled = [name for name, count in Counter(name for name, _ in opened).items() if count > 1]
    if doubled:
        raise InputError(f"'{min(doubled)}' is named twice: name each source once")
    return Corpus(dict(opened))


def _sources(given: Source, field: str) -> Iterator[tuple[str, Documents]]:
    """Yields the name and the documents of everything behind one source: several for a folder."""
    if not is_path(given):
        documents: Any = given
        if not hasattr(documents, "fingerprint"):
            documents = TextList(text_of(row, field, place) for place, row in read_lines(documents, fields=(field,)))
        yield str(describe(getattr(documents, "texts", documents))), documents
        return
    name = str(given)
    if name == REFERENCE:
        import numpy as np

        from seqtant.reference import reference_world

        world = reference_world()
        drawn = world.draw(400, np.random.default_rng(0), longest=96)
        texts = [world.vocabulary.decode(document.tokens[1:].tolist()) for document in drawn]
        # One sentence per line: the world's vocabulary has no white space but the blank.
        yield name, TextList(text.replace("<eos>", "").replace(" . ", " .\n") for text in texts)
        return
    path = Path(name).expanduser()
    if not path.exists():
        raise InputError(
            f"no corpus '{name:.80}': give a text file, JSON lines, a Parquet file, a folder, 'reference', "
            "or texts in memory as [{'text': ...}, ...]"
        )
    if path.is_dir() and any((path / marker).is_file() for marker in ("dataset_info.json", "state.json")):
        yield name, TextColumn(path, field)
        return
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
        if not files:
            raise InputError(f"the folder '{path}' holds no {', '.join(_SUFFIXES)}: give one that does")
    for file in files:
        called = str(file) if path.is_dir() else name
        if file.suffix == ".parquet":
            yield called, TextColumn(file, field)
        elif file.suffix == ".jsonl":
            yield called, TextFile(file, field=field)
        elif file.suffix == ".txt":
            yield called, WholeFile(file) if path.is_dir() else TitledFile(file, field=field)
        else:
            raise InputError(f"'{file}' is of no known kind: give {', '.join(_SUFFIXES)} or a folder of such")


class TitledFile(TextFile):
    """A plain text whose documents begin with lines ``= Title =``; split at blank lines if the first line is none."""

    def __iter__(self) -> Iterator[str]:
        blocks = super().__iter__()
        first = next(blocks, "")
        if not _TITLE.match(first):
            yield first
            yield from blocks
            return
        document = [first]
        for block in blocks:
            if _TITLE.match(block):
                yield "\n".join(document)
                document = []
            document.append(block)
        yield "\n".join(document)


class WholeFile(TextFile):
    """A text file that is one document."""

    def __iter__(self) -> Iterator[str]:
        yield "\n".join(super().__iter__())


class TextColumn:
    """The texts of one column of a Parquet file, or of a data set that ``datasets`` saved to a folder."""

    def __init__(self, path: Path, field: str) -> None:
        self.path, self.field = path, field
        self._parquet: Any = None
        self._dataset: Any = None
        if path.is_dir():
            datasets: Any = require("datasets", extra="data")
            self._dataset = datasets.load_from_disk(str(path))
            if isinstance(self._dataset, datasets.DatasetDict):
                raise InputError(f"'{path}' holds several splits {sorted(self._dataset)}: name the folder of one")
            columns = self._dataset.column_names
        else:
            parquet: Any = require("pyarrow.parquet", extra="data")
            try:
                self._parquet = parquet.ParquetFile(path)
            except Exception as error:  # pyarrow raises errors of several kinds
                raise InputError(f"'{path}' is not a Parquet file: {str(error).splitlines()[0]}") from error
            columns = self._parquet.schema_arrow.names
        if field not in columns:
            raise InputError(f"'{path}' has no column '{field}'{suggest(field, columns)}: it has {columns}")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file, or of a data set's Arrow files, and the column's name."""
        digest = hashlib.sha256()
        for path in sorted(self.path.glob("*.arrow")) if self.path.is_dir() else [self.path]:
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
        return f"{digest.hexdigest()}/{self.field}"

    def __iter__(self) -> Iterator[str]:
        if self._parquet is None:
            texts = (row[self.field] for row in self._dataset)
        else:
            batches = self._parquet.iter_batches(columns=[self.field])
            texts = (text for batch in batches for text in batch.column(0).to_pylist())
        for text in texts:
            if not isinstance(text, str) or not text:
                raise InputError(f"'{self.path}': '{self.field}' is {text!r}: it must be a text that is not empty")
            yield text
