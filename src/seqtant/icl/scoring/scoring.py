"""Label probabilities after every number of shots, from one reading of each prompt.

Where every label is one token, the next-token distribution at the label's place holds them all. Longer labels share the
cached prefix: the prompt is read on from label to label, and at each place its cache is lent to the labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.icl.prompts.encoding import Ids, Row
from seqtant.lm.batches import Batch, as_tokens, group_by_length, pad
from seqtant.lm.interface import CausalLM
from seqtant.lm.logits import gathered, logits_per_pass, tokens_per_pass
from seqtant.lm.scoring import next_token_log_probs
from seqtant.progress import SILENT, Progress


@torch.no_grad()
def label_log_probs(
    model: CausalLM,
    rows: Sequence[Row],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> Float[np.ndarray, "prompts queries labels"]:
    """Log-probability of every label of every query of every prompt, in nats.

    Args:
        model: The model.
        rows: Encoded prompts.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
        progress: Told how many prompts are read.

    Returns:
        (prompts, queries, labels) float64, by the rows' slots; NaN where a slot has no query.

    Raises:
        InputError: A prompt does not fit the model.
    """
    if not rows:
        return np.empty((0, 0, 0))
    slots = [slot for row in rows for slot in row.slots]
    shape = (1 + max(prompt for prompt, _ in slots), 1 + max(query for _, query in slots), len(rows[0].answers[0]))
    table = np.full(shape, np.nan)
    short = [row for row in rows if all(len(ids) == 1 for own in row.answers for ids in own)]
    longer = [row for row in rows if row not in short] if len(short) < len(rows) else []
    bar = progress.task("reading prompts", len(rows))
    for part in _chunks(short, model):
        for row, scores in zip(part, _one_token(model, part, tokens_per_batch), strict=True):
            _fill(table, row, scores)
        bar.advance(len(part))
    for part in _alike(longer, tokens_per_batch or tokens_per_pass(model)):
        for row, scores in zip(part, _by_segments(model, part), strict=True):
            _fill(table, row, scores)
        bar.advance(len(part))
    bar.close()
    return table


def _fill(table: np.ndarray, row: Row, scores: Tensor) -> None:
    for slot, line in zip(row.slots, scores, strict=True):
        table[slot] = line.numpy()


def _chunks(rows: Sequence[Row], model: CausalLM) -> list[Sequence[Row]]:
    """Few enough rows at a time that the distributions at their places fit the budget of logits."""
    if not rows:
        return []
    size = max(1, logits_per_pass(model) // (model.vocabulary_size * max(len(row.places) for row in rows)))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _one_token(model: CausalLM, rows: Sequence[Row], tokens_per_batch: int | None) -> list[Tensor]:
    found = next_token_log_probs(
        model,
        [row.ids for row in rows],
        [[p - 1 for p in row.places] for row in rows],
        tokens_per_batch=tokens_per_batch,
    )
    return [
        line.double().gather(1, torch.tensor([[ids[0] for ids in own] for own in row.answers]))
        for row, line in zip(rows, found, strict=True)
    ]


def _alike(rows: Sequence[Row], budget: int) -> list[list[Row]]:
    """Batches of rows with equally many queries."""
    groups: list[list[Row]] = []
    for count in sorted({len(row.places) for row in rows}):
        same = [row for row in rows if len(row.places) == count]
        groups += [
            [same[index] for index in group] for group in group_by_length([len(row.ids) for row in same], budget)
        ]
    return groups


def _by_segments(model: CausalLM, rows: Sequence[Row]) -> list[Tensor]:
    """Reads on from label to label; at each place the cache of the prefix serves all labels."""
    as_tokens(model, [row.ids for row in rows], what="prompt")
    cache, past, columns = None, [0] * len(rows), []
    for query in range(len(rows[0].places)):
        pieces = [torch.tensor(row.ids[done : row.places[query]]) for row, done in zip(rows, past, strict=True)]
        batch = pad(pieces, range(len(rows)), model, side="left")
        output = model.forward(batch.input_ids, batch.mask, cache=cache, keep=1, use_cache=True)
        cache, past = output.cache, [row.places[query] for row in rows]
        columns.append(_labels_after(model, output.logits[:, -1], cache, [row.answers[query] for row in rows]))
    return list(torch.stack(columns, dim=1))


def _labels_after(
    model: CausalLM, logits: Tensor, cache: object, answers: Sequence[Sequence[Ids]]
) -> Float[Tensor, "rows labels"]:
    first = torch.log_softmax(logits.double(), dim=-1).cpu()
    scores = torch.stack([line[[ids[0] for ids in own]] for line, own in zip(first, answers, strict=True)])
    longer = [(r, c, torch.tensor(ids)) for r, own in enumerate(answers) for c, ids in enumerate(own) if len(ids) > 1]
    if longer:
        lines = [ids for _, _, ids in longer]
        batch = pad(lines, range(len(lines)), model, side="right")
        owner = torch.tensor([row for row, _, _ in longer], device=model.device)
        rest = _rest(model, batch, model.select_rows(cache, owner))
        for (row, column, _), value in zip(longer, rest, strict=True):
            scores[row, column] += value
    return scores


def _rest(model: CausalLM, batch: Batch, cache: object) -> Float[Tensor, " labels"]:
    """Log-probability of every token of a label but the first, summed."""
    logits = model.forward(batch.input_ids[:, :-1], cache=cache).logits
    scores = gathered(logits, batch.input_ids[:, 1:])
    inside = torch.arange(1, batch.input_ids.shape[1], device=scores.device) < batch.lengths[:, None]
    return torch.where(inside, scores, 0.0).sum(dim=1).cpu()
