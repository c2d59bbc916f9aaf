"""The sections of a build's configuration, one per stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqtant.errors import InputError
from seqtant.ranges import at_least, between

Arm = Literal["knn", "random", "split", "contiguous", "tour", "stream"]
Strategy = Literal["best-fit", "tour", "wrapped"]
IndexKind = Literal["auto", "exact", "ivf", "pq"]


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """Where the text comes from and how it is cut into segments."""

    field: str = "text"
    """Name of the text in a JSON line, a Parquet column or a data set."""
    splitter: str = "sentences"
    """``sentences``, ``lines``, a name that a plug-in adds, or ``module:function`` that turns a text into the ends of
    its segments."""
    tokenizer: str = "bpe"
    """``bpe`` learns byte-pair encoding from the corpus; or a folder with a Hugging Face tokenizer; or ``bytes``."""
    vocabulary: int = 4000
    """Tokens of a learned ``bpe``."""
    shortest: int = 5
    """Shorter segments, in tokens, stay in their text but are nobody's neighbor."""
    longest: int = 128
    """Longer segments, in tokens, stay in their text but are nobody's neighbor."""
    shard_documents: int = 500
    """Documents per shard: what one worker does at a time, and what a killed run has to do again."""
    blocklist: tuple[str, ...] = ()
    """Test sets (files as for the corpus): a segment that shares a run of words with them is nobody's neighbor."""
    blocked_words: int = 8
    """Length of that run in words."""
    hold_out: int = 0
    """Every so many documents one is kept out of all examples, to evaluate on; 0 keeps none out."""

    def __post_init__(self) -> None:
        at_least(1, shortest=self.shortest, shard_documents=self.shard_documents, blocked_words=self.blocked_words)
        at_least(self.shortest, longest=self.longest)
        # The 256 bytes and the separator.
        at_least(257 if self.tokenizer == "bpe" else 1, vocabulary=self.vocabulary)
        if self.hold_out and self.hold_out < 2:
            raise InputError(f"hold_out is {self.hold_out}: keep one in at least 2 documents, or 0 for none")


@dataclass(frozen=True, kw_only=True)
class EmbedSettings:
    """What turns a segment into a vector."""

    encoder: str = "lsa"
    """``lsa`` (hashed words, inverse document frequency, truncated singular value decomposition; needs no download), a
    folder with a sentence-transformers model, ``module:function`` that turns a list of texts into an array, or a name
    that a plug-in adds."""
    dimension: int = 128
    """Length of an ``lsa`` vector."""
    buckets: int = 32768
    """Hash buckets for the words of ``lsa``."""
    sample: int = 40000
    """Most segments from which ``lsa`` learns its directions."""
    rows: int = 256
    """Segments that an encoder is given at a time."""

    def __post_init__(self) -> None:
        at_least(2, dimension=self.dimension)
        at_least(16, buckets=self.buckets, sample=self.sample)
        at_least(1, rows=self.rows)


@dataclass(frozen=True, kw_only=True)
class NeighborSettings:
    """How neighbors are searched."""

    index: IndexKind = "auto"
    """``exact``; ``ivf`` (inverted lists); ``pq`` (inverted lists, product quantization, refined by exact scores).
    ``auto`` is exact up to 20,000 segments, ivf up to 500,000, pq beyond."""
    candidates: int = 32
    """Neighbors that are searched for each segment, before filters."""
    probes: int = 16
    """Inverted lists that are looked through per query."""
    recall_sample: int = 200
    """Segments on which recall is measured against exact search."""

    def __post_init__(self) -> None:
        at_least(1, candidates=self.candidates, probes=self.probes, recall_sample=self.recall_sample)


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """Which neighbors may stay."""

    k: int = 8
    """Neighbors kept per segment."""
    same_document: bool = False
    """Whether a neighbor may come from the segment's own document."""
    one_per_document: bool = True
    """Whether at most one neighbor may come from each document."""
    most_similar: float = 0.95
    """Neighbors above this cosine similarity are near-duplicates and go."""
    least_similar: float | None = None
    """Neighbors below this cosine similarity go; by default the percentile below decides."""
    least_percentile: float = 25.0
    """Percentile of the similarities of the nearest neighbors that pass the other filters."""
    hub_cap: int = 10
    """How often one segment may be a neighbor."""

    def __post_init__(self) -> None:
        at_least(1, k=self.k, hub_cap=self.hub_cap)
        between(-1, 1.01, most_similar=self.most_similar, least_similar=self.least_similar)
        between(0, 100, least_percentile=self.least_percentile)


@dataclass(frozen=True, kw_only=True)
class ExampleSettings:
    """How examples are put together."""

    arms: tuple[Arm, ...] = ("knn", "random", "split", "contiguous")
    """Which kinds of examples are written: related segments together; unrelated ones of the same lengths; the same
    segments as knn, related ones apart; running text; documents along a tour; documents chosen from a buffer."""
    window: int = 256
    """Tokens of an example."""
    share: float = 0.5
    """Share of the examples of knn, random and split that are made of foreign segments; the rest is running text."""
    unit: Literal["sentence", "passage"] = "sentence"
    """What neighbors are added to: one segment, or running text of up to half a window."""
    order: Literal["neighbors-first", "anchor-first", "shuffled"] = "neighbors-first"
    """Order within an example; a causal model predicts only what stands later from what stands earlier."""
    strategy: Strategy = "tour"
    """How the documents of ``tour`` and ``stream`` are packed."""
    buffer: int = 256
    """Documents among which ``stream`` chooses, and ``tour`` closes gaps."""

    def __post_init__(self) -> None:
        at_least(16, window=self.window)
        at_least(1, buffer=self.buffer)
        between(0, 1, share=self.share)
        if not self.arms or len(set(self.arms)) != len(self.arms):
            raise InputError(f"arms is {list(self.arms)}: give at least one, each once")
