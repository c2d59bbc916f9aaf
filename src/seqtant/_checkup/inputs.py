"""The user's files, sorted line by line into what each instrument reads.

A behavior file may hold lines of several kinds, and so may a tasks file; a line's keys say which kind it is. What an
instrument gets is written to a file of its own, so that the command in the report can be run as it stands.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqtant.errors import InputError
from seqtant.runs.files import make_folder, write_text
from seqtant.sources import Rows, is_path, read_lines

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
    places: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """File written for an instrument -> where the user has each of its lines; empty for a line that was made."""

    def as_given(self, text: str) -> str:
        """A message with the user's own file and line in place of those that were written."""
        for path, own in self.places.items():
            text = re.sub(
                f"'{re.escape(path)}', line (\\d+)", lambda found, own=own: own[int(found[1]) - 1] or found[0], text
            )
        return text


def gather(
    folder: Path, *, behavior: Rows | None = None, tasks: Sequence[Rows] = (), corpus: Sequence[str] = ()
) -> Inputs:
    """Sorts the user's files and writes one file per instrument and kind.

    Args:
        folder: Where they go; made if there is something to write.
        behavior: Behavior lines, a file or rows in memory.
        tasks: Task lines likewise; each becomes one task, or several where it holds several lines of settings.
        corpus: Text files.
    """
    files = tuple(Path(each).expanduser() for each in (behavior, *tasks, *corpus) if is_path(each))
    lines: defaultdict[str, Lines] = defaultdict(list)
    origins: dict[int, str] = {}
    for place, record in read_lines(behavior) if behavior is not None else ():
        origins[id(record)] = place
        lines[_kind(record, BEHAVIOR, place)].append(record)
    # The tasks of a file are each begun by a line of settings, else named as the file; other lines are no examples.
    shown: list[Lines] = []
    for source in tasks:
        own: list[Lines] = []
        for place, record in read_lines(source):
            origins[id(record)] = place
            kind = _kind(record, TASKS, place)
            if kind == "examples" and not own:
                own.append([{"name": Path(source).stem if is_path(source) else "task"}])
            if kind == "settings":
                own.append([record])
            else:
                (own[-1] if kind == "examples" else lines[kind]).append(record)
        shown += own
    # The two sides of contrast pairs are statements of somebody with the bad behavior, and without.
    sides = [(pair, side) for pair in lines["pairs"] for side in (("negative", "Yes"), ("positive", "No"))]
    statements = [{"statement": pair[side], "answer_matching_behavior": answer} for pair, (side, answer) in sides]
    # Statements without the behavior beside those with it, one to one.
    said: dict[str, list[str]] = {"yes": [], "no": []}
    for line in lines["statements"]:
        said.setdefault(str(line["answer_matching_behavior"]).strip().lower(), []).append(line["statement"])
    both = [(good, bad) for good, bad in zip(said["no"], said["yes"], strict=False) if good != bad]
    helpfulness = lines["questions"] or lines["passages"]
    if corpus and not helpfulness:
        from seqtant.pretraining.corpus.readers import open_corpus

        # Beginnings of documents, for the perplexity that steering may cost.
        documents = (document.split() for document in open_corpus(corpus))
        long_enough = (words[:PASSAGE] for words in documents if len(words) >= PASSAGE)
        helpfulness = [{"text": " ".join(words)} for words in itertools.islice(long_enough, PASSAGES)]
    wanted = {
        "pairs": lines["pairs"] or [{"positive": good, "negative": bad} for good, bad in both],
        "behavior": lines["prompts"],
        "helpfulness": helpfulness,
        "statements": lines["statements"] or statements,
        "rows": lines["problems"],
    }
    places: dict[str, list[str]] = {}

    def write(name: str, kept: Lines) -> str:
        path = folder / f"{name}.jsonl"
        make_folder(folder)
        write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))
        places[str(path)] = [origins.get(id(line), "") for line in kept]
        return str(path)

    given: dict[str, Any] = {name: write(name, kept) for name, kept in wanted.items() if kept}
    if shown:
        given["tasks"] = tuple(write(f"task-{number}", task) for number, task in enumerate(shown, 1))
    if corpus:
        given["corpus"] = tuple(corpus)
    return Inputs(given, files, places)


def _kind(record: Mapping[str, Any], kinds: Mapping[str, tuple[str, ...]], place: str) -> str:
    for kind, keys in kinds.items():
        if all(key in record for key in keys):
            return kind
    known = "; ".join(f"{', '.join(keys)} ({kind})" for kind, keys in kinds.items())
    raise InputError(f"{place} has {', '.join(record) or 'no keys'}: give {known}")
