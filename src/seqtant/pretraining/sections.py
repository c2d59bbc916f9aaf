"""The sections of a build's configuration, one per stage, and what stands for a corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from seqtant.errors import InputError
from seqtant.settings import Count, config
from seqtant.sources import InMemory, ObjectOrPath, describe, is_path

Arm = Literal["knn", "random", "split", "contiguous", "tour", "stream"]
Strategy = Literal["best-fit", "tour", "wrapped"]
Order = Literal["neighbors-first", "anchor-first", "shuffled"]
IndexKind = Literal["auto", "exact", "ivf", "pq"]


def _each_once(arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
    if not arms or len(set(arms)) != len(arms):
        raise InputError(f"{list(arms)}: give at least one, each once")
    return arms


Arms = Annotated[
    tuple[Arm, ...],
    BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value),
    AfterValidator(_each_once),
]
"""Different arms, or a text such as ``knn,split``."""


def as_sources(value: Any) -> list[Any]:
    """Lists one source or several: paths, names, documents in memory.

    Example:
        >>> as_sources("a.txt"), as_sources([{"text": "One."}, {"text": "Two."}])
        (['a.txt'], [[{'text': 'One.'}, {'text': 'Two.'}]])
    """
    if is_path(value):
        return [str(value)]
    if isinstance(value, Mapping | bytes) or not isinstance(value, Iterable):
        raise InputError(f"{value!r:.60} is no corpus: give files, or documents in memory as [{{'text': ...}}, ...]")
    # A data set, a data frame and a collection of documents are one source each, however they are gone through.
    if any(hasattr(value, name) for name in ("columns", "column_names", "fingerprint")):
        return [value]
    items = list(value)
    rows = [item for item in items if isinstance(item, Mapping)]
    if rows and len(rows) < len(items):
        raise InputError("the corpus mixes files and documents: give either, or a list of lists")
    return [items] if rows else [str(item) if is_path(item) else item for item in items]


def _source(value: Any) -> Any:
    if not is_path(value) and (isinstance(value, Mapping | bytes) or not isinstance(value, Iterable)):
        raise InputError(f"{value!r:.60} is no corpus: give files, or documents in memory as [{{'text': ...}}, ...]")
    # What can be gone through only once is kept: a corpus is read several times.
    return list(value) if isinstance(value, Iterator) else value


if TYPE_CHECKING:
    from seqtant.data.documents import Documents

    Source: TypeAlias = str | Path | Documents | Sequence[Any]
    Sources: TypeAlias = Source | Sequence[Source]
else:
    Source = Annotated[Any, InMemory(), BeforeValidator(_source), PlainSerializer(describe)]
    """A file, a folder, ``reference``; or documents in memory: a list of texts, of dictionaries, a data set."""
    Sources = Annotated[tuple[Source, ...], BeforeValidator(as_sources)]
    """One source of text or several; a list of dictionaries is one, a list of names several."""


@config
class SegmentSettings:
    """Where the text comes from and how it is cut into segments."""

    field: str = "text"
    """Name of the text in a JSON line, a Parquet column, a data set or a dictionary."""
    splitter: str = "sentences"
    """``sentences``, ``lines``, a name that a plug-in adds, or ``module:function`` that turns a text into the ends of
    its segments."""
    tokenizer: ObjectOrPath = "bpe"
    """``bpe`` learns byte-pair encoding from the corpus; or a folder with a Hugging Face tokenizer; or ``bytes``."""
    vocabulary: Count = 4000
    """Tokens of a learned ``bpe``."""
    shortest: Count = 5
    """Shorter segments, in tokens, stay in their text but are nobody's neighbor."""
    longest: Count = 128
    """Longer segments, in tokens, stay in their text but are nobody's neighbor."""
    shard_documents: Count = 500
    """Documents per shard: what one worker does at a time, and what a killed run has to do again."""
    blocklist: Sources = ()
    """Test sets (files as for the corpus): a segment that shares a run of words with them is nobody's neighbor."""
    blocked_words: Count = 8
    """Length of that run in words."""
    hold_out: Annotated[int, Field(ge=0)] = 0
    """Every so many documents one is kept out of all examples, to evaluate on; 0 keeps none out."""

    def __post_init__(self) -> None:
        if self.longest < self.shortest:
            raise InputError(f"longest is {self.longest}: give a whole number of at least shortest, {self.shortest}")
        # The 256 bytes and the separator.
        if is_path(self.tokenizer) and self.tokenizer == "bpe" and self.vocabulary < 257:
            raise InputError(f"vocabulary is {self.vocabulary}: give a whole number of at least 257 for bpe")
        if self.hold_out == 1:
            raise InputError("hold_out is 1: keep one in at least 2 documents, or 0 for none")


@config
class EmbedSettings:
    """What turns a segment into a vector."""

    encoder: str = "lsa"
    """``lsa`` (hashed words, inverse document frequency, truncated singular value decomposition; needs no download), a
    folder with a sentence-transformers model, ``module:function`` that turns a list of texts into an array, or a name
    that a plug-in adds."""
    dimension: Annotated[int, Field(ge=2)] = 128
    """Length of an ``lsa`` vector."""
    buckets: Annotated[int, Field(ge=16)] = 32768
    """Hash buckets for the words of ``lsa``."""
    sample: Annotated[int, Field(ge=16)] = 40000
    """Most segments from which ``lsa`` learns its directions."""
    rows: Count = 256
    """Segments that an encoder is given at a time."""


@config
class NeighborSettings:
    """How neighbors are searched."""

    index: IndexKind = "auto"
    """``exact``; ``ivf`` (inverted lists); ``pq`` (inverted lists, product quantization, refined by exact scores).
    ``auto`` is exact up to 20,000 segments, ivf up to 500,000, pq beyond."""
    candidates: Count = 32
    """Neighbors that are searched for each segment, before filters."""
    probes: Count = 16
    """Inverted lists that are looked through per query."""
    recall_sample: Count = 200
    """Segments on which recall is measured against exact search."""


@config
class FilterSettings:
    """Which neighbors may stay."""

    k: Count = 8
    """Neighbors kept per segment."""
    same_document: bool = False
    """Whether a neighbor may come from the segment's own document."""
    one_per_document: bool = True
    """Whether at most one neighbor may come from each document."""
    most_similar: Annotated[float, Field(ge=-1, le=1.01)] = 0.95
    """Neighbors above this cosine similarity are near-duplicates and go."""
    least_similar: Annotated[float, Field(ge=-1, le=1.01)] | None = None
    """Neighbors below this cosine similarity go; by default the percentile below decides."""
    least_percentile: Annotated[float, Field(ge=0, le=100)] = 25.0
    """Percentile of the similarities of the nearest neighbors that pass the other filters."""
    hub_cap: Count = 10
    """How often one segment may be a neighbor."""


@config
class ExampleSettings:
    """How examples are put together."""

    arms: Arms = ("knn", "random", "split", "contiguous")
    """Which kinds of examples are written: related segments together; unrelated ones of the same lengths; the same
    segments as knn, related ones apart; running text; documents along a tour; documents chosen from a buffer."""
    window: Annotated[int, Field(ge=16)] = 256
    """Tokens of an example."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the examples of knn, random and split that are made of foreign segments; the rest is running text."""
    unit: Literal["sentence", "passage"] = "sentence"
    """What neighbors are added to: one segment, or running text of up to half a window."""
    order: Order = "neighbors-first"
    """Order within an example; a causal model predicts only what stands later from what stands earlier."""
    strategy: Strategy = "tour"
    """How the documents of ``tour`` and ``stream`` are packed."""
    buffer: Count = 256
    """Documents among which ``stream`` chooses, and ``tour`` closes gaps."""
