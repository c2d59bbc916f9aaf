"""Cuts documents into tokenized segments: splitters, tokenizers, and the segments as Parquet shards and flat arrays.

A text's segments together are the text again, character by character: running text is then a slice of the tokens.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Int

from seqtant.errors import InputError
from seqtant.optional import require
from seqtant.pretraining.sections import SegmentSettings
from seqtant.registry import Registry, import_attribute
from seqtant.sources import ObjectOrPath, is_path

Splitter = Callable[[str], Sequence[int]]
"""From a text to the ends of its segments, strictly rising; the last is the length of the text."""

MOST_CHARACTERS = 2000
"""Longest segment: a longer one is cut, at a blank where there is one."""

_CLOSERS = "\"'”’»）)\\]】」』"
# A sentence ends at Latin punctuation before white space, at other scripts' punctuation anywhere, at a line break.
_ENDS = re.compile(
    rf"(?:[.!?…]+[{_CLOSERS}]*(?:\s*['\"]{{2}})?(?=\s)|[。！？｡؟۔।॥]+[{_CLOSERS}]*)\s*|\s*\n\s*", re.UNICODE
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Gen|Col|Lt|Sgt|Capt|Rev|Hon|Sen|Rep|Gov|Pres|vs|etc|cf|al|approx|"
    r"No|Vol|Fig|Inc|Ltd|Co|Corp|Mt|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|[A-Z]|[a-z]\.[a-z])\.$"
)


def sentence_ends(text: str) -> list[int]:
    """Finds the ends of the sentences of a text, by punctuation and line breaks of Latin, Arabic, Indic, CJK scripts.

    White space after a sentence belongs to it. Known abbreviations and initials end none.

    Example:
        >>> text = "Dr. Who came. 他走了。Gone!"
        >>> starts = [0, *sentence_ends(text)]
        >>> [text[a:b] for a, b in zip(starts, starts[1:])]
        ['Dr. Who came. ', '他走了。', 'Gone!']
    """
    ends: list[int] = []
    start = 0
    for match in _ENDS.finditer(text):
        # The longest known abbreviation and the character before it fit into 12 characters before the period.
        before = text[max(start, match.start() - 12) : match.start() + 1]
        if match.end() == start or (match[0].startswith(".") and _ABBREVIATION.search(before) and "\n" not in match[0]):
            continue
        ends += _capped(text, start, match.end())
        start = match.end()
    return [*ends, *_capped(text, start, len(text))]


def line_ends(text: str) -> list[int]:
    r"""Finds the ends of the lines of a text; a line break belongs to its line.

    Example:
        >>> line_ends("one\ntwo")
        [4, 7]
    """
    ends: list[int] = []
    start = 0
    for line in text.splitlines(keepends=True):
        ends += _capped(text, start, start + len(line))
        start += len(line)
    return ends


def _capped(text: str, start: int, end: int) -> list[int]:
    """Ends of one segment cut into parts of at most ``MOST_CHARACTERS``."""
    ends: list[int] = []
    while end - start > MOST_CHARACTERS:
        blank = text.rfind(" ", start + 1, start + MOST_CHARACTERS)
        start = start + MOST_CHARACTERS if blank < 0 else blank + 1
        ends.append(start)
    return [*ends, end] if end > start else ends


SPLITTERS: Registry[Splitter] = Registry(
    "splitter", group="seqtant.splitters", entries={"sentences": sentence_ends, "lines": line_ends}
)
"""Splitters by name; packages add theirs under the entry point ``seqtant.splitters``."""


def find_splitter(name: str) -> Splitter:
    """Finds a splitter by its registered name or by ``module:function``."""
    return cast(Splitter, import_function(name, "splitter")) if ":" in name else SPLITTERS[name]


def import_function(name: str, what: str) -> Callable[..., object]:
    """Imports a function by ``module:function``."""
    try:
        found = import_attribute(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"the {what} '{name}' cannot be imported: {error}") from error
    if not callable(found):
        raise InputError(f"the {what} '{name}' is no function")
    return found


def split(text: str, splitter: Splitter, place: str) -> list[int]:
    """Splits a text and checks the ends of the segments."""
    try:
        ends = list(splitter(text))
    except Exception as error:  # a user's function may raise anything
        raise InputError(f"{place}: the splitter failed: {type(error).__name__}: {error}") from error
    # Strictly rising from above 0 up to the length: every character is in exactly one segment, and none is empty.
    if ends != sorted(set(ends)) or (ends[-1] if ends else 0) != len(text) or (ends and ends[0] <= 0):
        raise InputError(f"{place}: the splitter's ends do not rise to the text's {len(text)} characters")
    return ends


def text_hash(text: str) -> int:
    """Hashes a text to 64 bits, ignoring case, width of characters and white space."""
    plain = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    return int.from_bytes(hashlib.blake2b(plain.encode(), digest_size=8).digest(), "little")


def word_ngrams(text: str, length: int) -> set[int]:
    """Hashes all word n-grams of a text; a shorter text is one n-gram if it has at least half as many words."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())
    # Without this case a short test question could never block anything.
    if length / 2 <= len(words) < length:
        return {text_hash(" ".join(words))}
    return {text_hash(" ".join(words[at : at + length])) for at in range(len(words) - length + 1)}


SEPARATOR = "<|separator|>"
"""Token that ends a segment in a tokenizer trained here."""
SEPARATORS = (SEPARATOR, "<|endoftext|>", "</s>", "<eos>", "[SEP]", "<|end_of_text|>")
"""Tokens of other tokenizers that may end a segment; the first that is in the vocabulary is taken."""


class ByteTokenizer:
    """Tokenizes text to its UTF-8 bytes; token 256 is the separator."""

    vocabulary = 257
    separator = 256
    fingerprint = "bytes"

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Returns the bytes of each text."""
        return [np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32) for text in texts]


class FileTokenizer:
    """Tokenizes text with a ``tokenizer.json`` of Hugging Face."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        if not path.is_file():
            raise InputError(f"no tokenizer '{path}': give a folder with a tokenizer.json, 'bpe' or 'bytes'")
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare exceptions
            raise InputError(f"'{path}' is not a tokenizer: {str(error).splitlines()[0]}") from error
        found = [self._tokenizer.token_to_id(name) for name in SEPARATORS]
        known = [token for token in found if token is not None]
        if not known:
            raise InputError(f"'{path}' has none of the tokens {', '.join(SEPARATORS)} to end a segment with: add one")
        self.separator: int = known[0]
        self.vocabulary: int = 1 + max(self._tokenizer.get_vocab().values())
        self.fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Returns the tokens of each text, without special tokens."""
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(each.ids, dtype=np.int32) for each in found]


AnyTokenizer = ByteTokenizer | FileTokenizer


def open_tokenizer(tokenizer: ObjectOrPath, written: Path) -> AnyTokenizer:
    """Opens ``bytes``, a folder's tokenizer, or the file ``written`` for ``bpe`` and for one that is in memory."""
    if not is_path(tokenizer) or tokenizer == "bpe":
        return FileTokenizer(written)
    return ByteTokenizer() if tokenizer == "bytes" else FileTokenizer(Path(tokenizer).expanduser() / "tokenizer.json")


def tokenizer_json(tokenizer: Any) -> str:
    """Writes a tokenizer in memory as the text of a ``tokenizer.json``."""
    own = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(own, "to_str"):
        raise InputError(f"{tokenizer!r:.60} is no fast tokenizer: give one of transformers, a folder, bpe or bytes")
    return str(own.to_str())


def train_tokenizer(texts: Iterable[str], vocabulary: int, path: Path) -> None:
    """Trains byte-level byte-pair encoding and writes it as a ``tokenizer.json`` that transformers loads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))


@dataclass(frozen=True)
class Segments:
    """All segments of a corpus in the order of the text; a segment's id is its index here."""

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
    """Whether a segment shares a word n-gram with a test set."""
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
        # Documents are numbered from 0, so the prepended -1 makes the first segment a change too.
        return np.append(np.flatnonzero(np.diff(self.document, prepend=-1)), len(self))


def write_texts(texts: Sequence[str], path: Path) -> None:
    """Writes the documents of one shard as Parquet with a column ``text``."""
    arrow: Any = require("pyarrow", extra="data")
    parquet: Any = require("pyarrow.parquet", extra="data")
    parquet.write_table(arrow.table({"text": arrow.array(texts, arrow.large_string())}), path, compression="zstd")


def read_texts(path: Path) -> list[str]:
    """Reads the documents of one shard."""
    parquet: Any = require("pyarrow.parquet", extra="data")
    return parquet.read_table(path).column("text").to_pylist()


def segment_documents(
    texts: Sequence[str], tokenizer: AnyTokenizer, settings: SegmentSettings, blocked: frozenset[int] = frozenset()
) -> dict[str, Any]:
    """Splits documents into segments and tokenizes them: a pure function of its arguments.

    Columns: ``document`` (within the shard), ``start`` and ``end`` (characters of the document), ``hash``,
    ``eligible``, ``blocked``, ``tokens`` (a list per segment). The argument ``blocked`` holds hashes of the word
    n-grams of test sets.
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
        "blocked": [
            bool(blocked) and not blocked.isdisjoint(word_ngrams(piece, settings.blocked_words)) for piece in pieces
        ],
        "tokens": tokens,
    }


def write_segments(columns: dict[str, Any], path: Path) -> None:
    """Writes the segments of one shard as Parquet."""
    arrow: Any = require("pyarrow", extra="data")
    parquet: Any = require("pyarrow.parquet", extra="data")
    types = {
        "document": arrow.int32(),
        "start": arrow.int64(),
        "end": arrow.int64(),
        "hash": arrow.uint64(),
        "eligible": arrow.bool_(),
        "blocked": arrow.bool_(),
        "tokens": arrow.large_list(arrow.int32()),
    }
    table = arrow.table({name: arrow.array(columns[name], type_) for name, type_ in types.items()})
    parquet.write_table(table, path, compression="zstd")


def read_segments(paths: Sequence[Path], documents: Sequence[int], *, hold_out: int = 0) -> Segments:
    """Reads the segments of all shards into flat arrays.

    ``documents`` counts those of each shard, those without segments included; one in ``hold_out`` is held out.
    """
    parquet: Any = require("pyarrow.parquet", extra="data")
    flat = ("document", "hash", "eligible", "blocked")
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (*flat, "tokens", "lengths")}
    for path, first in zip(paths, itertools.accumulate(documents, initial=0), strict=False):
        table = parquet.read_table(path, columns=[*flat, "tokens"]).combine_chunks()
        for name in flat:
            columns[name].append(table.column(name).to_numpy(zero_copy_only=False))
        # A shard counts its documents from 0: ``first`` makes the numbers those of the corpus.
        columns["document"][-1] = columns["document"][-1].astype(np.int64) + first
        for part in table.column("tokens").chunks:
            columns["tokens"].append(part.flatten().to_numpy())
            columns["lengths"].append(np.diff(part.offsets.to_numpy()))
    joined = {name: np.concatenate(parts or [np.zeros(0, dtype=np.int32)]) for name, parts in columns.items()}
    document = joined["document"]
    return Segments(
        document=document,
        offsets=np.concatenate([[0], np.cumsum(joined["lengths"])]).astype(np.int64),
        tokens=joined["tokens"],
        hashes=joined["hash"],
        eligible=joined["eligible"],
        blocked=joined["blocked"],
        held_out=(document % hold_out == hold_out - 1) if hold_out else np.zeros(len(document), dtype=bool),
    )


def eligible_texts(texts: list[str], path: Path) -> Iterator[str]:
    """Yields the texts of a shard's eligible segments, cut from its documents again."""
    parquet: Any = require("pyarrow.parquet", extra="data")
    table = parquet.read_table(path, columns=["document", "start", "end", "eligible"]).to_pydict()
    for document, start, end, eligible in zip(*table.values(), strict=True):
        if eligible:
            yield texts[document][start:end]
