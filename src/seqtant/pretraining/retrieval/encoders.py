"""Embeds segments: latent semantic analysis (no download needed), sentence-transformers, or your own function."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import numpy as np
from jaxtyping import Float
from scipy import sparse

from seqtant.errors import InputError
from seqtant.optional import require
from seqtant.pretraining.corpus.segments import import_function
from seqtant.pretraining.sections import EmbedSettings
from seqtant.registry import Registry
from seqtant.sources import refuse_pickles

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[\u3040-\u30ff\u3400-\u9fff]", re.UNICODE)

SparseRows = Any
"""A ``scipy.sparse.csr_matrix`` of float32; SciPy ships no types."""
Encoder = Callable[[list[str]], Any]
"""From texts to vectors, one row per text, e.g. a sentence-transformers model's ``encode``."""

ENCODERS: Registry[Encoder] = Registry("encoder", group="seqtant.encoders")
"""Encoders by name; packages add theirs under the entry point ``seqtant.encoders``."""


@dataclass(frozen=True)
class LatentSemanticEncoder:
    """Embeds texts by latent semantic analysis of their hashed words: x = normalize((1 + ln count) * idf) @ basis.

    The basis is that of the truncated singular value decomposition of the matrix of weighted word counts (Deerwester
    et al. 1990), computed by randomized subspace iteration (Halko, Martinsson, Tropp 2011).
    """

    weights: Float[np.ndarray, " buckets"]
    """Inverse document frequency of each hash bucket."""
    basis: Float[np.ndarray, "buckets dimension"]
    """Leading right singular vectors of a sample of texts."""

    @classmethod
    def fit(cls, texts: Sequence[str], *, dimension: int, buckets: int) -> LatentSemanticEncoder:
        """Fits weights and basis to a sample of texts."""
        counts = _counts(texts, buckets)
        frequency = np.asarray((counts > 0).sum(axis=0)).ravel()
        # The 1 below keeps words that the sample lacks finite, log1p keeps every weight positive.
        weights = np.log1p(counts.shape[0] / (1 + frequency)).astype(np.float32)
        return cls(weights, _leading_directions(_weighted(counts, weights), dimension))

    def __call__(self, texts: list[str], /) -> Float[np.ndarray, "texts dimension"]:
        """Embeds texts; the rows do not have length 1."""
        return _weighted(_counts(texts, len(self.weights)), self.weights) @ self.basis


@cache
def _bucket(word: str, buckets: int) -> int:
    return crc32(word.encode()) % buckets


def _counts(texts: Sequence[str], buckets: int) -> SparseRows:
    """Counts words by hash bucket and damps the counts: 1 + ln(count)."""
    columns = [[_bucket(word, buckets) for word in _TOKEN.findall(text.lower())] for text in texts]
    # Compressed rows: those of text i are flat[pointers[i] : pointers[i + 1]], a word once per occurrence.
    pointers = np.cumsum([0, *map(len, columns)])
    flat = np.fromiter((column for row in columns for column in row), dtype=np.int32, count=int(pointers[-1]))
    counts: SparseRows = sparse.csr_matrix(
        (np.ones(len(flat), dtype=np.float32), flat, pointers), shape=(len(texts), buckets)
    )
    counts.sum_duplicates()
    counts.data = 1 + np.log(counts.data)
    return counts


def _weighted(counts: SparseRows, weights: np.ndarray) -> SparseRows:
    """Weights the counts and scales each row to length 1."""
    rows = counts.multiply(weights[None, :]).tocsr()
    norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    scale: Any = sparse.diags(1 / np.maximum(norms, 1e-12))
    return scale.dot(rows).astype(np.float32).tocsr()


def _leading_directions(rows: SparseRows, dimension: int, *, spare: int = 16, rounds: int = 3) -> np.ndarray:
    """Computes the right singular vectors of the largest singular values, [buckets, dimension]; fewer at lower rank."""
    # Empty columns would only cost time: their entries in every singular vector are zero.
    used = np.flatnonzero(np.asarray(rows.sum(axis=0)).ravel())
    if not len(used):
        return np.zeros((rows.shape[1], 1), dtype=np.float32)
    inside = rows[:, used]
    size = min(dimension + spare, *inside.shape)
    # More columns than asked for: the spare ones keep the last wanted directions accurate.
    found = np.random.default_rng(0).standard_normal((len(used), size)).astype(np.float32)
    # Subspace iteration: each round multiplies the share of a direction of singular value s by s^2.
    for _ in range(rounds):
        found = np.linalg.qr(inside.T @ (inside @ found))[0]
    # Rotates the subspace to the singular vectors within it.
    inner = np.linalg.svd((inside @ found).astype(np.float64), full_matrices=False)[2]
    basis = np.zeros((rows.shape[1], min(dimension, size)), dtype=np.float32)
    basis[used] = found @ inner.T[:, :dimension]
    return basis


def open_encoder(settings: EmbedSettings, fitted: Path) -> Encoder:
    """Opens the encoder that the settings name."""
    name = settings.encoder
    if name == "lsa":
        from safetensors.numpy import load_file

        return LatentSemanticEncoder(**load_file(fitted))
    if not Path(name).is_dir():
        return find_encoder(name)
    library: Any = require("sentence_transformers", extra="retrieval")
    # A folder may run code when it is loaded: foreign classes in modules.json, pickled weights.
    path = Path(name) / "modules.json"
    if path.is_file():
        try:
            kinds = [str(module["type"]) for module in json.loads(path.read_text(encoding="utf-8"))]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise InputError(f"'{path}' is no list of modules with a type each: copy the encoder again") from error
        for kind in kinds:
            if not kind.startswith("sentence_transformers."):
                raise InputError(f"'{path}' names the class '{kind}', code that is never run: give another encoder")
    # The modules of an encoder lie in folders beside modules.json.
    for part in (Path(name), *sorted(Path(name).iterdir())):
        if part.is_dir():
            refuse_pickles(part)
    try:
        model = library.SentenceTransformer(name, device="cpu", local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library lets errors of many kinds through
        raise InputError(f"cannot load the encoder '{name}': {str(error).splitlines()[0]}") from error
    encode: Callable[..., Any] = model.encode
    return lambda texts: encode(texts, batch_size=settings.rows, show_progress_bar=False, convert_to_numpy=True)


def find_encoder(name: str) -> Encoder:
    """Finds an encoder by its registered name or by ``module:function``."""
    if ":" in name:
        return cast(Encoder, import_function(name, "encoder"))
    if name in ENCODERS:
        return ENCODERS[name]
    added = "".join(f", '{each}'" for each in ENCODERS)
    raise InputError(f"no encoder '{name}': give 'lsa'{added}, a sentence-transformers folder, or module:function")


def embed(texts: list[str], encoder: Encoder, *, rows: int = 256) -> Float[np.ndarray, "texts dimension"]:
    """Embeds texts as vectors of length 1 in float16: a pure function of texts and encoder.

    Texts of similar length share a batch. A text without a known word gets the zero vector: it is nobody's neighbor.
    """
    order = np.argsort([len(text) for text in texts], kind="stable")
    parts: list[np.ndarray] = []
    for start in range(0, len(texts), rows):
        chosen = [texts[index] for index in order[start : start + rows]]
        try:
            found = np.asarray(encoder(chosen), dtype=np.float32)
        except Exception as error:  # a user's function may raise anything
            raise InputError(f"the encoder failed on {len(chosen)} texts: {type(error).__name__}: {error}") from error
        if found.ndim != 2 or len(found) != len(chosen):
            raise InputError(f"the encoder gave an array of shape {found.shape} for {len(chosen)} texts: one row each")
        if not np.isfinite(found).all():
            bad = chosen[int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])]
            raise InputError(f"the encoder gave a number that is not finite for {bad[:60]!r}: check the encoder")
        parts.append(found)
    if not parts:
        return np.zeros((0, 1), dtype=np.float16)
    vectors = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
    vectors[order] = np.concatenate(parts)
    # In float64: the square of a small float32 entry could vanish.
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.where(norms > 1e-9, vectors / np.maximum(norms, 1e-9), 0).astype(np.float16)
