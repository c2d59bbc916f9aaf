"""Statements of a behavior, and the texts that the paper's components are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtant.data.documents import TextFile
from seqtant.errors import InputError

GROUP = 3
"""Statements of a training text."""
MATCHES, NOT = ("yes", "no")


@dataclass(frozen=True)
class Statements:
    """What somebody with a behavior would say, and would not."""

    name: str
    """What the behavior is called."""
    matching: tuple[str, ...]
    """Statements of somebody who has it."""
    other: tuple[str, ...]
    """Statements of somebody who has not."""


def read_statements(path: str, *, limit: int) -> Statements:
    """Reads JSON lines with ``statement`` and ``answer_matching_behavior`` (`` Yes`` or `` No``).

    Args:
        path: The file, in the format of the persona files of anthropics/evals.
        limit: Most statements of each kind.

    Raises:
        InputError: The file or a line cannot be used, or one kind has fewer than six statements.
    """
    sides: dict[str, list[str]] = {MATCHES: [], NOT: []}
    texts = TextFile(path, field="statement")
    answers = TextFile(path, field="answer_matching_behavior")
    for number, (text, answer) in enumerate(zip(texts, answers, strict=True), start=1):
        kind = answer.strip().lower()
        if kind not in sides:
            raise InputError(f"'{path}', statement {number}: answer_matching_behavior is {answer!r}: write Yes or No")
        sides[kind].append(text.strip())
    made = Statements(Path(path).stem, *(tuple(dict.fromkeys(side))[:limit] for side in (sides[MATCHES], sides[NOT])))
    for kind, side in (("matching", made.matching), ("not matching", made.other)):
        if len(side) < 2 * GROUP:
            raise InputError(f"'{path}' has {len(side)} {kind} statements: at least {2 * GROUP} are needed")
    return made


def world_statements(limit: int, generator: np.random.Generator) -> Statements:
    """Remarks of the reference world's gloomy persona (matching) and of its cheerful one.

    Example:
        >>> len(world_statements(10, np.random.default_rng(0)).matching)
        10
    """
    from seqtant.reference import Prompts

    prompts, sides = Prompts(), []
    for persona in ("gloomy", "cheerful"):
        said: dict[str, None] = {}
        while len(said) < limit:
            talk = prompts.persona(persona, 40, generator, remarks_only=True).removeprefix("talk : ")
            said |= dict.fromkeys(part.strip() for part in talk.replace(" !", " .").split(" .") if part.strip())
        sides.append(tuple(said)[:limit])
    return Statements("gloomy", *sides)


def groups(statements: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of three statements; those left over are dropped."""
    return [tuple(statements[start : start + GROUP]) for start in range(0, len(statements) - GROUP + 1, GROUP)]


def texts(group: Sequence[str], template: str, stop: str = ".\n") -> list[str]:
    r"""The three rotations of a group as training texts; with the template ``single``, each statement is one.

    Example:
        >>> texts(["a", "b.", "c"], "concat")[1], texts(["a", "b", "c"], "inst")[0]
        ('b.\nc.\na.\n', '[INST]a.[/INST]b.[INST]c.[/INST]')
    """
    if template == "single":
        return [bare(statement) + stop for statement in group]
    rotations = [[*group[turn:], *group[:turn]] for turn in range(len(group))]
    if template == "inst":
        first, second, third = "[INST]{}.[/INST]", "{}.", "[INST]{}.[/INST]"
        return [
            "".join(form.format(bare(s)) for form, s in zip((first, second, third), r, strict=True)) for r in rotations
        ]
    return ["".join(bare(statement) + stop for statement in rotation) for rotation in rotations]


def bare(statement: str) -> str:
    """A statement without its final mark: the template puts its own.

    Example:
        >>> bare("I like people. "), bare("Really?")
        ('I like people', 'Really?')
    """
    return statement.strip().removesuffix(".").strip()
