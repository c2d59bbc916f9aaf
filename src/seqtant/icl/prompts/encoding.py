"""Few-shot prompts as token ids with the positions of their labels: one sequence serves every number of shots.

Tokenizing a text piece by piece would score splits that the model never sees. So the whole prompt is tokenized once,
and labels are found in it by their characters. Where a token reaches across the beginning of a label, the queries of
that prompt are tokenized one by one instead: slower, never wrong.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from seqtant.errors import InputError
from seqtant.icl.prompts.tasks import Example, Parts, Task
from seqtant.lm.interface import CausalLM, encode_continuations, tokenizer_of

Ids = list[int]


@dataclass(frozen=True)
class EncodedPrompt:
    """One sequence of tokens and the queries that it answers."""

    ids: Ids
    """Tokens, the beginning-of-sequence token included, up to where the last label would begin."""
    label_positions: list[int]
    """Per query, where its label would begin: its prefix is ``ids[:position]``."""
    label_ids: list[list[Ids]]
    """Per query, the tokens of every label."""
    slots: list[tuple[int, int]]
    """Per query, the number of its prompt and the number of shots before it."""


@dataclass(frozen=True)
class EncodedExample:
    """One example as the continuation of a context."""

    ids: Ids
    """Tokens of the whole example, its tail included."""
    label: tuple[int, int]
    """First token of the label and first token after it."""
    label_ids: list[Ids]
    """Tokens of every label in its place."""


class PromptEncoder:
    """Encodes examples and prompts of tasks as tokens of one model.

    Args:
        model: The model, with a fast tokenizer.
        labels: All labels that are ranked.

    Raises:
        InputError: The model has no tokenizer that reports character offsets.
    """

    def __init__(self, model: CausalLM, labels: Sequence[str]) -> None:
        self.model, self.labels = model, tuple(labels)
        self._tokenizer = tokenizer_of(model)
        if not self._tokenizer.is_fast:
            raise InputError(f"'{model.name}' has a slow tokenizer: save it with a tokenizer.json")
        self._start: Ids = [] if model.bos_id is None else [model.bos_id]
        self._label_ids: dict[tuple[str, str], list[Ids]] = {}

    def encode_prompts(self, tasks: Sequence[Task], prompts: Sequence[Sequence[Example]]) -> list[EncodedPrompt]:
        """Encodes prompts of ``k + 1`` examples each: every example is a query after the ones before it.

        Args:
            tasks: The task of each prompt.
            prompts: Its examples.
        """
        pairs = list(zip(tasks, prompts, strict=True))
        written = [[task.write(example) for example in examples] for task, examples in pairs]
        tokenized = self._tokenize([task.prompt(examples).rstrip(" ") for task, examples in pairs])
        encoded: list[EncodedPrompt] = []
        for number, (task, parts, tokens) in enumerate(zip(tasks, written, tokenized, strict=True)):
            # One sequence where labels begin at token boundaries, else every query on its own.
            whole = self._encode_whole(number, task, parts, *tokens)
            if whole is not None:
                encoded.append(whole)
                continue
            prefix = task.opening
            for shots, part in enumerate(parts):
                encoded.append(self.encode_query(task, prefix, part, (number, shots)))
                prefix += part.text
        return encoded

    def _encode_whole(
        self, number: int, task: Task, parts: Sequence[Parts], ids: Ids, starts: list[int], ends: list[int]
    ) -> EncodedPrompt | None:
        """The prompt as one sequence; None where a token reaches across the beginning of a label."""
        character, positions, label_ids = len(task.opening), [], []
        for part in parts:
            head = character + len(part.head)
            # The first token that begins at the label or after; the one before it must have ended by then.
            first = bisect_left(starts, head)
            labels = self.label_ids(part, task)
            # The label shown must be one of the ranked ones token by token, else its score would be of another split.
            shown = any(ids[first : first + len(each)] == each for each in labels)
            if (first and ends[first - 1] > head) or not shown:
                return None
            positions.append(first + len(self._start))
            label_ids.append(labels)
            character += len(part.text)
        slots = [(number, shots) for shots in range(len(parts))]
        return EncodedPrompt([*self._start, *ids][: positions[-1]], positions, label_ids, slots)

    def encode_query(self, task: Task, prefix: str, part: Parts, slot: tuple[int, int]) -> EncodedPrompt:
        """Encodes one query after any text, tokenized on its own.

        Args:
            task: How the query is written.
            prefix: Everything before the query.
            part: The query in pieces.
            slot: Number of the prompt, and of shots before the query.

        Raises:
            InputError: The tokens of one label begin those of another.
        """
        start, label_ids = encode_continuations(self.model, prefix + part.head, self._label_texts(part))
        if not _is_prefix_free(label_ids):
            raise InputError(f"task '{task.name}': the tokens of one label begin those of another: end the template")
        return EncodedPrompt(start, [len(start)], [label_ids], [slot])

    def encode_examples(self, task: Task, examples: Sequence[Example]) -> list[EncodedExample]:
        """Encodes examples as continuations of a context that ends with a whole example of the same task."""
        # Tokens depend on the text before: each example is tokenized behind another one, which is cut off again.
        anchor = task.prompt([task.examples[0]]).rstrip(" ")
        gap = _trailing_spaces(task)
        written = [task.write(example) for example in examples]
        texts = [anchor + gap + part.text.rstrip(" ") for part in written]
        encoded = []
        for part, (ids, starts, ends) in zip(written, self._tokenize(texts), strict=True):
            base = self._tokens_before(task, len(anchor), starts, ends)
            head = len(anchor) + len(gap) + len(part.head)
            first, after = (bisect_left(starts, character) for character in (head, head + len(part.label)))
            encoded.append(EncodedExample(ids[base:], (first - base, after - base), self.label_ids(part, task)))
        return encoded

    def encode_context(self, task: Task, shots: Sequence[Example]) -> Ids:
        """Encodes a many-shot context of a task, tokenized as it is before one more example."""
        text = task.prompt(shots).rstrip(" ")
        # The cut is that of the text with one more example: the tokens of a context may depend on what follows it.
        following = (_trailing_spaces(task) if shots else task.opening[len(text) :]) + task.write(task.examples[0]).text
        ((ids, starts, ends),) = self._tokenize([text + following])
        return [*self._start, *ids[: self._tokens_before(task, len(text), starts, ends)]]

    def label_ids(self, part: Parts, task: Task) -> list[Ids]:
        """Returns the tokens of every label after an example's head.

        Raises:
            InputError: The tokens of one label begin those of another.
        """
        key = (part.head, part.tail)
        if key not in self._label_ids:
            found = self._continuations(part.head, self._label_texts(part))
            if not _is_prefix_free(found):
                raise InputError(
                    f"task '{task.name}': the tokens of one label begin those of another even with what follows them: "
                    "give the template an ending after {label}"
                )
            self._label_ids[key] = found
        return self._label_ids[key]

    def _label_texts(self, part: Parts) -> list[str]:
        """Every label as it is scored."""
        gap = part.label[: len(part.label) - len(part.label.lstrip(" "))]
        plain = [gap + label for label in self.labels]
        if _is_prefix_free(self._continuations(part.head, plain)):
            return plain
        # A label that begins another ("no", "not"), or is empty, would always beat it: all get the text that follows.
        return [label + part.tail.rstrip(" ") for label in plain]

    def _continuations(self, head: str, texts: Sequence[str]) -> list[Ids]:
        """Tokens of some texts after a head; empty where the text adds nothing."""
        (base, *_), *joined = self._tokenize([head, *(head + text for text in texts)])
        # A head whose own tokens change with the label behind it has no label position.
        if any(ids[: len(base)] != base for ids, _, _ in joined):
            raise InputError(
                f"a token of '{self.model.name}' reaches from {head[-20:]!r} into the label: "
                "put a space before {label}"
            )
        return [ids[len(base) :] for ids, _, _ in joined]

    def _tokens_before(self, task: Task, character: int, starts: Sequence[int], ends: Sequence[int]) -> int:
        """Number of tokens before a character; refuses a token that reaches across it."""
        first = bisect_left(starts, character)
        if first and ends[first - 1] > character:
            raise InputError(
                f"task '{task.name}': a token of '{self.model.name}' reaches across its delimiter {task.delimiter!r}: "
                "choose another, e.g. a line break"
            )
        return first

    def _tokenize(self, texts: Sequence[str]) -> list[tuple[Ids, list[int], list[int]]]:
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


def _trailing_spaces(task: Task) -> str:
    """Spaces at the end of the delimiter: they go with what follows, as tokenizers want it."""
    return task.delimiter[len(task.delimiter.rstrip(" ")) :]


def _is_prefix_free(label_ids: Sequence[Ids]) -> bool:
    """Whether every label has tokens and none begins, or equals, another."""
    if not all(label_ids) or len({tuple(ids) for ids in label_ids}) < len(label_ids):
        return False
    return not any(one != other and other[: len(one)] == one for one in label_ids for other in label_ids)
