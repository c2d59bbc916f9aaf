"""Rows as batches of characters, and a small decoder or an adapted language model that learns to write them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from seqtant.data.tokens import CharacterTokens
from seqtant.errors import InputError
from seqtant.runs.context import Context
from seqtant.subtasks.config import ArmName, ArmSettings, NetworkConfig, OptimizationConfig
from seqtant.subtasks.networks.networks import NetworkLM, build_network, schedule_of
from seqtant.subtasks.rows.augmentation import arm_layouts
from seqtant.subtasks.rows.layout import Layout
from seqtant.subtasks.rows.problem_rows import Row
from seqtant.subtasks.tasks.splits import SPLITS, Split
from seqtant.subtasks.training.fitting import relative_change
from seqtant.subtasks.training.row_solving import solve_rows
from seqtant.subtasks.training.scores import Scores
from seqtant.subtasks.training.teacher_forcing import character_pieces, given_true_text
from seqtant.training import train
from seqtant.training.losses import IGNORED

WATCHED = 64
"""Validation rows behind each point of a learning curve."""


@dataclass(frozen=True)
class RowBatches:
    """Rows as batches, in a new order every epoch.

    Example:
        >>> rows = [([1, 2, 3], 1), ([4, 5], 1)]
        >>> RowBatches(tuple(rows), size=2, seed=0).batch(0)["labels"].tolist()[0][0]
        -100
    """

    rows: tuple[tuple[list[int], int], ...]
    """Tokens of each row, and how many of them are its prompt."""
    size: int
    """Rows of a batch."""
    seed: int
    """Seed of the order."""

    @property
    def fingerprint(self) -> str:
        """Tells two sources apart."""
        return hashlib.sha256(repr((self.rows, self.size, self.seed)).encode()).hexdigest()[:16]

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """``input_ids`` and ``labels`` of one update; rows are padded on the right, where nothing is learned."""
        per_epoch = max(1, len(self.rows) // self.size)
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng([self.seed, 4, epoch]).permutation(len(self.rows))
        chosen = [self.rows[each] for each in order[place * self.size : (place + 1) * self.size]]
        longest = max(len(tokens) for tokens, _ in chosen)
        tokens = torch.zeros(len(chosen), longest, dtype=torch.long)
        labels = torch.full((len(chosen), longest), IGNORED)
        for line, (row, prompt) in enumerate(chosen):
            tokens[line, : len(row)] = torch.tensor(row)
            labels[line, prompt : len(row)] = tokens[line, prompt : len(row)]
        return {"input_ids": tokens, "labels": labels}


@dataclass
class RowFitted:
    """A network that learned to write rows."""

    network: nn.Module
    model: NetworkLM
    tokens: CharacterTokens
    arm: ArmName
    context: int
    """Most characters of a row."""
    longest: int
    """Most characters of a completion."""
    curve: list[tuple[int, float, float]]
    """Updates, share of right answers, share of rows without an error, on validation rows."""
    weight_change: float
    cpu_seconds: float

    def solve(self, rows: Sequence[Row], layouts: Sequence[Layout]) -> Scores:
        """Lets the network write the rows on its own and scores them."""
        self.network.eval()
        self.model.device = next(self.network.parameters()).device
        return solve_rows(self.model, self.tokens, rows, layouts, longest=self.longest)

    def given_true_text(self, layouts: Sequence[Layout]) -> Scores:
        """What the network would write after the true text."""
        return given_true_text(self.model, [character_pieces(self.tokens, each) for each in layouts], self.tokens)

    def updates_to(self, accuracy: float) -> int | None:
        """Updates at the first look at which so many answers were right; None if never."""
        return next((update for update, answer, _ in self.curve if answer >= accuracy), None)


def fit_rows(
    splits: Mapping[Split, Sequence[Row]],
    arm: ArmName,
    settings: ArmSettings,
    network: NetworkConfig,
    optimization: OptimizationConfig,
    *,
    updates: int,
    evaluate_every: int,
    seed: int,
    context: Context,
) -> RowFitted:
    """Trains a fresh decoder or recurrent network on the characters of one arm.

    Args:
        splits: Rows to train on and to watch.
        arm: How solutions are written.
        settings: Noise of the arm.
        network: Kind and shape.
        optimization: How it is trained.
        updates: Number of updates.
        evaluate_every: Updates between two looks.
        seed: Seed of weights, order and noise.
        context: Device, folder of the checkpoints, progress.

    Raises:
        InputError: A split is empty.
    """
    for split in SPLITS:
        if not splits[split]:
            raise InputError(f"there are no rows in the split '{split}': give more rows, a thousand or so")
    generator = np.random.default_rng([seed, 6])
    every = {split: arm_layouts(rows, arm, settings, generator) for split, rows in splits.items()}
    tokens = CharacterTokens(layout.text for split in every.values() for layout in split)
    encoded = tuple(_encoded(layout, tokens) for layout in every["train"])
    context_length = max(len(layout.text) for split in every.values() for layout in split) + 1
    longest = max(len(layout.completion) for split in every.values() for layout in split) + 1
    fresh = build_network(network, vocabulary=tokens.vocabulary, context=context_length, seed=seed)
    model = NetworkLM(fresh, tokens.vocabulary, context_length if network.positional else None)
    fitted = RowFitted(fresh, model, tokens, arm, context_length, longest, [], 0.0, 0.0)
    start = [each.detach().clone() for each in fresh.parameters()]
    started = time.process_time()

    def look(_: nn.Module) -> dict[str, float]:
        scores = fitted.solve(splits["validation"][:WATCHED], every["validation"][:WATCHED])
        return {"answer": float(scores.answer.mean()), "chain": float(scores.chain.mean())}

    schedule = schedule_of(fresh, optimization, updates, evaluate_every)
    batches = RowBatches(encoded, min(optimization.batch, len(encoded)), seed)
    history = train(fresh, batches, schedule, context=replace(context, seed=seed), evaluate=look)
    fitted.curve = [(update, each["answer"], each["chain"]) for update, each in sorted(history.evaluations.items())]
    fitted.cpu_seconds = time.process_time() - started
    fitted.weight_change = relative_change(start, [each.detach() for each in fresh.parameters()])
    return fitted


def _encoded(layout: Layout, tokens: CharacterTokens) -> tuple[list[int], int]:
    ids = [*tokens.encode(layout.text).tolist(), tokens.separator]
    return ids, len(layout.prompt)
