"""Rows as text: the input, its steps a line each, the answer behind a mark; control arms; training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seqtant.errors import InputError
from seqtant.lm.interface import tokenizer_of
from seqtant.lm.loading import load
from seqtant.sources import describe
from seqtant.subtasks.config import ArmName
from seqtant.subtasks.rows.problem_rows import Row
from seqtant.subtasks.tasks.splits import Split
from seqtant.training.losses import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ANSWER_MARK = "#### "
"""Marks the answer, as in GSM8K."""


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
    r"""Writes a row as text.

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
    # One character between two lines: the line break.
    for line in lines:
        pieces.append((place, place + len(line)))
        place += len(line) + 1
    return Layout(prompt, "\n".join(lines), tuple(pieces))


def read_answer(completion: str) -> str:
    r"""Extracts the answer from a completion; empty if there is none.

    Example:
        >>> read_answer("2+3=5\n#### 9")
        '9'
    """
    return completion.partition(ANSWER_MARK)[2].partition("\n")[0].strip()


def read_steps(completion: str) -> list[str]:
    r"""Extracts the steps from a completion: the lines before the answer.

    Example:
        >>> read_steps("2+3=5\n#### 9")
        ['2+3=5']
    """
    return completion.partition(ANSWER_MARK)[0].splitlines()


def arm_layouts(
    rows: Sequence[Row],
    arm: ArmName,
    generator: np.random.Generator,
    *,
    noise: float = 0.0,
    pause: str = ".",
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> list[Layout]:
    """Writes rows as one arm does.

    Args:
        rows: The rows.
        arm: ``steps``; ``answer`` alone; ``pause``: as many pauses as the steps are long, then the answer;
            ``shuffled``: the steps of each row in another order; ``noisy``: some steps taken from other rows.
        generator: Random generator of the order and the wrong steps.
        noise: Share of the steps of ``noisy`` that are replaced.
        pause: One pause.
        tokenizer: Lengths are counted in its tokens; by default in characters.

    Raises:
        InputError: The arm does not exist for rows.
    """
    if arm == "partial":
        raise InputError(
            "arm 'partial' needs levels, which rows do not have: use steps, answer, pause, shuffled or noisy"
        )
    pool = [step.written for row in rows for step in row.steps]
    layouts: list[Layout] = []
    for row in rows:
        written: tuple[str, ...] = tuple(step.written for step in row.steps)
        filler = ""
        if arm == "pause" and tokenizer is None:
            # As many characters as the steps have, so that the network gets as many positions to compute on.
            filler = pause * max(1, len("\n".join(written)) // len(pause))
        elif arm == "pause" and tokenizer is not None:
            wanted = len(tokenizer("\n".join(written), add_special_tokens=False)["input_ids"])
            filler = pause
            # Counted anew at every length: a tokenizer may merge repeated pauses into one token.
            while len(tokenizer(filler, add_special_tokens=False)["input_ids"]) < wanted:
                filler += f" {pause}"
        if arm in ("answer", "pause"):
            written = ()
        if arm == "shuffled":
            written = tuple(written[each] for each in map(int, generator.permutation(len(written))))
        if arm == "noisy":
            wrong = generator.random(len(written)) < noise
            # A replacement is sampled for every step, so that the noise does not shift later random numbers.
            other = [pool[int(each)] for each in generator.integers(max(len(pool), 1), size=len(written))]
            written = tuple(new if bad else own for own, bad, new in zip(written, wrong, other, strict=True))
        layouts.append(lay_out(row, written, filler=filler))
    return layouts


def training_rows(
    layouts: Sequence[Layout],
    form: Literal["causal", "seq2seq"],
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Iterator[dict[str, Any]]:
    """Converts laid-out rows to training data as JSON.

    ``causal`` has ``prompt`` and ``completion`` (what TRL's SFTTrainer reads) and ``spans`` of every step and the
    answer in characters of the completion; with a tokenizer also ``input_ids``, ``labels`` and ``completion_mask``
    (what transformers' Trainer reads). ``seq2seq`` has ``source`` and ``target`` and the spans in the target.

    Args:
        layouts: The rows as text.
        form: Kind of model.
        tokenizer: Turns text into tokens.
    """
    for layout in layouts:
        shift = len(layout.prompt)
        spans = [[start - shift, end - shift] for start, end in layout.pieces]
        if form == "seq2seq":
            yield {"source": layout.prompt.strip(), "target": layout.completion, "spans": spans}
            continue
        row: dict[str, Any] = {"prompt": layout.prompt, "completion": layout.completion, "spans": spans}
        if tokenizer is not None:
            # The whole text is tokenized at once: prompt and completion apart could split it in other places.
            encoded = tokenizer(layout.text, return_offsets_mapping=True, return_special_tokens_mask=True)
            ids, offsets, special = encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"]
            # Loss from the first token that holds a character of the completion on, the end of text included.
            mask = [int(end > shift and not marked) for (_, end), marked in zip(offsets, special, strict=True)]
            if tokenizer.eos_token_id is not None and ids[-1] != tokenizer.eos_token_id:
                ids, mask = [*ids, tokenizer.eos_token_id], [*mask, 1]
            labels = [token if keep else IGNORED for token, keep in zip(ids, mask, strict=True)]
            row |= {"input_ids": ids, "labels": labels, "completion_mask": mask}
        yield row


def held_out(
    splits: Mapping[Split, Sequence[Row]], arm: ArmName, count: int, seed: int
) -> tuple[list[Row], list[Layout]]:
    """Takes rows of the test split and writes them as an arm does, without its noise: that is for training only."""
    rows = list(splits["test"])[:count]
    if not rows:
        raise InputError("there are no rows in the split 'test': give more rows, a thousand or so")
    return rows, arm_layouts(rows, "steps" if arm == "noisy" else arm, np.random.default_rng([seed, 11]))


def load_tokenizer(source: Any) -> PreTrainedTokenizerBase:
    """Loads the tokenizer of a model folder, a hub name, ``reference`` or a model in memory; one itself is returned."""
    tokenizer: Any = source if hasattr(source, "is_fast") else tokenizer_of(load(source, device="cpu"))
    if not tokenizer.is_fast:
        raise InputError(
            f"the tokenizer of '{describe(source)}' cannot say where its tokens stand: give one with tokenizer.json"
        )
    return tokenizer
