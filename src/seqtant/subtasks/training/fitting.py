"""Training of one network on one arm of a task or of rows, evaluated on its own steps as it learns."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from seqtant.data.tokens import CharacterTokens
from seqtant.errors import InputError
from seqtant.models.recurrent import RecurrentNetwork
from seqtant.runs.recorder import Context
from seqtant.subtasks.config import ArmName, NetworkConfig, OptimizationConfig
from seqtant.subtasks.networks.checkpoint import TrainedNetwork
from seqtant.subtasks.networks.networks import Network, NetworkLM, build_network
from seqtant.subtasks.rows.layout import Layout, arm_layouts
from seqtant.subtasks.rows.problem_rows import Row
from seqtant.subtasks.tasks.arms import Arm, TaskBatches, arm_of
from seqtant.subtasks.tasks.splits import SPLITS, Split, draw_inputs
from seqtant.subtasks.tasks.task import Task
from seqtant.subtasks.training.decoding import Scores, solve, solve_rows
from seqtant.training import Batches, TrainingConfig, train
from seqtant.training.losses import IGNORED

VALIDATION_INPUTS = 512
"""Validation inputs of a task behind each point of a learning curve."""
VALIDATION_ROWS = 64
"""Validation rows behind each point of a learning curve: text is decoded character by character."""
LAZY = 0.3
"""Relative change of the weights below which training stays where the theorem's linearization may hold."""


@dataclass(frozen=True)
class Point:
    """One point of a learning curve."""

    update: int
    answer: float
    """Share of right answers on the network's own steps."""
    chain: float
    """Share of rows without any error."""
    steps: tuple[float, ...] = ()
    """Accuracy of each written piece with teacher forcing; empty for rows."""


@dataclass(kw_only=True)
class Fitted:
    """A trained network and its learning curve."""

    trained: TrainedNetwork
    """The network with everything needed to run it: what ``evaluate`` takes and ``save_trained`` saves."""
    curve: list[Point] = field(default_factory=list)
    weight_change: float = 0.0
    """Length of the change of the trained weights over their initial length."""
    cpu_seconds: float = 0.0
    """Processor time of the training, evaluation included."""

    @property
    def network(self) -> Network:
        """The network itself."""
        return self.trained.network

    @property
    def model(self) -> NetworkLM:
        """The network behind the interface of language models."""
        return self.trained.model

    def updates_to(self, accuracy: float) -> int | None:
        """Updates at the first evaluation whose answer accuracy was at least this high; None if never."""
        return next((point.update for point in self.curve if point.answer >= accuracy), None)


@dataclass(kw_only=True)
class FittedTask(Fitted):
    """A network that was trained on a task."""

    task: Task
    arm: Arm

    def solve(self, inputs: np.ndarray) -> tuple[Scores, Scores]:
        """Solves inputs on the network's own steps, and with teacher forcing."""
        free = solve(self.model, self.task, self.arm, inputs)
        return free, solve(self.model, self.task, self.arm, inputs, decode="teacher")


@dataclass(kw_only=True)
class FittedRows(Fitted):
    """A network that was trained to write rows."""

    tokens: CharacterTokens

    def solve(self, rows: Sequence[Row], layouts: Sequence[Layout]) -> Scores:
        """Writes the rows on the network's own steps and scores them."""
        self.network.eval()
        return solve_rows(self.model, self.tokens, rows, layouts, longest=self.trained.longest)


@dataclass(frozen=True)
class RowBatches:
    """Training batches of rows for :func:`seqtant.training.train`, in a new order every epoch.

    Example:
        >>> rows = [([1, 2, 3], 1), ([4, 5], 1)]
        >>> RowBatches(tuple(rows), size=2, seed=0).batch(0)["labels"].tolist()[0][0]
        -100
    """

    rows: tuple[tuple[list[int], int], ...]
    """Tokens of each row, and how many of them are its prompt."""
    size: int
    seed: int
    """Seed of the order."""

    @property
    def fingerprint(self) -> str:
        """Identifies the batches, so that a run resumes only on the same ones."""
        return hashlib.sha256(repr((self.rows, self.size, self.seed)).encode()).hexdigest()[:16]

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """Builds ``input_ids`` and ``labels`` of one update, [rows, longest], padded on the right without labels."""
        # The rest of an epoch that fills no batch is dropped.
        per_epoch = max(1, len(self.rows) // self.size)
        epoch, place = divmod(step, per_epoch)
        # The order depends on the epoch alone, so that a resumed run reads the batches it would have read.
        order = np.random.default_rng([self.seed, 4, epoch]).permutation(len(self.rows))
        chosen = [self.rows[each] for each in order[place * self.size : (place + 1) * self.size]]
        longest = max(len(tokens) for tokens, _ in chosen)
        tokens = torch.zeros(len(chosen), longest, dtype=torch.long)
        labels = torch.full((len(chosen), longest), IGNORED)
        for line, (row, prompt) in enumerate(chosen):
            tokens[line, : len(row)] = torch.tensor(row)
            # The loss shifts labels by one: the prompt's last token learns to predict the first written one.
            labels[line, prompt : len(row)] = tokens[line, prompt : len(row)]
        return {"input_ids": tokens, "labels": labels}


def fit_network(
    task: Task,
    arm: Arm | ArmName = "steps",
    network: NetworkConfig | None = None,
    optimization: OptimizationConfig | None = None,
    *,
    updates: int = 2000,
    evaluate_every: int = 100,
    seed: int = 0,
    context: Context | None = None,
) -> FittedTask:
    """Trains a fresh network on a task.

    Args:
        task: The task.
        arm: What is written, an arm or its name.
        network: Kind and shape of the network; by default an Elman network whose recurrent matrix alone is trained.
        optimization: Optimizer settings; by default those of the network's kind.
        updates: Number of updates.
        evaluate_every: Number of updates between two evaluations.
        seed: Seed of the weights and the data.
        context: Device, folder of the checkpoints, progress.

    Raises:
        TrainingError: The loss or the gradient is not finite.
    """
    network, optimization = network or NetworkConfig(), optimization or OptimizationConfig()
    arm = arm_of(arm, task, seed=seed) if isinstance(arm, str) else arm
    vocabulary, length = arm.vocabulary(task), task.inputs + arm.pauses + len(arm.written)
    fresh = build_network(network, vocabulary=vocabulary, context=length, seed=seed)
    trained = TrainedNetwork(
        network=fresh, config=network, vocabulary=vocabulary, context=length, arm_name=arm.name, task=task, arm=arm
    )
    fitted = FittedTask(trained=trained, task=task, arm=arm)
    # One stream of random numbers per purpose: [seed, 2] is validation, [seed, 3] the test.
    validation = draw_inputs(task, "validation", VALIDATION_INPUTS, np.random.default_rng([seed, 2]))

    def evaluate(_: nn.Module) -> dict[str, float]:
        free, teacher = fitted.solve(validation)
        steps = {f"step {number}": float(accuracy) for number, accuracy in enumerate(teacher.per_step)}
        return {"answer": float(free.answer.mean()), "chain": float(free.chain.mean())} | steps

    weights = [each for each in fresh.parameters() if each.requires_grad]
    schedule = training_schedule(fresh, optimization, updates, evaluate_every)
    context = replace(context or Context(), seed=seed)
    _train(fitted, weights, TaskBatches(task, arm, optimization.batch, seed), schedule, context, evaluate)
    return fitted


def _train(
    fitted: Fitted,
    weights: Sequence[torch.Tensor],
    batches: Batches,
    schedule: TrainingConfig,
    context: Context,
    evaluate: Callable[[nn.Module], dict[str, float]],
) -> None:
    """Trains a fresh network and notes its learning curve, its processor time and the change of some weights."""
    start = [each.detach().cpu().clone() for each in weights]
    started = time.process_time()
    history = train(fitted.network, batches, schedule, context=context, evaluate=evaluate)
    # Read from the history and not collected in evaluate: a resumed run has the points from before as well.
    for update, found in sorted(history.evaluations.items()):
        steps = tuple(found[f"step {number}"] for number in range(sum(name.startswith("step ") for name in found)))
        fitted.curve.append(Point(update, found["answer"], found["chain"], steps))
    fitted.cpu_seconds = time.process_time() - started
    # The length of the change over the length before.
    changes = (float((new.detach().cpu() - old).square().sum()) for old, new in zip(start, weights, strict=True))
    fitted.weight_change = (sum(changes) / sum(float(old.square().sum()) for old in start)) ** 0.5


def final_scores(fitted: FittedTask, rows: int, seed: int) -> tuple[Scores, Scores]:
    """Tests a trained network on fresh inputs of the test split: on its own steps, and with teacher forcing."""
    inputs = draw_inputs(fitted.task, "test", rows, np.random.default_rng([seed, 3]))
    fitted.network.eval()
    return fitted.solve(inputs)


def fit_rows(
    splits: Mapping[Split, Sequence[Row]],
    arm: ArmName = "steps",
    network: NetworkConfig | None = None,
    optimization: OptimizationConfig | None = None,
    *,
    noise: float = 0.0,
    updates: int = 2000,
    evaluate_every: int = 100,
    seed: int = 0,
    context: Context | None = None,
) -> FittedRows:
    """Trains a fresh network, by default a decoder, on the characters of rows; see :func:`fit_network`.

    ``noise`` is the share of the steps of the arm ``noisy`` that are wrong.

    Raises:
        InputError: A split is empty.
        TrainingError: The loss or the gradient is not finite.
    """
    network, optimization = network or NetworkConfig(kind="decoder"), optimization or OptimizationConfig()
    for split in SPLITS:
        if not splits[split]:
            raise InputError(f"there are no rows in the split '{split}': give more rows, a thousand or so")
    generator = np.random.default_rng([seed, 6])
    every = {split: arm_layouts(rows, arm, generator, noise=noise) for split, rows in splits.items()}
    layouts = [layout for split in every.values() for layout in split]
    tokens = CharacterTokens(layout.text for layout in layouts)
    # One position more than the text: the separator ends a row.
    length = max(len(layout.text) for layout in layouts) + 1
    longest = max(len(layout.completion) for layout in layouts) + 1
    fresh = build_network(network, vocabulary=tokens.vocabulary, context=length, seed=seed)
    trained = TrainedNetwork(
        network=fresh,
        config=network,
        vocabulary=tokens.vocabulary,
        context=length,
        arm_name=arm,
        alphabet=tokens.alphabet,
        longest=longest,
    )
    fitted = FittedRows(trained=trained, tokens=tokens)

    def evaluate(_: nn.Module) -> dict[str, float]:
        scores = fitted.solve(splits["validation"][:VALIDATION_ROWS], every["validation"][:VALIDATION_ROWS])
        return {"answer": float(scores.answer.mean()), "chain": float(scores.chain.mean())}

    # The separator after the text is learned too: it ends a row.
    encoded = tuple(
        ([*tokens.encode(layout.text).tolist(), tokens.separator], len(layout.prompt)) for layout in every["train"]
    )
    batches = RowBatches(encoded, min(optimization.batch, len(encoded)), seed)
    schedule = training_schedule(fresh, optimization, updates, evaluate_every)
    context = replace(context or Context(), seed=seed)
    _train(fitted, list(fresh.parameters()), batches, schedule, context, evaluate)
    return fitted


def training_schedule(
    network: nn.Module, config: OptimizationConfig, updates: int, evaluate_every: int
) -> TrainingConfig:
    """Builds the settings of the training loop; what the configuration leaves open depends on the network."""
    # The theorem is on plain gradient descent of the recurrent matrix alone.
    only_recurrent = isinstance(network, RecurrentNetwork) and network.config.trained == "recurrent"
    optimizer = config.optimizer or ("sgd" if only_recurrent else "adamw")
    descent = optimizer == "sgd"
    warmup = (0 if descent else 100) if config.warmup is None else config.warmup
    return TrainingConfig(
        steps=updates,
        optimizer=optimizer,
        learning_rate=config.learning_rate or (0.1 if descent else 0.002),
        schedule="constant",
        warmup=min(warmup, updates),
        weight_decay=0.0,
        betas=(0.9, 0.98),
        clip=config.clip,
        accumulation=config.accumulation,
        precision=config.precision,
        compile=config.compile,
        evaluate_every=evaluate_every,
        checkpoint_every=max(1, updates // 10),
        keep=1,
    )
