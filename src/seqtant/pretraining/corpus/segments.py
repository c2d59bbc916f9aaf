"""The segments of a corpus: cut shard by shard, kept as Parquet, read back as flat arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from seqtant.optional import require
from seqtant.pretraining.corpus.splitters import find_splitter, split, text_hash, word_runs
from seqtant.pretraining.corpus.tokenizer import AnyTokenizer
from seqtant.pretraining.sections import SegmentSettings


@dataclass(frozen=True)
class Segments:
    """All segments of a corpus in the order of the text; a segment's number is its place here."""

    document: Int[np.ndarray, " segments"]
    """Document of each segment, rising."""
    offsets: Int[np.ndarray, " segments_and_one"]
    """Where each segment's tokens begin among ``tokens``; one more at the end."""
    tokens: Int[np.ndarray, " tokens"]
    """Tokens of all segments, end to end: a slice within one document is its running text."""
    hashes: Int[np.ndarray, " segments"]
    """Equal for segments that differ in case and white space only."""
    eligible: Bool[np.ndarray, " segments"]
    """Whether a segment is of a length that may have and be a neighbor; these have embeddings."""
    blocked: Bool[np.ndarray, " segments"]
    """Whether a segment shares a run of words with a test set."""
    held_out: Bool[np.ndarray, " segments"]
    """Whether a segment's document is kept out of all examples."""

    def __len__(self) -> int:
        return len(self.document)

    @property
    def lengths(self) -> Int[np.ndarray, " segments"]:
        """Tokens of each segment."""
        return np.diff(self.offsets)

    @cached_property
    def first_of_hash(self) -> Bool[np.ndarray, " segments"]:
        """Whether no earlier segment has the same text."""
        first = np.zeros(len(self), dtype=bool)
        first[np.unique(self.hashes, return_index=True)[1]] = True
        return first

    @cached_property
    def document_bounds(self) -> Int[np.ndarray, " documents_and_one"]:
        """First segment of each document that has segments; one more at the end."""
        starts = np.flatnonzero(np.diff(self.document, prepend=-1))
        return np.append(starts, len(self))


def write_texts(texts: Sequence[str], path: Path) -> None:
    """Writes the documents of one shard as Parquet, column ``text``."""
    arrow: Any = require("pyarrow", extra="data")
    parquet: Any = require("pyarrow.parquet", extra="data")
    parquet.write_table(arrow.table({"text": arrow.array(texts, arrow.large_string())}), path, compression="zstd")


def read_texts(path: Path) -> list[str]:
    """Reads the documents of one shard."""
    parquet: Any = require("pyarrow.parquet", extra="data")
    return parquet.read_table(path).column("text").to_pylist()


def cut(
    texts: Sequence[str], tokenizer: AnyTokenizer, settings: SegmentSettings, blocked_runs: frozenset[int] = frozenset()
) -> dict[str, Any]:
    """Cuts documents into segments and tokenizes them: a pure function of its arguments.

    Args:
        texts: Documents of one shard.
        tokenizer: Gives the tokens of each segment.
        settings: Splitter and lengths.
        blocked_runs: Hashes of the runs of words of test sets.

    Returns:
        Columns: ``document`` (within the shard), ``start`` and ``end`` (characters of the document), ``hash``,
        ``eligible``, ``blocked``, ``tokens`` (a list per segment). The spans of a document are the document again.

    Raises:
        InputError: The splitter is unknown or loses characters.
    """
    splitter = find_splitter(settings.splitter)
    rows = [
        (number, start, end)
        for number, text in enumerate(texts)
        for start, end in itertools.pairwise([0, *split(text, splitter, f"document {number} of a shard")])
    ]
    pieces = [texts[number][start:end] for number, start, end in rows]
    tokens = tokenizer.encode(pieces)
    document, start, end = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return {
        "document": document,
        "start": start,
        "end": end,
        "hash": [text_hash(piece) for piece in pieces],
        "eligible": [
            settings.shortest <= len(line) <= settings.longest and bool(piece.strip())
            for line, piece in zip(tokens, pieces, strict=True)
        ],
        "blocked": [_shares_run(piece, blocked_runs, settings.blocked_words) for piece in pieces],
        "tokens": tokens,
    }


def _shares_run(text: str, runs: frozenset[int], length: int) -> bool:
    return bool(runs) and not runs.isdisjoint(word_runs(text, length))


def blocked_runs(texts: Iterable[str], length: int) -> frozenset[int]:
    """Hashes of the runs of words of test sets, segment by segment as the corpus is compared."""
    return frozenset().union(*(word_runs(text, length) for text in texts))


def write_segments(columns: dict[str, Any], path: Path) -> None:
    """Writes the segments of one shard as Parquet."""
    arrow: Any = require("pyarrow", extra="data")
    parquet: Any = require("pyarrow.parquet", extra="data")
    kinds = {
        "document": arrow.int32(),
        "start": arrow.int64(),
        "end": arrow.int64(),
        "hash": arrow.uint64(),
        "eligible": arrow.bool_(),
        "blocked": arrow.bool_(),
        "tokens": arrow.large_list(arrow.int32()),
    }
    table = arrow.table({name: arrow.array(columns[name], kind) for name, kind in kinds.items()})
    parquet.write_table(table, path, compression="zstd")


def read_segments(paths: Sequence[Path], documents: Sequence[int], *, hold_out: int = 0) -> Segments:
    """Reads the segments of all shards.

    Args:
        paths: One Parquet file per shard.
        documents: Documents per shard, those without segments included.
        hold_out: Every so many documents one is held out; 0 holds none.
    """
    shards = [_columns(path) for path in paths]
    first = np.cumsum([0, *documents])
    document = np.concatenate([shard["document"] + first[i] for i, shard in enumerate(shards)]).astype(np.int64)
    lengths = np.concatenate([shard["lengths"] for shard in shards])
    held = (document % hold_out == hold_out - 1) if hold_out else np.zeros(len(document), dtype=bool)
    return Segments(
        document=document,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        tokens=np.concatenate([shard["tokens"] for shard in shards]),
        hashes=np.concatenate([shard["hash"] for shard in shards]),
        eligible=np.concatenate([shard["eligible"] for shard in shards]),
        blocked=np.concatenate([shard["blocked"] for shard in shards]),
        held_out=held,
    )


def _columns(path: Path) -> dict[str, np.ndarray]:
    parquet: Any = require("pyarrow.parquet", extra="data")
    table = parquet.read_table(path, columns=["document", "hash", "eligible", "blocked", "tokens"]).combine_chunks()
    columns = {
        name: table.column(name).to_numpy(zero_copy_only=False) for name in ("document", "hash", "eligible", "blocked")
    }
    lists = table.column("tokens")
    parts = lists.chunks
    columns["tokens"] = np.concatenate([part.flatten().to_numpy() for part in parts] or [np.zeros(0, dtype=np.int32)])
    columns["lengths"] = np.concatenate(
        [np.diff(part.offsets.to_numpy()) for part in parts] or [np.zeros(0, dtype=np.int64)]
    )
    return columns


def segment_texts(texts: list[str], path: Path, *, only_eligible: bool = True) -> Iterator[str]:
    """The texts of a shard's segments, read back from its documents and spans."""
    parquet: Any = require("pyarrow.parquet", extra="data")
    table = parquet.read_table(path, columns=["document", "start", "end", "eligible"]).to_pydict()
    for document, start, end, eligible in zip(*table.values(), strict=True):
        if eligible or not only_eligible:
            yield texts[document][start:end]
