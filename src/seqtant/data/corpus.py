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
from seqtant.data.tokens import BytePairTokens, ByteTokens, CharacterTokens, TokenKind
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
    """
    if every < 2:
        raise InputError(f"every {every}-th document cannot validate: give at least 2")

    def texts(validating: bool) -> Iterator[str]:
        return (text for index, text in enumerate(documents) if (index % every == every - 1) == validating)

    if next(texts(True), None) is None:
        raise InputError(f"the text has fewer than {every} documents: one in {every} must validate; give more text")
    if kind == "bytes":
        tokens = ByteTokens()
    else:
        # What validates must not be learned from.
        tokens = CharacterTokens(texts(False)) if kind == "characters" else BytePairTokens(texts(False), vocabulary)
    name = hashlib.sha256(f"{documents.fingerprint} {tokens.fingerprint} {every}".encode()).hexdigest()[:16]
    number = np.dtype(np.uint16 if tokens.vocabulary <= 2**16 else np.uint32)

    def encoded(validating: bool) -> Iterator[np.ndarray]:
        for text in texts(validating):
            yield np.append(np.asarray(tokens.encode(text), dtype=number), np.asarray([tokens.separator], dtype=number))

    sides: dict[str, np.ndarray] = {}
    if folder is None:
        for side, validating in (("train", False), ("validation", True)):
            sides[side] = np.concatenate([np.zeros(0, dtype=number), *encoded(validating)])
        validation_bytes = sum(len(text.encode()) for text in texts(True))
    else:
        place = folder / f"tokens-{name}"
        about = place / "corpus.json"
        # The description is written last: where it stands, the token files are complete.
        if not about.is_file():
            sizes: dict[str, int] = {}
            for side, validating in (("train", False), ("validation", True)):
                with whole_file(place / f"{side}.bin") as partial, partial.open("wb") as file:
                    for part in encoded(validating):
                        file.write(part.tobytes())
                    sizes[side] = file.tell()
            validation_bytes = sum(len(text.encode()) for text in texts(True))
            write_text(about, json.dumps({"kind": number.str, "bytes": sizes, "validation_bytes": validation_bytes}))
        state = json.loads(about.read_text(encoding="utf-8"))
        for side, size in state["bytes"].items():
            path = place / f"{side}.bin"
            if not path.is_file() or path.stat().st_size != size:
                raise InputError(f"'{path}' is not what was written: delete the folder '{place}' to make it again")
            sides[side] = np.memmap(path, dtype=np.dtype(state["kind"]), mode="r")
        validation_bytes = state["validation_bytes"]
    return Corpus(
        train=sides["train"],
        validation=sides["validation"],
        validation_bytes=validation_bytes,
        vocabulary=tokens.vocabulary,
        fingerprint=name,
    )
