"""Segments are the text again, in every script, and lengths stay bounded."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtant.errors import InputError
from seqtant.pretraining.corpus.segments import (
    MOST_CHARACTERS,
    find_splitter,
    line_ends,
    sentence_ends,
    split,
    text_hash,
    word_ngrams,
)


def pieces(text: str, ends: list[int]) -> list[str]:
    return [text[a:b] for a, b in itertools.pairwise([0, *ends])]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="aB. !?\n\"'。！؟।\u3000\r\t٣é", max_size=80))
def test_spans_are_the_text_again(text: str) -> None:
    for splitter in (sentence_ends, line_ends):
        ends = split(text, splitter, "here")
        assert "".join(pieces(text, ends)) == text
        assert all(pieces(text, ends))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Dr. Who met Mr. Fox. They ran.", 2),
        ("It cost 3.50 dollars. Cheap!", 2),
        ('"Stop!" he said. "Why?" she asked.', 4),
        ("他走了。她来了！真的吗？", 3),
        ("هل أنت هنا؟ نعم۔ حسنا.", 3),
        ("यह एक है। वह दो है।", 2),
        ("one\ntwo\n\nthree", 3),
        ("= Title =\n\nText follows.", 2),
    ],
)
def test_sentences_of_several_scripts(text: str, count: int) -> None:
    assert len(sentence_ends(text)) == count


def test_a_text_without_boundaries_is_cut_at_blanks() -> None:
    ends = sentence_ends("word " * 5000)
    assert max(b - a for a, b in itertools.pairwise([0, *ends])) <= MOST_CHARACTERS
    assert all(piece.startswith("word") for piece in pieces("word " * 5000, ends))
    assert len(sentence_ends("x" * 5000)) == 3


def test_an_empty_text_has_no_segments() -> None:
    assert sentence_ends("") == []


def test_a_splitter_that_loses_characters_is_refused() -> None:
    with pytest.raises(InputError, match="do not rise to the text's 3 characters"):
        split("abc", lambda text: [1], "here")
    with pytest.raises(InputError, match="here: the splitter failed: ZeroDivisionError"):
        split("abc", lambda text: [len(text) // 0], "here")


def test_splitters_by_name() -> None:
    assert find_splitter("lines") is line_ends
    assert find_splitter("seqtant.pretraining.corpus.segments:line_ends") is line_ends
    with pytest.raises(InputError, match="cannot be imported"):
        find_splitter("no.such.module:thing")
    with pytest.raises(InputError, match="did you mean 'lines'"):
        find_splitter("line")


def test_hashes_ignore_case_width_and_space() -> None:
    assert text_hash("Ａ  Text\n") == text_hash("a text")
    assert text_hash("a text") != text_hash("a test")


def test_word_ngrams_find_an_overlap_and_nothing_else() -> None:
    question = "what is the name of the ship that sank"
    assert word_ngrams("He asked: What is the NAME of the ship, that day?", 6) & word_ngrams(question, 6)
    assert not word_ngrams("the name is what the ship that sank", 6) & word_ngrams(question, 6)
