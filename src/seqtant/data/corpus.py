"""A text as two long rows of tokens, one to train on and one to validate on, split by document."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtant.data.documents import Documents
from seqtant.data.tokens import TokenKind, Tokens, learn_tokens
from seqtant.errors import InputError
from seqtant.runs.files import whole_file, write_text


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Tokens of a text, ready to be cut into windows."""

    train: np.ndarray
    """Tokens to train on, [n]; a separator after each document."""
    validation: np.ndarray
    """Tokens to validate on, [m]."""
    validation_bytes: int
    """UTF-8 bytes of the validation text, separators not counted."""
    vocabulary: int
    """Number of tokens."""
    fingerprint: str
    """Tells two corpora apart: text, tokenizer and split."""

    def bits_per_byte(self, loss: float) -> float:
        """A loss in nats per token as bits per byte of text: the unit in which tokenizers can be compared.

        Example:
            >>> Corpus(train=np.zeros(1), validation=np.zeros(50), validation_bytes=100, vocabulary=2,
            ...        fingerprint="").bits_per_byte(math.log(2))
            0.5
        """
        return loss / math.log(2) * len(self.validation) / self.validation_bytes


def build_corpus(
    documents: Documents,
    kind: TokenKind,
    *,
    vocabulary: int = 2000,
    every: int = 10,
    folder: Path | None = None,
) -> Corpus:
    """Tokenizes documents; each ``every``-th one validates, the others train.

    Args:
        documents: Gone through two or three times.
        kind: ``bytes``, ``characters`` or ``bpe``; learned from the training documents only.
        vocabulary: Size for ``bpe``.
        every: One document in so many validates.
        folder: Where the tokens are kept as memory-mapped files, to be found again by the next run; None keeps them in
            memory.

    Raises:
        InputError: There are too few documents to split.
    """
    if every < 2:
        raise InputError(f"every {every}-th document cannot validate: give at least 2")
    if next(_side(documents, every, validating=True), None) is None:
        raise InputError(f"the text has fewer than {every} documents: one in {every} must validate; give more text")
    tokens = learn_tokens(kind, _side(documents, every, validating=False), vocabulary=vocabulary)
    name = hashlib.sha256(f"{documents.fingerprint} {tokens.fingerprint} {every}".encode()).hexdigest()[:16]
    if folder is not None:
        return _on_disk(folder / f"tokens-{name}", documents, tokens, every, name)
    sides = [_in_memory(_side(documents, every, validating=side), tokens) for side in (False, True)]
    return Corpus(
        train=sides[0],
        validation=sides[1],
        validation_bytes=_bytes(documents, every),
        vocabulary=tokens.vocabulary,
        fingerprint=name,
    )


def _side(documents: Documents, every: int, *, validating: bool) -> Iterator[str]:
    for index, text in enumerate(documents):
        if (index % every == every - 1) == validating:
            yield text


def _bytes(documents: Documents, every: int) -> int:
    return sum(len(text.encode()) for text in _side(documents, every, validating=True))


def _encoded(texts: Iterator[str], tokens: Tokens) -> Iterator[np.ndarray]:
    kind = np.uint16 if tokens.vocabulary <= 2**16 else np.uint32
    for text in texts:
        yield np.append(np.asarray(tokens.encode(text), dtype=kind), np.asarray([tokens.separator], dtype=kind))


def _in_memory(texts: Iterator[str], tokens: Tokens) -> np.ndarray:
    parts = list(_encoded(texts, tokens))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint16)


def _on_disk(place: Path, documents: Documents, tokens: Tokens, every: int, name: str) -> Corpus:
    about = place / "corpus.json"
    if not about.is_file():
        sizes: dict[str, int] = {}
        kind = ""
        for side, validating in (("train", False), ("validation", True)):
            with whole_file(place / f"{side}.bin") as partial, partial.open("wb") as file:
                for part in _encoded(_side(documents, every, validating=validating), tokens):
                    kind = part.dtype.str
                    file.write(part.tobytes())
                sizes[side] = file.tell()
        write_text(about, json.dumps({"kind": kind, "bytes": sizes, "validation_bytes": _bytes(documents, every)}))
    state = json.loads(about.read_text(encoding="utf-8"))
    sides: dict[str, np.ndarray] = {}
    for side, size in state["bytes"].items():
        path = place / f"{side}.bin"
        if not path.is_file() or path.stat().st_size != size:
            raise InputError(f"'{path}' is not what was written: delete the folder '{place}' to make it again")
        sides[side] = np.memmap(path, dtype=np.dtype(state["kind"]), mode="r")
    return Corpus(
        train=sides["train"],
        validation=sides["validation"],
        validation_bytes=state["validation_bytes"],
        vocabulary=tokens.vocabulary,
        fingerprint=name,
    )
