"""What each task expects of an example: the model behind many shots of that task, asked about single examples.

A task's component of the model is its distribution after a many-shot context of that task, averaged over a few such
contexts. Examples that are scored stand in no context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import logsumexp
from torch import Tensor

from seqtant.icl.prompts.encoding import EncodedExample, Encoder, Ids
from seqtant.icl.prompts.tasks import Example, Task
from seqtant.lm.batches import as_tokens, check_length, group_by_length, pad
from seqtant.lm.interface import CausalLM
from seqtant.lm.logits import gathered, logits_per_pass, tokens_per_pass
from seqtant.progress import SILENT, Progress


@dataclass(frozen=True)
class Components:
    """Log-probabilities of examples under every task, contexts averaged, in nats."""

    inputs: Float[np.ndarray, "tasks examples"]
    """Log P(input)."""
    labels: Float[np.ndarray, "tasks examples labels"]
    """Log P(label | input) of every label."""
    shown: Float[np.ndarray, "tasks examples"]
    """Log P(label shown | input)."""
    tails: Float[np.ndarray, "tasks examples"]
    """Log P(what follows the label | input, label)."""
    rarest: Float[np.ndarray, "tasks examples"]
    """Log-probability of the rarest token of the example, over contexts."""

    @property
    def whole(self) -> Float[np.ndarray, "tasks examples"]:
        """Log P(example)."""
        return self.inputs + self.shown + self.tails

    def split(self, count: int) -> tuple[Components, Components]:
        """The first so many examples, and the others."""
        names = [field.name for field in fields(self)]
        first, second = slice(None, count), slice(count, None)
        return (
            Components(*(getattr(self, name)[:, first] for name in names)),
            Components(*(getattr(self, name)[:, second] for name in names)),
        )

    def nearest_rival(self, task: int) -> int:
        """The task that these examples tell worst from a task."""
        gaps = (self.whole[task] - self.whole).mean(axis=1)
        gaps[task] = np.inf
        return int(gaps.argmin())


def score_components(
    encoder: Encoder,
    contexts: Sequence[Sequence[Ids]],
    task: Task,
    examples: Sequence[Example],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> Components:
    """Scores the examples of one task under the contexts of every task.

    Args:
        encoder: The model and the labels.
        contexts: Per task, the tokens of its contexts.
        task: How the examples are written.
        examples: The examples; equal ones are scored once.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
        progress: Told how many contexts are done.
    """
    unique = list(dict.fromkeys(examples))
    place = {example: number for number, example in enumerate(unique)}
    encoded = encoder.encode_examples(task, unique)
    bar = progress.task(f"examples of {task.name}", sum(map(len, contexts)))
    parts = []
    for own in contexts:
        scored = []
        for context in own:
            scored.append(_under(encoder.model, context, encoded, tokens_per_batch))
            bar.advance()
        parts.append(_averaged(scored))
    bar.close()
    index = [place[example] for example in examples]
    inputs, labels, shown, tails, rarest = (np.stack(part)[:, index] for part in zip(*parts, strict=True))
    return Components(inputs, labels, shown, tails, rarest)


def labels_behind(
    model: CausalLM,
    contexts: Sequence[Ids],
    encoded: Sequence[EncodedExample],
    *,
    tokens_per_batch: int | None = None,
) -> Float[np.ndarray, "contexts examples labels"]:
    """Log-probability of every label of some examples behind each context, which is read once.

    Args:
        model: The model.
        contexts: Prompts that end with a whole example.
        encoded: The examples that are asked.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
    """
    return np.stack([_under(model, context, encoded, tokens_per_batch)[1] for context in contexts])


def _averaged(scored: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """The mean over contexts of joint probabilities, taken apart again."""
    inputs, labels, shown, tails, rarest = (np.stack(part) for part in zip(*scored, strict=True))
    mean = np.log(len(scored))
    whole = logsumexp(inputs + shown + tails, axis=0) - mean
    to_label = logsumexp(inputs + shown, axis=0) - mean
    to_input = logsumexp(inputs, axis=0) - mean
    of_labels = logsumexp(inputs[..., None] + labels, axis=0) - mean
    return to_input, of_labels - to_input[:, None], to_label - to_input, whole - to_label, rarest.min(axis=0)


def _under(
    model: CausalLM, context: Ids, encoded: Sequence[EncodedExample], tokens_per_batch: int | None
) -> tuple[np.ndarray, ...]:
    """One context: inputs, labels, label shown, tails, rarest token; longer labels are lines of their own."""
    lines, owners = [example.ids for example in encoded], [(number, -1) for number in range(len(encoded))]
    for number, example in enumerate(encoded):
        for column, ids in enumerate(example.answers):
            if len(ids) > 1:
                lines.append(example.ids[: example.label[0]] + ids)
                owners.append((number, column))
    tokens, first = _token_scores(model, context, lines, encoded, tokens_per_batch)
    labels = np.array([[row[ids[0]] for ids in each.answers] for row, each in zip(first, encoded, strict=True)])
    for (number, column), line in zip(owners, tokens, strict=True):
        if column >= 0:
            labels[number, column] = line[encoded[number].label[0] :].sum()
    cuts = [(line[: e.label[0]], line[slice(*e.label)], line[e.label[1] :])
            for line, e in zip(tokens, encoded, strict=False)]  # fmt: skip
    inputs, shown, tails = (np.array([part[k].sum() for part in cuts]) for k in range(3))
    return inputs, labels, shown, tails, np.array([line.min() for line in tokens[: len(encoded)]])


@torch.no_grad()
def _token_scores(
    model: CausalLM,
    context: Ids,
    lines: Sequence[Ids],
    encoded: Sequence[EncodedExample],
    tokens_per_batch: int | None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Log-probability of every token of every line, and the whole distribution where an example's label begins."""
    (start,) = as_tokens(model, [context], what="context")
    ids = as_tokens(model, lines, what="example")
    check_length(model, len(start) + max(map(len, lines)), "a context with one more example")
    head = model.forward(start[None].to(model.device), keep=1, use_cache=True)
    before = torch.log_softmax(head.logits[0, -1].double(), dim=-1)
    budget = min(tokens_per_batch or tokens_per_pass(model), max(1, logits_per_pass(model) // model.vocabulary_size))
    tokens: list[np.ndarray] = [np.empty(0)] * len(lines)
    first: list[np.ndarray] = [np.empty(0)] * len(encoded)
    for group in group_by_length([len(line) for line in lines], budget):
        batch = pad(ids, group, model, side="right")
        cache = model.select_rows(head.cache, torch.zeros(len(group), dtype=torch.long, device=model.device))
        logits = model.forward(batch.input_ids, cache=cache).logits
        scores = torch.cat([before[batch.input_ids[:, :1]], gathered(logits[:, :-1], batch.input_ids[:, 1:])], dim=1)
        for line, index in enumerate(group):
            tokens[index] = scores[line, : len(lines[index])].cpu().numpy()
            if index < len(encoded):
                first[index] = _distribution(before, logits[line], encoded[index].label[0])
    return tokens, first


def _distribution(before: Tensor, logits: Tensor, place: int) -> np.ndarray:
    chosen = before if place == 0 else torch.log_softmax(logits[place - 1].double(), dim=-1)
    return chosen.cpu().numpy()


def score_lines(
    model: CausalLM, contexts: Sequence[Ids], lines: Sequence[Ids], *, tokens_per_batch: int | None = None
) -> Float[np.ndarray, "contexts lines"]:
    """Log-probability of whole continuations after each of some contexts, in nats."""
    return np.array(
        [
            [float(line.sum()) for line in _token_scores(model, context, lines, [], tokens_per_batch)[0]]
            for context in contexts
        ]
    )
