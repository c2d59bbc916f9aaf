"""How a row is laid out as text: the input, its steps a line each, the answer behind a mark; and where pieces are."""

from __future__ import annotations

from dataclasses import dataclass

from seqtant.subtasks.rows.problem_rows import Row

ANSWER_MARK = "#### "
"""Stands before the answer, as in GSM8K."""


@dataclass(frozen=True)
class Layout:
    """One row as text."""

    prompt: str
    """The input and a line break."""
    completion: str
    """Steps and answer."""
    pieces: tuple[tuple[int, int], ...]
    """Start and end of each step and of the answer, in characters of the whole text."""

    @property
    def text(self) -> str:
        """Prompt and completion."""
        return self.prompt + self.completion


def lay_out(row: Row, steps: tuple[str, ...] | None = None, *, filler: str = "") -> Layout:
    r"""Lays a row out.

    Args:
        row: The row.
        steps: Its steps as text; by default all of them.
        filler: A line of pauses between the input and the rest.

    Example:
        >>> from seqtant.subtasks.rows.problem_rows import Row, RowStep
        >>> layout = lay_out(Row(input="2+3+4", steps=(RowStep(value=5, text="2+3=5"),), answer=9))
        >>> layout.text, [layout.text[start:end] for start, end in layout.pieces]
        ('2+3+4\n2+3=5\n#### 9', ['2+3=5', '#### 9'])
    """
    written = tuple(step.written for step in row.steps) if steps is None else steps
    prompt = f"{row.input_text}\n" + (f"{filler}\n" if filler else "")
    pieces, place = [], len(prompt)
    lines = [*written, f"{ANSWER_MARK}{row.answer_text}"]
    for line in lines:
        pieces.append((place, place + len(line)))
        place += len(line) + 1
    return Layout(prompt, "\n".join(lines), tuple(pieces))


def read_answer(completion: str) -> str:
    r"""The answer in a completion; empty if there is none.

    Example:
        >>> read_answer("2+3=5\n#### 9")
        '9'
    """
    return completion.partition(ANSWER_MARK)[2].partition("\n")[0].strip()


def read_steps(completion: str) -> list[str]:
    r"""The steps in a completion, those before the answer.

    Example:
        >>> read_steps("2+3=5\n#### 9")
        ['2+3=5']
    """
    return completion.partition(ANSWER_MARK)[0].splitlines()
