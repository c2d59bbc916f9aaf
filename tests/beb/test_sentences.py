"""Sentence ends on token ids: marks, numbers, abbreviations, quotes, line breaks, East Asian text, empty stretches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from seqtant.beb.prompts.sampling import SentenceEnds


class Letters:
    """A tokenizer of single characters."""

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(chr(number) for number in ids)


def sentences(text: str, marks: str = ".!?。！？") -> list[str]:
    model: Any = SimpleNamespace(tokenizer=Letters(), name="letters")
    ids = [ord(letter) for letter in text]
    found, begin = [], 0
    for end in SentenceEnds(model, marks).ends(ids):
        found.append(text[begin : end + 1].strip())
        begin = end + 1
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One here. Two there! Three?", ["One here.", "Two there!", "Three?"]),
        ("It costs 3.50 today. Fine.", ["It costs 3.50 today.", "Fine."]),
        ("See e.g. this one. Done.", ["See e.g. this one.", "Done."]),
        ("Dr. Smith met J. Doe. They left.", ["Dr. Smith met J. Doe.", "They left."]),
        ('He said "no." Then left.', ['He said "no."', "Then left."]),
        ("A line\nanother line\n", ["A line", "another line"]),
        ("今日は。元気？はい！", ["今日は。", "元気？", "はい！"]),
        ("Wait... what? ", ["Wait...", "what?"]),
        (". . \n\n ! ", []),
        ("", []),
        ("no end in sight", []),
        ("Look at a.b.c now. Yes.", ["Look at a.b.c now.", "Yes."]),
    ],
)
def test_ends_of_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_an_open_sentence_at_the_edge_is_settled_by_what_follows() -> None:
    assert sentences("It is 3.") == ["It is 3."]
    assert sentences("It is 3.5") == []


def test_only_the_given_marks_count() -> None:
    assert sentences("how are you ? glad . fine .", ".!") == ["how are you ? glad .", "fine ."]
