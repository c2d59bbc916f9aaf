"""Few-shot prompts as token ids, with the places where labels stand: one sequence serves every number of shots.

Cutting a text into tokens piece by piece would score splits that the model never sees. So the whole prompt is cut once,
and labels are found in it by their characters. Where a token reaches across the beginning of a label, the queries of
that prompt are cut one by one instead: slower, never wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from seqtant.errors import InputError
from seqtant.icl.prompts.tasks import Example, Parts, Task
from seqtant.lm.interface import CausalLM
from seqtant.lm.text import encode_continuations, tokenizer_of

Ids = list[int]


@dataclass(frozen=True)
class Row:
    """One sequence of tokens and the queries that it answers."""

    ids: Ids
    """Tokens, the beginning-of-sequence token included, up to where the last label would begin."""
    places: list[int]
    """Where each query's label would begin: its prefix is ``ids[:place]``."""
    answers: list[list[Ids]]
    """Per query, the tokens of every label."""
    slots: list[tuple[int, int]]
    """Per query: number of the prompt, and how many shots come before it."""


@dataclass(frozen=True)
class EncodedExample:
    """One example as the continuation of a context."""

    ids: Ids
    """Tokens of the whole example, its tail included."""
    label: tuple[int, int]
    """First token of the label and first token after it."""
    answers: list[Ids]
    """Tokens of every label in its place."""


class Encoder:
    """Turns examples of tasks into tokens for one model.

    Args:
        model: The model, with a fast tokenizer.
        labels: All labels that are ranked.

    Raises:
        InputError: The model has no tokenizer that tells where tokens stand in the text.
    """

    def __init__(self, model: CausalLM, labels: Sequence[str]) -> None:
        self.model, self.labels = model, tuple(labels)
        self._tokenizer = tokenizer_of(model)
        if not self._tokenizer.is_fast:
            raise InputError(f"'{model.name}' has a slow tokenizer: save it with a tokenizer.json")
        self._answers: dict[tuple[str, str], list[Ids]] = {}

    @cached_property
    def _start(self) -> Ids:
        return [] if self.model.bos_id is None else [self.model.bos_id]

    def encode_prompts(self, tasks: Sequence[Task], prompts: Sequence[Sequence[Example]]) -> list[Row]:
        """Prompts of ``k + 1`` examples each: every example is a query after the ones before it.

        Args:
            tasks: The task of each prompt.
            prompts: Its examples.
        """
        written = [[task.write(example) for example in examples] for task, examples in zip(tasks, prompts, strict=True)]
        texts = [
            task.opening + "".join(part.text for part in parts) for task, parts in zip(tasks, written, strict=True)
        ]
        cut = self._cut([text.rstrip(" ") for text in texts])
        rows: list[Row] = []
        for number, (task, parts, (ids, starts, ends)) in enumerate(zip(tasks, written, cut, strict=True)):
            joined = self._joined(number, task, parts, ids, starts, ends)
            rows += [joined] if joined is not None else self._apart(number, task, parts)
        return rows

    def encode_examples(self, task: Task, examples: Sequence[Example]) -> list[EncodedExample]:
        """Examples as continuations of a context that ends with a whole example of the same task."""
        anchor = task.prompt([task.examples[0]]).rstrip(" ")
        gap = _gap(task)
        written = [task.write(example) for example in examples]
        texts = [anchor + gap + part.text.rstrip(" ") for part in written]
        found = []
        for part, (ids, starts, ends) in zip(written, self._cut(texts), strict=True):
            base = self._seam(task, len(anchor), starts, ends)
            head = len(anchor) + len(gap) + len(part.head)
            first, after = (_first_at(starts, place) for place in (head, head + len(part.label)))
            found.append(EncodedExample(ids[base:], (first - base, after - base), self.answers(part, task)))
        return found

    def encode_context(self, task: Task, shots: Sequence[Example]) -> Ids:
        """A many-shot context of a task, cut as it is before one more example."""
        text = task.prompt(shots).rstrip(" ")
        following = (_gap(task) if shots else task.opening[len(text) :]) + task.write(task.examples[0]).text
        ((ids, starts, ends),) = self._cut([text + following])
        return [*self._start, *ids[: self._seam(task, len(text), starts, ends)]]

    def _seam(self, task: Task, place: int, starts: Sequence[int], ends: Sequence[int]) -> int:
        """Number of tokens before a character; refuses a token that reaches across it."""
        first = _first_at(starts, place)
        if first and ends[first - 1] > place:
            raise InputError(
                f"task '{task.name}': a token of '{self.model.name}' reaches across its delimiter {task.delimiter!r}: "
                "choose another, e.g. a line break"
            )
        return first

    def answers(self, part: Parts, task: Task) -> list[Ids]:
        """Tokens of every label after an example's head.

        Raises:
            InputError: The tokens of one label begin those of another.
        """
        key = (part.head, part.tail)
        if key not in self._answers:
            found = self._after(part.head, self._endings(part))
            if not _closed(found):
                raise InputError(
                    f"task '{task.name}': the tokens of one label begin those of another even with what follows them: "
                    "give the template an ending after {label}"
                )
            self._answers[key] = found
        return self._answers[key]

    def _endings(self, part: Parts) -> list[str]:
        """Every label as it is scored.

        Labels that begin other labels, and the empty one, are followed by what follows every label: else the longer
        one could not win.
        """
        gap = part.label[: len(part.label) - len(part.label.lstrip(" "))]
        plain = [gap + label for label in self.labels]
        if _closed(self._after(part.head, plain)):
            return plain
        return [end + part.tail.rstrip(" ") for end in plain]

    def _after(self, head: str, ends: Sequence[str]) -> list[Ids]:
        """Tokens of some ends behind a head; empty where the end adds nothing."""
        (base, *_), *joined = self._cut([head, *(head + end for end in ends)])
        if any(ids[: len(base)] != base for ids, _, _ in joined):
            raise InputError(
                f"a token of '{self.model.name}' reaches from {head[-20:]!r} into the label: "
                "put a space before {label}"
            )
        return [ids[len(base) :] for ids, _, _ in joined]

    def _joined(
        self, number: int, task: Task, parts: Sequence[Parts], ids: Ids, starts: list[int], ends: list[int]
    ) -> Row | None:
        """The prompt as one sequence; None where a token reaches across the beginning of a label."""
        place, places, answers = len(task.opening), [], []
        for part in parts:
            head = place + len(part.head)
            first = _first_at(starts, head)
            own = self.answers(part, task)
            if (first and ends[first - 1] > head) or not any(ids[first : first + len(each)] == each for each in own):
                return None
            places.append(first + len(self._start))
            answers.append(own)
            place += len(part.text)
        whole = [*self._start, *ids][: places[-1]]
        return Row(whole, places, answers, [(number, shots) for shots in range(len(parts))])

    def encode_query(self, task: Task, prefix: str, part: Parts, slot: tuple[int, int]) -> Row:
        """One query behind any text, cut on its own.

        Args:
            task: How the query is written.
            prefix: All before the query.
            part: The query in pieces.
            slot: Where its scores belong.

        Raises:
            InputError: The tokens of one label begin those of another.
        """
        start, answers = encode_continuations(self.model, prefix + part.head, self._endings(part))
        if not _closed(answers):
            raise InputError(f"task '{task.name}': the tokens of one label begin those of another: end the template")
        return Row(start, [len(start)], [answers], [slot])

    def _apart(self, number: int, task: Task, parts: Sequence[Parts]) -> list[Row]:
        prefixes = [task.opening + "".join(each.text for each in parts[:shots]) for shots in range(len(parts))]
        return [
            self.encode_query(task, prefix, part, (number, shots))
            for shots, (prefix, part) in enumerate(zip(prefixes, parts, strict=True))
        ]

    def _cut(self, texts: Sequence[str]) -> list[tuple[Ids, list[int], list[int]]]:
        """Token ids of some texts, with the characters where each token begins and ends."""
        found = self._tokenizer(
            list(texts),
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        return [
            (ids, [start for start, _ in offsets], [end for _, end in offsets])
            for ids, offsets in zip(found["input_ids"], found["offset_mapping"], strict=True)
        ]


def _gap(task: Task) -> str:
    """Spaces at the end of the delimiter: they go with what follows, as tokenizers want it."""
    return task.delimiter[len(task.delimiter.rstrip(" ")) :]


def _first_at(starts: Sequence[int], place: int) -> int:
    """Number of the first token that begins at a character or after it."""
    return next((index for index, start in enumerate(starts) if start >= place), len(starts))


def _closed(answers: Sequence[Ids]) -> bool:
    """Whether every label has tokens and none begins another."""
    return all(answers) and not any(
        one != other and other[: len(one)] == one for one in answers for other in answers
    ) and len({tuple(ids) for ids in answers}) == len(answers)  # fmt: skip
