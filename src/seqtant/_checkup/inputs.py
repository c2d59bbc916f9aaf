"""The user's files, sorted line by line into what each instrument reads.

A behavior file may hold lines of several kinds, and so may a tasks file; a line's keys say which kind it is. What an
instrument gets is written to a file of its own, so that the command in the report can be run as it stands.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqtant.data.json_lines import read_lines
from seqtant.errors import InputError
from seqtant.runs.files import make_folder, write_text
from seqtant.sources import Rows, is_path

Lines = list[dict[str, Any]]

BEHAVIOR = {
    "pairs": ("positive", "negative"),
    "prompts": ("prompt", "good", "bad"),
    "questions": ("prompt", "options", "answer"),
    "passages": ("text",),
    "statements": ("statement", "answer_matching_behavior"),
}
"""Kinds of lines of a behavior file, and the keys that tell them."""

TASKS = {
    "problems": ("input", "steps", "answer"),
    "examples": ("input", "label"),
    "questions": ("prompt", "options", "answer"),
    "settings": ("name",),
}
"""Kinds of lines of a tasks file."""

PASSAGES, PASSAGE = 200, 40
"""Most texts of a corpus whose perplexity is watched, and their words."""


@dataclass(frozen=True)
class Inputs:
    """What the instruments are given, as paths."""

    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Name of an input -> path or paths; what the user did not give is missing."""
    files: tuple[Path, ...] = ()
    """What the user gave as files."""


def gather(
    folder: Path, *, behavior: Rows | None = None, tasks: Sequence[Rows] = (), corpus: Sequence[str] = ()
) -> Inputs:
    """Sorts the user's files and writes one file per instrument and kind.

    Args:
        folder: Where they go; made if there is something to write.
        behavior: Behavior lines, a file or rows in memory.
        tasks: Task lines likewise; each becomes one task, or several where it holds several lines of settings.
        corpus: Text files.

    Raises:
        InputError: A file cannot be read, or a line is of no known kind.
    """
    files = tuple(Path(each).expanduser() for each in (behavior, *tasks, *corpus) if is_path(each))
    lines = {} if behavior is None else _sorted(behavior, BEHAVIOR)
    parts = [_sorted_tasks(path) for path in tasks]
    problems = [line for own in parts for line in own.problems]
    questions = lines.get("questions", []) + [line for own in parts for line in own.questions]
    wanted = {
        "pairs": lines.get("pairs") or _pairs(lines.get("statements", [])),
        "behavior": lines.get("prompts", []),
        "helpfulness": questions or lines.get("passages") or _passages(corpus),
        "statements": lines.get("statements") or _statements(lines.get("pairs", [])),
        "rows": problems,
    }
    given: dict[str, Any] = {name: _write(folder / f"{name}.jsonl", kept) for name, kept in wanted.items() if kept}
    shown = [task for own in parts for task in own.tasks]
    if shown:
        given["tasks"] = tuple(_write(folder / f"task-{number}.jsonl", task) for number, task in enumerate(shown, 1))
    if corpus:
        given["corpus"] = tuple(corpus)
    return Inputs(given, files)


@dataclass(frozen=True)
class _Tasks:
    """One tasks file."""

    tasks: list[Lines]
    problems: Lines
    questions: Lines


def _kind(record: Mapping[str, Any], kinds: Mapping[str, tuple[str, ...]], place: str) -> str:
    for kind, keys in kinds.items():
        if all(key in record for key in keys):
            return kind
    known = "; ".join(f"{', '.join(keys)} ({kind})" for kind, keys in kinds.items())
    raise InputError(f"{place} has {', '.join(record) or 'no keys'}: give {known}")


def _sorted(source: Rows, kinds: Mapping[str, tuple[str, ...]]) -> dict[str, Lines]:
    found: defaultdict[str, Lines] = defaultdict(list)
    for place, record in read_lines(source):
        found[_kind(record, kinds, place)].append(record)
    return found


def _sorted_tasks(source: Rows) -> _Tasks:
    """Examples up to the next line of settings are one task; without settings, the file's name is the task's."""
    found = _Tasks([], [], [])
    open_task: Lines | None = None
    for place, record in read_lines(source):
        kind = _kind(record, TASKS, place)
        if kind == "settings":
            open_task = [record]
            found.tasks.append(open_task)
        elif kind == "examples":
            if open_task is None:
                open_task = [{"name": Path(source).stem if is_path(source) else "task"}]
                found.tasks.append(open_task)
            open_task.append(record)
        else:
            (found.problems if kind == "problems" else found.questions).append(record)
    return found


def _statements(pairs: Lines) -> Lines:
    """The two sides of contrast pairs as statements of somebody with the bad behavior, and without."""
    return [
        {"statement": pair[side], "answer_matching_behavior": answer}
        for pair in pairs
        for side, answer in (("negative", "Yes"), ("positive", "No"))
    ]


def _pairs(statements: Lines) -> Lines:
    """Statements without the behavior beside those with it, one to one."""
    sides: dict[str, list[str]] = {"yes": [], "no": []}
    for line in statements:
        sides.setdefault(str(line["answer_matching_behavior"]).strip().lower(), []).append(line["statement"])
    return [
        {"positive": good, "negative": bad} for good, bad in zip(sides["no"], sides["yes"], strict=False) if good != bad
    ]


def _passages(corpus: Sequence[str]) -> Lines:
    """Beginnings of documents, for the perplexity that steering may cost."""
    if not corpus:
        return []
    from seqtant.pretraining.corpus.readers import open_corpus

    documents = (document.split() for document in open_corpus(corpus))
    long_enough = (words[:PASSAGE] for words in documents if len(words) >= PASSAGE)
    return [{"text": " ".join(words)} for words in itertools.islice(long_enough, PASSAGES)]


def _write(path: Path, lines: Lines) -> str:
    make_folder(path.parent)
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return str(path)
