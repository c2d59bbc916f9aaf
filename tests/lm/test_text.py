"""Text to ids and back: the start token, and the seam between prompt and answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtant.errors import InputError
from seqtant.lm import MarkovLM, decode, encode, encode_continuations, load


def test_words_become_ids_behind_the_start_token(saved_folder: Path) -> None:
    model = load(saved_folder)
    assert encode(model, ["the cat", "no"]) == [[0, 4, 5], [0, 10]]
    assert encode(model, ["the cat"], start=False) == [[4, 5]]
    assert encode(model, []) == []
    assert decode(model, [[0, 4, 5, 1]]) == ["the cat"]


def test_prefix_and_continuation_join_to_the_joined_text(saved_folder: Path) -> None:
    model = load(saved_folder)
    prefix, ends = encode_continuations(model, "answer: ", ["yes", "no the cat"])
    assert prefix == [0, 11, 13]
    assert ends == [[9], [10, 4, 5]]


def test_a_seam_inside_a_token_moves_the_token_to_the_continuations(shared_data: Path) -> None:
    model = load(shared_data / "stories260k")
    prefix, ends = encode_continuations(model, "Once upon a ti", ["me", "ger"])
    for text, end in zip(("Once upon a time", "Once upon a tiger"), ends, strict=True):
        assert [prefix + end] == encode(model, [text])


def test_what_has_no_words_or_no_seam_is_refused(saved_folder: Path) -> None:
    with pytest.raises(InputError, match="no tokenizer"):
        encode(MarkovLM([1.0]), ["a"])
    model = load(saved_folder)
    with pytest.raises(InputError, match="empty"):
        encode_continuations(model, "the", [""])
    with pytest.raises(InputError, match="cannot be told"):
        encode_continuations(model, "", ["cat"], start=False)
