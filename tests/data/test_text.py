"""Documents, tokenizers, splits and windows: what goes in comes out, and what is no text is refused."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqtant.data.corpus import build_corpus
from seqtant.data.documents import TextFile, TextList
from seqtant.data.espeak import phrase_documents
from seqtant.data.tokens import BytePairTokens, ByteTokens, CharacterTokens, TokenWindows, spread_windows
from seqtant.errors import InputError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_blank_lines_separate_plain_documents(tmp_path):
    path = write(tmp_path / "a.txt", "one\ntwo\n\n\nthree\n  \nfour")
    assert list(TextFile(path)) == ["one\ntwo\n", "three\n", "four"]


def test_without_blank_lines_every_line_is_a_document(tmp_path):
    assert list(TextFile(write(tmp_path / "a.txt", "one\ntwo\n"))) == ["one\n", "two\n"]


def test_json_lines_by_field(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "x", "other": "y"}\n\n{"text": "é", "other": "z"}\n')
    assert list(TextFile(path)) == ["x", "é"]
    assert list(TextFile(path, field="other")) == ["y", "z"]
    assert TextFile(path).fingerprint != TextFile(path, field="other").fingerprint


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b" \n\n", "holds only white space"),
        ("a.txt", b"ab\x00cd", "is a binary file"),
        ("a.txt", b"\xff\xfe\xfa", "is not UTF-8 text"),
        ("a.jsonl", b'{"text": "x"}\n{"text": NaN}', "line 2: 'text' is nan"),
        ("a.jsonl", b'{"text": ""}', "line 1: 'text' is ''"),
        ("a.jsonl", b'{"text": "x"', "line 1 is not JSON"),
        ("a.jsonl", b'{"tekst": "x"}', r"line 1 has no 'text' \(did you mean 'tekst'\?\)"),
        ("a.jsonl", b"[1]", "line 1 holds no JSON object"),
    ],
)
def test_what_is_no_text_is_refused_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(TextFile(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        TextFile(tmp_path / "none.txt")


@given(st.text())
def test_bytes_round_trip(text):
    tokens = ByteTokens()
    encoded = tokens.encode(text)
    assert encoded.tolist() == list(text.encode())
    assert tokens.decode(encoded.tolist()) == text


@given(st.text(alphabet="abcdé漢🎈", min_size=1), st.text(alphabet="abcdé漢🎈xyz"))
def test_characters_round_trip_and_unknown_ones_are_marked(known, text):
    tokens = CharacterTokens([known])
    assert tokens.vocabulary == len(set(known)) + 2
    assert tokens.decode(tokens.encode(known).tolist()) == known
    assert tokens.decode(tokens.encode(text).tolist()) == "".join(c if c in known else "\ufffd" for c in text)


@given(st.text())
def test_byte_pairs_round_trip_whatever_they_learned_from(text):
    tokens = PAIRS
    assert tokens.decode(tokens.encode(text)) == text


PAIRS = BytePairTokens(phrase_documents(20), 400)


def test_byte_pairs_shorten_the_text_they_learned():
    text = next(iter(phrase_documents(1, seed=5)))
    assert PAIRS.vocabulary == 400
    assert len(PAIRS.encode(text)) < 0.4 * len(text)
    assert PAIRS.fingerprint == BytePairTokens(phrase_documents(20), 400).fingerprint
    with pytest.raises(InputError, match="too small"):
        BytePairTokens(["a"], 100)


def test_split_is_by_document_and_validation_teaches_nothing():
    documents = TextList(["ab"] * 3 + ["xy"] + ["ba"] * 3 + ["yz"])
    corpus = build_corpus(documents, "characters", every=4)
    assert corpus.vocabulary == 4  # a, b, unknown, separator: nothing of x, y, z
    assert corpus.validation.tolist() == [1, 1, 0, 1, 1, 0]
    assert len(corpus.train) == 6 * 3
    assert corpus.validation_bytes == 4


def test_bits_per_byte_does_not_depend_on_the_tokenizer():
    """A uniform guess over 256 bytes costs 8 bits per byte, whatever the tokens are called."""
    corpus = build_corpus(phrase_documents(20), "bytes")
    per_byte = np.log(256) * corpus.validation_bytes / len(corpus.validation)
    assert corpus.bits_per_byte(per_byte) == pytest.approx(8.0)


@pytest.mark.parametrize("kind", ["bytes", "characters", "bpe"])
def test_tokens_on_disk_are_those_in_memory_and_are_found_again(tmp_path, kind):
    documents = phrase_documents(30)
    memory = build_corpus(documents, kind, vocabulary=300)
    disk = build_corpus(documents, kind, vocabulary=300, folder=tmp_path)
    assert isinstance(disk.train, np.memmap)
    for one, two in ((memory.train, disk.train), (memory.validation, disk.validation)):
        assert one.dtype == two.dtype
        assert (one == two).all()
    assert (memory.fingerprint, memory.validation_bytes) == (disk.fingerprint, disk.validation_bytes)
    (folder,) = tmp_path.iterdir()
    written = (folder / "train.bin").stat().st_mtime_ns
    build_corpus(documents, kind, vocabulary=300, folder=tmp_path)
    assert (folder / "train.bin").stat().st_mtime_ns == written


def test_truncated_tokens_are_refused(tmp_path):
    build_corpus(phrase_documents(30), "bytes", folder=tmp_path)
    (folder,) = tmp_path.iterdir()
    path = folder / "train.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match="is not what was written: delete the folder"):
        build_corpus(phrase_documents(30), "bytes", folder=tmp_path)


def test_half_written_tokens_are_made_again(tmp_path):
    build_corpus(phrase_documents(30), "bytes", folder=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert set(json.loads((folder / "corpus.json").read_text())) == {"kind", "bytes", "validation_bytes"}
    (folder / "corpus.json").unlink()
    (folder / "validation.bin").unlink()
    again = build_corpus(phrase_documents(30), "bytes", folder=tmp_path)
    assert len(again.validation) > 0


def test_too_few_documents_are_refused_and_nothing_is_left(tmp_path):
    for folder in (None, tmp_path):
        with pytest.raises(InputError, match="fewer than 10 documents"):
            build_corpus(TextList(["a"] * 9), "bytes", folder=folder)
    assert not any(tmp_path.iterdir())
    with pytest.raises(InputError, match="give at least 2"):
        build_corpus(TextList(["a"] * 9), "bytes", every=1)


def test_windows_depend_on_seed_and_step_and_cover_the_row():
    row = np.arange(50, dtype=np.uint16)
    source, other = (TokenWindows(row, length=8, rows=64, seed=seed) for seed in (0, 1))
    first = source.batch(3)["input_ids"]
    assert torch.equal(first, TokenWindows(row, length=8, rows=64, seed=0).batch(3)["input_ids"])
    assert not torch.equal(first, source.batch(4)["input_ids"])
    assert not torch.equal(first, other.batch(3)["input_ids"])
    assert source.fingerprint != other.fingerprint
    starts = torch.cat([source.batch(step)["input_ids"][:, 0] for step in range(20)])
    assert set(starts.tolist()) == set(range(43))


def test_spread_windows_do_not_overlap_and_reach_both_ends():
    windows = spread_windows(np.arange(1000), length=7, most=50)
    assert windows.shape == (50, 7)
    assert windows.flatten().unique().numel() == 350
    assert (int(windows[0, 0]), int(windows[-1, -1])) == (0, 999)
    assert len(spread_windows(np.arange(20), length=7, most=50)) == 2


def test_a_row_shorter_than_a_window_is_refused():
    for make in (lambda r: TokenWindows(r, length=8, rows=1, seed=0), lambda r: spread_windows(r, length=8, most=1)):
        with pytest.raises(InputError, match="has no window of 8"):
            make(np.arange(5))


def test_phrases_agree_in_number_and_repeat_with_their_seed():
    documents = list(phrase_documents(200, seed=1))
    assert documents == list(phrase_documents(200, seed=1)) != list(phrase_documents(200, seed=2))
    text = " ".join(documents)
    words = text.replace(".", "").lower().split()
    plural = {"sailors", "bakers", "teachers", "painters", "farmers", "girls", "doctors", "poets", "guards", "captains"}
    verbs = {"carries", "finds", "keeps", "paints", "wants", "drops", "hides", "sells", "brings", "watches"}
    follows = {after for word, after in pairwise(words) if word in plural}
    assert not follows & verbs
    assert {"carry", "watch", "find", "that"} <= follows


def test_real_text_is_read_whole(shared_data):
    path = shared_data / "text" / "brown.jsonl"
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    corpus = build_corpus(TextFile(path), "characters")
    assert len(corpus.train) + len(corpus.validation) == sum(map(len, texts)) + len(texts)
    assert corpus.vocabulary <= len(set("".join(texts))) + 2
