"""Log-probabilities of labels and of whole examples, from one reading of each prompt or context.

``label_log_probs`` ranks the labels of prompts after every number of shots. Where every label is one token, the
next-token distribution before the label holds them all; longer labels share the cached prefix.

``score_components`` asks what each task expects of an example. A task's component of the model is its distribution
after a many-shot context of that task, averaged over a few such contexts; the examples scored are in no context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import logsumexp
from torch import Tensor

from seqtant.icl.prompts.encoding import EncodedExample, EncodedPrompt, Ids, PromptEncoder
from seqtant.icl.prompts.tasks import Example, Task
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import (
    CausalLM,
    as_tokens,
    check_length,
    gathered,
    group_branches,
    group_by_length,
    logits_per_pass,
    pad,
    tokens_per_pass,
)
from seqtant.lm.scoring import next_token_log_probs
from seqtant.processes import over_batches
from seqtant.progress import SILENT, Progress

PACKED = 256
"""Most tokens of lines that are packed into one row: each is compared with all of them."""


@torch.no_grad()
def label_log_probs(
    model: CausalLM,
    prompts: Sequence[EncodedPrompt],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> Float[np.ndarray, "prompts queries labels"]:
    """Scores every label of every query of every prompt, in nats.

    Args:
        model: The model.
        prompts: Encoded prompts.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
        progress: Reports how many prompts are read.

    Returns:
        (prompts, queries, labels) float64, by the prompts' slots; NaN where a slot has no query.

    Raises:
        InputError: A prompt does not fit the model.
    """
    if not prompts:
        return np.empty((0, 0, 0))
    slots = [slot for prompt in prompts for slot in prompt.slots]
    counts = (1 + max(number for number, _ in slots), 1 + max(shots for _, shots in slots))
    table = np.full((*counts, len(prompts[0].label_ids[0])), np.nan)
    short, longer = [], []
    for prompt in prompts:
        # One logit row decides among one-token labels; longer labels need their own passes over the cache.
        (short if all(len(ids) == 1 for labels in prompt.label_ids for ids in labels) else longer).append(prompt)

    # One-token labels: few enough prompts at a time that the distributions before their labels fit the logit budget.
    bar = progress.task("reading prompts", len(short))
    most = max((len(prompt.label_positions) for prompt in short), default=1)
    size = max(1, logits_per_pass(model) // (model.vocabulary_size * most))
    for start in range(0, len(short), size):
        batch = short[start : start + size]
        found = next_token_log_probs(
            model,
            [prompt.ids for prompt in batch],
            [[position - 1 for position in prompt.label_positions] for prompt in batch],
            tokens_per_batch=tokens_per_batch,
        )
        for prompt, rows in zip(batch, found, strict=True):  # rows: [queries, vocabulary]
            first = torch.tensor([[ids[0] for ids in labels] for labels in prompt.label_ids])
            for slot, line in zip(prompt.slots, rows.double().gather(1, first), strict=True):
                table[slot] = line.numpy()
        bar.advance(len(batch))
    bar.close()

    # Longer labels: prompts with equally many queries are read on together, from label to label.
    budget = tokens_per_batch or tokens_per_pass(model)
    for queries in sorted({len(prompt.label_positions) for prompt in longer}):
        alike = [prompt for prompt in longer if len(prompt.label_positions) == queries]

        def read(group: Sequence[int], alike: Sequence[EncodedPrompt] = alike) -> dict[int, Tensor]:
            return dict(zip(group, _score_by_segments(model, [alike[index] for index in group]), strict=True))

        groups = group_by_length([len(prompt.ids) for prompt in alike], budget)
        for index, rows in over_batches(groups, read, progress.task("reading prompts", len(alike))).items():
            for slot, line in zip(alike[index].slots, rows, strict=True):
                table[slot] = line.numpy()
    return table


def _score_by_segments(model: CausalLM, prompts: Sequence[EncodedPrompt]) -> Float[Tensor, "prompts queries labels"]:
    """Reads prompts on from label to label; at each label the cache of the prefix serves all labels."""
    as_tokens(model, [prompt.ids for prompt in prompts], what="prompt")
    cache, past, columns = None, [0] * len(prompts), []
    for query in range(len(prompts[0].label_positions)):
        ends = [prompt.label_positions[query] for prompt in prompts]
        pieces = [torch.tensor(prompt.ids[start:end]) for prompt, start, end in zip(prompts, past, ends, strict=True)]
        # Padding on the left, so that the last column holds every row's next-token logits.
        batch = pad(pieces, range(len(prompts)), model, side="left")
        output = model.forward(batch.input_ids, batch.mask, cache=cache, keep=1, use_cache=True)
        cache, past = output.cache, ends
        labels_of_rows = [prompt.label_ids[query] for prompt in prompts]
        # A label's first token, plus the rest over a copied cache.
        first = torch.log_softmax(output.logits[:, -1].double(), dim=-1).cpu()
        scores = torch.stack(
            [line[[ids[0] for ids in labels]] for line, labels in zip(first, labels_of_rows, strict=True)]
        )
        longer = [
            (row, column, ids)
            for row, labels in enumerate(labels_of_rows)
            for column, ids in enumerate(labels)
            if len(ids) > 1
        ]
        if longer:
            batch = pad([torch.tensor(ids) for *_, ids in longer], range(len(longer)), model, side="right")
            owner = torch.tensor([row for row, *_ in longer], device=model.device)
            rest = model.forward(batch.input_ids[:, :-1], cache=model.select_rows(cache, owner)).logits
            tokens = gathered(rest, batch.input_ids[:, 1:])  # [labels, tokens after the first]
            # Padding behind a shorter label adds nothing.
            inside = torch.arange(1, batch.input_ids.shape[1], device=tokens.device) < batch.lengths[:, None]
            sums = torch.where(inside, tokens, 0.0).sum(dim=1).cpu()
            for (row, column, _), value in zip(longer, sums, strict=True):
                scores[row, column] += value
        columns.append(scores)
    return torch.stack(columns, dim=1)


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
        """Splits into the first ``count`` examples and the others."""
        parts = [getattr(self, field.name) for field in fields(self)]
        return Components(*(part[:, :count] for part in parts)), Components(*(part[:, count:] for part in parts))

    def nearest_rival(self, task: int) -> int:
        """Finds the task with the smallest KL divergence from a task, estimated on its examples."""
        gaps = (self.whole[task] - self.whole).mean(axis=1)
        # A task's gap to itself is 0 and would always be the smallest.
        gaps[task] = np.inf
        return int(gaps.argmin())


def score_components(
    encoder: PromptEncoder,
    contexts: Sequence[Sequence[Ids]],
    task: Task,
    examples: Sequence[Example],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> Components:
    """Scores the examples of one task under the tokens of each task's contexts; equal examples are scored once."""
    return score_tasks(encoder, contexts, [(task, examples)], tokens_per_batch=tokens_per_batch, progress=progress)[0]


def score_tasks(
    encoder: PromptEncoder,
    contexts: Sequence[Sequence[Ids]],
    asked: Sequence[tuple[Task, Sequence[Example]]],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> list[Components]:
    """:func:`score_components` for the examples of several tasks, with each context read once for all of them."""
    # Samples of a distribution repeat: every different example is scored once, ``place`` leads back to all.
    place: dict[tuple[int, Example], int] = {}
    encoded: list[EncodedExample] = []
    for number, (task, examples) in enumerate(asked):
        unique = list(dict.fromkeys(examples))
        place |= {(number, example): len(encoded) + index for index, example in enumerate(unique)}
        encoded += encoder.encode_examples(task, unique)
    places = [(number, place) for number, own in enumerate(contexts) for place in range(len(own))]

    def read(group: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[np.ndarray, ...]]:
        return {
            (number, place): _score_after(encoder.model, contexts[number][place], encoded, tokens_per_batch)
            for number, place in group
        }

    found = over_batches([[each] for each in places], read, progress.task("examples", len(places)))
    parts = []
    for number, own in enumerate(contexts):
        scored = [found[number, place] for place in range(len(own))]
        inputs, labels, shown, tails, rarest = (np.stack(part) for part in zip(*scored, strict=True))
        # Joint probabilities are averaged over contexts, then divided into conditional ones again:
        # averaging the conditional ones themselves would not give those of the mixture of contexts.
        mean = np.log(len(scored))
        to_input = logsumexp(inputs, axis=0) - mean
        to_labels = logsumexp(inputs[..., None] + labels, axis=0) - mean
        to_shown = logsumexp(inputs + shown, axis=0) - mean
        whole = logsumexp(inputs + shown + tails, axis=0) - mean
        conditional = (to_labels - to_input[:, None], to_shown - to_input, whole - to_shown)
        parts.append((to_input, *conditional, rarest.min(axis=0)))
    stacked = [np.stack(part) for part in zip(*parts, strict=True)]
    return [
        Components(*(part[:, [place[number, example] for example in examples]] for part in stacked))
        for number, (_, examples) in enumerate(asked)
    ]


def label_log_probs_after(
    model: CausalLM, contexts: Sequence[Ids], encoded: Sequence[EncodedExample], *, tokens_per_batch: int | None = None
) -> Float[np.ndarray, "contexts examples labels"]:
    """Scores every label of some examples after each context, which is read once and ends with a whole example."""
    return np.stack([_score_after(model, context, encoded, tokens_per_batch)[1] for context in contexts])


def score_lines(
    model: CausalLM, contexts: Sequence[Ids], lines: Sequence[Ids], *, tokens_per_batch: int | None = None
) -> Float[np.ndarray, "contexts lines"]:
    """Scores whole continuations after each of some contexts, in nats."""
    scored = [_token_scores(model, context, lines, [], tokens_per_batch)[0] for context in contexts]
    return np.array([[float(line.sum()) for line in tokens] for tokens in scored])


def _score_after(
    model: CausalLM, context: Ids, encoded: Sequence[EncodedExample], tokens_per_batch: int | None
) -> tuple[np.ndarray, ...]:
    """Inputs, labels, label shown, tails and rarest token of examples after one context."""
    # One line per example, then one per label of several tokens: (example, label) owns it, -1 being the example itself.
    lines, owners = [example.ids for example in encoded], [(number, -1) for number in range(len(encoded))]
    for number, example in enumerate(encoded):
        for column, ids in enumerate(example.label_ids):
            if len(ids) > 1:
                lines.append(example.ids[: example.label[0]] + ids)
                owners.append((number, column))
    tokens, first = _token_scores(model, context, lines, encoded, tokens_per_batch)
    labels = np.array([[row[ids[0]] for ids in each.label_ids] for row, each in zip(first, encoded, strict=True)])
    for (number, column), line in zip(owners, tokens, strict=True):
        if column >= 0:
            labels[number, column] = line[encoded[number].label[0] :].sum()
    own = tokens[: len(encoded)]
    # Inputs, label and tail add up to the whole line, so log P(example) is the sum of the three.
    cuts = [
        (line[: each.label[0]], line[slice(*each.label)], line[each.label[1] :])
        for line, each in zip(own, encoded, strict=True)
    ]
    inputs, shown, tails = (np.array([part[k].sum() for part in cuts]) for k in range(3))
    return inputs, labels, shown, tails, np.array([line.min() for line in own])


@torch.no_grad()
def _token_scores(
    model: CausalLM, context: Ids, lines: Sequence[Ids], encoded: Sequence[EncodedExample], tokens_per_batch: int | None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Log-probability of every token of every line, and the whole distribution where an example's label begins."""
    (start,) = as_tokens(model, [context], what="context")
    ids = as_tokens(model, lines, what="example")
    check_length(model, len(start) + max(map(len, lines)), "a context with one more example")
    head = model.forward(start[None].to(model.device), keep=1, use_cache=True)
    # The first token of a line is predicted by the context's last position, every other one by the token before it.
    before = torch.log_softmax(head.logits[0, -1].double(), dim=-1)
    # The budget of a batch is set by tokens, and by logits since all positions' logits are kept.
    budget = min(tokens_per_batch or tokens_per_pass(model), max(1, logits_per_pass(model) // model.vocabulary_size))
    tokens: list[np.ndarray] = [np.empty(0)] * len(lines)
    first: list[np.ndarray] = [np.empty(0)] * len(encoded)
    if isinstance(model, HuggingFaceLM) and model.abilities.branches:
        places = [example.label[0] for example in encoded]
        for group in group_branches([line[:-1] for line in lines], min(budget, PACKED)):
            logits, paths = model.read_branches(head.cache, [lines[index][:-1] for index in group])
            # One row before all: the last of the context, which the first token of every line follows.
            rows = torch.cat([before[None], torch.log_softmax(logits.double(), dim=-1)]).cpu().numpy()
            for index, path in zip(group, paths, strict=True):
                at = [0, *(node + 1 for node in path)]
                tokens[index] = rows[at, lines[index]]
                if index < len(encoded):
                    first[index] = rows[at[places[index]]]
        return tokens, first
    for group in group_by_length([len(line) for line in lines], budget):
        batch = pad(ids, group, model, side="right")
        # Every line of the batch continues the one row of the context's cache.
        cache = model.select_rows(head.cache, torch.zeros(len(group), dtype=torch.long, device=model.device))
        logits = model.forward(batch.input_ids, cache=cache).logits
        scores = torch.cat([before[batch.input_ids[:, :1]], gathered(logits[:, :-1], batch.input_ids[:, 1:])], dim=1)
        for line, index in enumerate(group):
            tokens[index] = scores[line, : len(lines[index])].cpu().numpy()
            if index < len(encoded):
                label = encoded[index].label[0]
                row = torch.log_softmax(logits[line, label - 1].double(), dim=-1) if label else before
                first[index] = row.cpu().numpy()
    return tokens, first
