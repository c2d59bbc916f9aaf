"""From opinions to pairs, prompts and questions: nothing leaks from one part to another, and what is asked is fair."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seqtant.errors import InputError
from seqtant.findings import from_json
from seqtant.steering.data import review_data
from seqtant.steering.data.items import read_behavior, read_helpfulness, read_pairs
from tests.steering.test_instruments import ask, call

FRAME = " it is"
REVIEWS = [
    review_data.Review(" ".join(f"{'praise' if good else 'blame'}{number}word{place}" for place in range(20)), good)
    for number in range(12)
    for good in (True, False)
]


def test_pairs_are_pieces_of_both_sides() -> None:
    odds = review_data.word_log_odds(REVIEWS)
    pairs = review_data.review_pairs(REVIEWS, odds, FRAME, 5, 1000, np.random.default_rng(0))
    assert len(pairs) == 12 * 4
    assert all(pair.positive.startswith("praise") and pair.negative.startswith("blame") for pair in pairs)
    assert all(text.endswith(FRAME) and len(text.split()) == 5 + 2 for p in pairs for text in (p.positive, p.negative))
    assert len({pair.positive for pair in pairs}) == len(pairs)


def test_the_clearest_pieces_come_first() -> None:
    plain = "the plot goes on and on"
    learned = [review_data.Review(f"superb {plain}", True), review_data.Review(f"dreadful {plain}", False)] * 20
    asked = [review_data.Review(f"{plain} {word} {plain}", word == "superb") for word in ("superb", "dreadful")] * 3
    asked += [review_data.Review(f"{plain} a {plain}", good) for good in (True, False)]
    (pair,) = review_data.review_pairs(
        asked, review_data.word_log_odds(learned), FRAME, 13, 1, np.random.default_rng(0)
    )
    assert "superb" in pair.positive
    assert "dreadful" in pair.negative


def test_every_opinion_asks_once() -> None:
    prompts = review_data.verdict_prompts(REVIEWS, FRAME, 5, (" good",), (" bad",))
    assert [prompt.prompt.split()[0] for prompt in prompts] == [review.text.split()[0] for review in REVIEWS]


def test_questions_are_of_words_as_frequent_as_the_right_one() -> None:
    generator = np.random.default_rng(1)
    words = [f"{a}{b}{c}{d}" for a in "abcd" for b in "aeiou" for c in "lmnrs" for d in "aeiou"]
    shares = 1 / np.arange(1, len(words) + 1)
    learned = [" ".join(generator.choice(words, size=400, p=shares / shares.sum())) for _ in range(200)]
    asked = review_data.cloze_questions(learned[:40], learned, 10, 4, generator)
    counts = Counter(word for text in learned for word in text.split())
    assert len(asked) > 1000
    assert all(len(set(question.options)) == 4 for question in asked)
    places = Counter(question.answer for question in asked)
    assert min(places.values()) > 0.2 * len(asked), "the right answer stands anywhere"
    rank = {word: place for place, (word, _) in enumerate(counts.most_common())}
    for question in asked:
        own = [rank[option.strip()] for option in question.options]
        assert (
            max(abs(place - own[question.answer]) for place in own) <= review_data.NEIGHBORS + 5
        )  # equal counts may swap
    frequency = [np.argmax([counts[option.strip()] for option in question.options]) for question in asked]
    share = np.mean([best == question.answer for best, question in zip(frequency, asked, strict=True)])
    assert share < 0.35, "frequency alone does not answer"


@pytest.mark.parametrize(("line", "reason"), [
    ('{"text": "x", "label": "meh"}', "'label' is 'meh'"),
    ('{"text": "x", "label": "pos"}', "the same label"),
    ('{"label": "pos"}', "has no 'text'"),
])  # fmt: skip
def test_bad_files_are_told(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(InputError, match=reason):
        review_data.read_reviews(str(path))


def test_training_writes_all_that_a_choice_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made"
    arguments = ("--preset", "smoke", "--seed", "1", "--out", str(out))
    result = ask(capsys, "train", *arguments)
    files = {name: str(out / f"{name}.jsonl") for name in ("pairs", "behavior", "cloze", "passages")}
    assert len(read_pairs(files["pairs"], limit=10**6)) == result.values["pairs"]
    assert len(read_behavior(files["behavior"], limit=10**6)) == result.values["behavior"]
    assert len(read_helpfulness(files["cloze"], limit=10**6)) == result.values["cloze"]
    assert len(read_helpfulness(files["passages"], limit=10**6)) == result.values["passages"]
    assert [artifact.kind for artifact in result.artifacts] == ["weights", *files]
    assert from_json(type(result), (out / "result.json").read_bytes()).values == result.values
    flags = ("--pairs", files["pairs"], "--behavior", files["behavior"], "--helpfulness", files["cloze"])
    small = ("--set", "prompts=8", "--set", "items=40", "--set", "max_pairs=20")
    chosen = ask(capsys, "choose", str(out / "model"), *flags, *small)
    assert np.isfinite(float(chosen.values["edge"] or np.nan))


def test_texts_that_are_not_there_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", "--reviews", str(tmp_path / "no.jsonl"), "--device", "cpu") == 2
    message = capsys.readouterr().err
    assert "no.jsonl" in message
    assert message.count("\n") == 1


def test_pieces_are_made_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    rows = [{"text": review.text, "label": "pos" if review.good else "neg"} for review in REVIEWS]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert review_data.read_reviews(str(path)) == REVIEWS
