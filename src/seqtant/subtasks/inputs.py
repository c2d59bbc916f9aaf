"""What a verb takes as its task or its rows: objects in memory, or a name or a path that says where they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer

from seqtant.errors import InputError
from seqtant.sources import InMemory, describe, is_path


def describe_input(source: Any) -> Any:
    """Writes a task or rows as text for records: paths as they are, a task by name and hash, rows by count and hash.

    Example:
        >>> describe_input("rows.jsonl"), describe_input({"train": [("1+2", ["1+2=3"], 3)]})
        ('rows.jsonl', '<1 rows in memory, sha256 1d949a3d>')
    """
    if _is_task(source):
        return f"<{source.name} in memory, {source.fingerprint}>"
    if isinstance(source, Mapping):
        return describe([(split, row) for split, rows in source.items() for row in ([rows] if is_path(rows) else rows)])
    return describe(source)


def _is_task(value: Any) -> bool:
    # By its parts: importing the class would load NumPy for every command.
    return all(hasattr(value, name) for name in ("steps", "labels", "fingerprint"))


def _rows(value: Any, kind: str = "neither a file nor a list of rows") -> Any:
    if is_path(value):
        return str(value)
    if isinstance(value, Mapping):
        return {split: _rows(rows) for split, rows in value.items()}
    if isinstance(value, bytes) or not hasattr(value, "__iter__"):
        raise InputError(f"{value!r:.60} is {kind}")
    # What can be gone through only once is kept, since several runs may read it.
    return list(value) if isinstance(value, Iterator) else value


def _task(value: Any) -> Any:
    return value if _is_task(value) else _rows(value, "no task: give a name, a file, a Task or a list of rows")


if TYPE_CHECKING:
    from seqtant.subtasks.tasks.task import Task

    RowSource: TypeAlias = str | Path | Sequence[Any] | Mapping[str, Sequence[Any]]
    TaskSource: TypeAlias = Task | RowSource
else:
    RowSource = Annotated[Any, InMemory(), BeforeValidator(_rows), PlainSerializer(describe_input)]
    """A file, a folder, ``arithmetic``; or rows, alone or as a mapping of ``train``, ``validation`` and ``test``."""
    TaskSource = Annotated[Any, InMemory(), BeforeValidator(_task), PlainSerializer(describe_input)]
    """A task by name, its file or a :class:`Task`; or rows as in ``RowSource``."""
