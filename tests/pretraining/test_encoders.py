"""Encoders: words against a library's own, a real sentence-transformers folder, a function, and bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from seqtant.errors import InputError
from seqtant.pretraining.retrieval.encoders import LatentSemanticEncoder, _leading_directions, embed, open_encoder
from seqtant.pretraining.sections import EmbedSettings
from tests.pretraining.samples import TOPICS, topical_documents


def test_topics_are_told_apart() -> None:
    documents = topical_documents(30)
    vectors = embed(documents, LatentSemanticEncoder.fit(documents, dimension=6, buckets=256)).astype(float)
    scores = vectors @ vectors.T
    topic = np.arange(30) % 3
    same = topic[:, None] == topic[None, :]
    assert scores[same].min() > scores[~same].max()


def test_directions_are_those_of_another_library() -> None:
    rows = sparse.random(200, 80, density=0.1, random_state=0, format="csr", dtype=np.float32)
    rows = rows @ sparse.diags(np.linspace(3, 0.1, 80)).astype(np.float32)
    ours = _leading_directions(rows.tocsr(), 5, rounds=8)
    theirs = TruncatedSVD(5, algorithm="arpack").fit(rows.astype(np.float64)).components_.T
    overlap = np.linalg.svd(ours.T @ theirs, compute_uv=False)
    assert np.allclose(ours.T @ ours, np.eye(5), atol=1e-4)
    assert overlap.min() > 0.999


def test_vectors_have_length_one_and_do_not_depend_on_the_batch() -> None:
    documents = topical_documents(20)
    encoder = LatentSemanticEncoder.fit(documents, dimension=6, buckets=256)
    small, large = embed(documents, encoder, rows=3), embed(documents, encoder, rows=100)
    assert np.allclose(np.linalg.norm(small.astype(float), axis=1), 1, atol=1e-3)
    assert np.allclose(small.astype(float), large.astype(float), atol=2e-3)


def test_a_text_without_words_gets_the_zero_vector() -> None:
    encoder = LatentSemanticEncoder.fit(topical_documents(9), dimension=4, buckets=64)
    assert not embed(["... !!!"], encoder).any()


def counting(texts: list[str]) -> np.ndarray:
    return np.array([[text.count(letter) for letter in "abcdefgh"] for text in texts], dtype=float)


def broken(texts: list[str]) -> np.ndarray:
    return np.array([[1.0, np.nan if "bad" in text else 0.0] for text in texts])


def short(texts: list[str]) -> np.ndarray:
    return np.ones((1, 3))


def test_a_function_by_name() -> None:
    encoder = open_encoder(EmbedSettings(encoder=f"{__name__}:counting"), Path("unused"))
    assert embed(["abc", "ab"], encoder).shape == (2, 8)


def failing(texts: list[str]) -> np.ndarray:
    raise TypeError("no texts, please")


def ragged(texts: list[str]) -> list[list[float]]:
    return [[1.0] * (1 + number) for number in range(len(texts))]


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (broken, "not finite for 'a bad one'"),
        (short, "one row each"),
        (failing, "failed on 2 texts: TypeError: no texts, please"),
        (ragged, "failed on 2 texts: ValueError"),
    ],
)
def test_encoders_that_answer_nonsense_are_refused(encoder, message: str) -> None:
    with pytest.raises(InputError, match=message):
        embed(["a good one", "a bad one"], encoder)


@pytest.mark.parametrize(
    ("name", "message"), [("no-such-encoder", "no encoder"), ("no.module:there", "cannot be imported")]
)
def test_encoders_that_are_not_there_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_encoder(EmbedSettings(encoder=name), Path("unused"))


def test_a_sentence_transformers_folder(tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="the extra 'retrieval' is missing")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: number for number, word in enumerate(["[UNK]", *(w for topic in TOPICS.values() for w in topic)])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    weights = torch.randn(len(words), 12, generator=torch.Generator().manual_seed(0)).numpy()
    static = StaticEmbedding(tokenizer, embedding_weights=weights)
    sentence_transformers.SentenceTransformer(modules=[static], device="cpu").save(str(tmp_path / "static"))
    encoder = open_encoder(EmbedSettings(encoder=str(tmp_path / "static")), Path("unused"))
    found = embed(["ship harbor", "ship", "judge"], encoder).astype(float)
    mean = weights[[words["ship"], words["harbor"]]].mean(axis=0)
    assert np.allclose(found[0], mean / np.linalg.norm(mean), atol=2e-3)
    assert found[0] @ found[1] > found[0] @ found[2]


def test_a_folder_that_holds_no_encoder_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the extra 'retrieval' is missing")
    with pytest.raises(InputError, match="cannot load the encoder"):
        open_encoder(EmbedSettings(encoder=str(tmp_path)), Path("unused"))


@pytest.mark.parametrize("kind", ["mine.Module", "sentence_transformersx.Module"])
def test_classes_of_an_encoder_folder_are_not_imported(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("sentence_transformers", reason="pip install 'seqtant[retrieval]'")
    (tmp_path / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind}]))
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w').close()\n")
    with pytest.raises(InputError, match="code that is never run"):
        open_encoder(EmbedSettings(encoder=str(tmp_path)), tmp_path)
    assert not (tmp_path / "it-ran").exists()


def test_pickled_weights_of_an_encoder_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="pip install 'seqtant[retrieval]'")
    (tmp_path / "0_Transformer").mkdir()
    (tmp_path / "0_Transformer" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="pickled weights"):
        open_encoder(EmbedSettings(encoder=str(tmp_path)), tmp_path)
