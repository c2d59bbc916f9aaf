"""How text becomes tokens: a Hugging Face tokenizer, one learned from the corpus and kept beside it, or bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqtant.errors import InputError

SEPARATOR = "<|separator|>"
"""What ends a segment where the tokenizer is learned here."""
SEPARATORS = (SEPARATOR, "<|endoftext|>", "</s>", "<eos>", "[SEP]", "<|end_of_text|>")
"""What may end one, first come first served: tokens that such files commonly call end of text."""


class ByteTokenizer:
    """The 256 bytes of UTF-8 and a separator."""

    vocabulary = 257
    separator = 256
    fingerprint = "bytes"

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Bytes of each text."""
        return [np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32) for text in texts]


class FileTokenizer:
    """A tokenizer in the ``tokenizer.json`` format of Hugging Face.

    Args:
        path: The file.

    Raises:
        InputError: The file is missing or broken, or no token can separate.
    """

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
        """Tokens of each text, no special ones added."""
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(each.ids, dtype=np.int32) for each in found]


AnyTokenizer = ByteTokenizer | FileTokenizer


def open_tokenizer(name: str, learned: Path) -> AnyTokenizer:
    """Opens a tokenizer.

    Args:
        name: ``bytes``, ``bpe`` for the learned one, or a folder.
        learned: Where the learned one lies.

    Raises:
        InputError: It cannot be read.
    """
    if name == "bytes":
        return ByteTokenizer()
    return FileTokenizer(learned if name == "bpe" else _file_in(Path(name).expanduser()))


def _file_in(folder: Path) -> Path:
    return folder / "tokenizer.json"


def learn_tokenizer(texts: Iterable[str], vocabulary: int, path: Path) -> None:
    """Learns byte-level byte-pair encoding and writes it as a ``tokenizer.json`` that transformers loads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    learning: Any = Tokenizer(models.BPE())
    learning.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learning.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learning.train_from_iterator(texts, trainer)
    learning.save(str(path))
