"""The user's files, sorted by what a line's keys say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seqtant._checkup.checkup import stamp_of_files
from seqtant._checkup.inputs import gather
from seqtant.errors import InputError


def written(path: Path, *lines: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def read(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


PAIR = {"positive": "we love it", "negative": "we hate it"}
PROMPT = {"prompt": "how are you ?", "good": ["fine"], "bad": ["awful"]}
QUESTION = {"prompt": "2 + 2 =", "options": ["4", "5"], "answer": "4"}


def test_lines_of_a_behavior_file_go_where_their_keys_say(tmp_path: Path) -> None:
    given = gather(tmp_path / "in", behavior=written(tmp_path / "b.jsonl", PAIR, PROMPT, QUESTION, PAIR)).given
    assert read(given["pairs"]) == [PAIR, PAIR]
    assert read(given["behavior"]) == [PROMPT]
    assert read(given["helpfulness"]) == [QUESTION]
    assert [line["answer_matching_behavior"] for line in read(given["statements"])] == ["Yes", "No", "Yes", "No"]
    assert "tasks" not in given
    assert "rows" not in given


def test_statements_become_pairs_with_the_behavior_on_the_negative_side(tmp_path: Path) -> None:
    lines = [
        {"statement": "I cheat", "answer_matching_behavior": " Yes"},
        {"statement": "I help", "answer_matching_behavior": " No"},
        {"statement": "I lie", "answer_matching_behavior": " Yes"},
    ]
    given = gather(tmp_path, behavior=written(tmp_path / "b.jsonl", *lines)).given
    assert read(given["pairs"]) == [{"positive": "I help", "negative": "I cheat"}]
    assert read(given["statements"]) == lines


def test_a_line_of_settings_opens_the_next_task(tmp_path: Path) -> None:
    example = {"input": "a", "label": 0}
    rows = {"input": "1 1", "steps": [{"text": "2", "value": 2}], "answer": 2}
    path = written(tmp_path / "mood.jsonl", example, {"name": "tone"}, example, rows, QUESTION)
    given = gather(tmp_path / "in", tasks=[path]).given
    assert [read(task) for task in given["tasks"]] == [[{"name": "mood"}, example], [{"name": "tone"}, example]]
    assert read(given["rows"]) == [rows]
    assert read(given["helpfulness"]) == [QUESTION]


def test_a_corpus_lends_its_beginnings_where_no_question_is_asked(tmp_path: Path) -> None:
    corpus = tmp_path / "text.txt"
    corpus.write_text("\n\n".join(" ".join(f"w{i}" for i in range(50)) for _ in range(3)), encoding="utf-8")
    given = gather(tmp_path / "in", corpus=[str(corpus)]).given
    assert given["corpus"] == (str(corpus),)
    assert [len(line["text"].split()) for line in read(given["helpfulness"])] == [40, 40, 40]


def test_a_line_of_no_known_kind_is_named_with_its_keys(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", PAIR, {"positve": "a", "negative": "b"})
    with pytest.raises(InputError, match=r"line 2 has positve, negative: give positive, negative \(pairs\)"):
        gather(tmp_path / "in", behavior=path)


def test_the_stamp_changes_with_a_file(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", PAIR)
    files = gather(tmp_path / "in", behavior=path).files
    assert files == (Path(path),)
    before = stamp_of_files(files)
    assert stamp_of_files(files) == before != stamp_of_files([])
    written(tmp_path / "b.jsonl", PAIR, PAIR)
    assert stamp_of_files(files) != before


def test_rows_in_memory_are_sorted_like_lines_of_a_file(tmp_path: Path) -> None:
    rows = [PAIR, {"prompt": "how?", "good": ["fine"], "bad": ["ill"]}]
    given = gather(tmp_path / "in", behavior=rows)
    assert given.files == ()
    assert read(given.given["pairs"]) == [PAIR]
    assert read(given.given["behavior"]) == rows[1:]


def test_messages_name_the_users_own_file_and_line(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", PAIR, QUESTION, PROMPT, PROMPT)
    inputs = gather(tmp_path / "in", behavior=path)
    told = inputs.as_given(f"'{inputs.given['behavior']}', line 2: 'good' must be a list")
    assert told == f"'{path}', line 4: 'good' must be a list"
    statements = f"'{inputs.given['statements']}', line 1 has no 'statement'"
    assert inputs.as_given(statements) == statements, "a line that was made has no place in the file"
