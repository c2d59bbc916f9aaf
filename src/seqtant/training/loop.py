"""The training loop: one step after the other, exactly the same however many processes and passes share the work."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from torch import nn

from seqtant.errors import TrainingError
from seqtant.progress import SILENT, Task
from seqtant.runs.recorder import Context
from seqtant.training.batches import Batches, share_of, split
from seqtant.training.checkpoint import TrainingHistory, checkpoints, restore, save
from seqtant.training.config import TrainingConfig
from seqtant.training.losses import Loss, next_token_loss
from seqtant.training.optimizer import learning_rate
from seqtant.training.session import Session, open_session

Evaluate = Callable[[nn.Module], Mapping[str, float]]
"""Measures the model (in evaluation mode, without gradients) and returns numbers by name."""


@dataclass(frozen=True)
class Periodic:
    """Something to do every so many steps."""

    every: int
    """Number of steps between two calls."""
    call: Callable[[int, nn.Module], None]
    """Called with the number of steps taken and the model."""


def train(
    model: nn.Module,
    batches: Batches,
    config: TrainingConfig,
    *,
    loss: Loss = next_token_loss,
    context: Context | None = None,
    evaluate: Evaluate | None = None,
    callbacks: Sequence[Periodic] = (),
) -> TrainingHistory:
    """Trains a model in place; run again with the same folder, it goes on where it stopped, to the bit.

    The loss of a step is the sum over the whole global batch divided by the count over the whole global batch, so
    neither the number of forward passes nor the number of processes changes it. Under ``accelerate launch`` or
    ``torchrun`` every process calls this function with the same arguments.

    Args:
        model: Trained in place, moved to the device.
        batches: Deterministic source of global batches; every tensor of a batch has the same number of rows B.
        config: The run's settings.
        loss: Sums the loss of some rows; by default next-token cross-entropy in nats.
        context: Seed (of dropout), device, folder of the checkpoints (None keeps none) and progress.
        evaluate: Called every ``config.evaluate_every`` steps and at the end, on every process.
        callbacks: What else to do periodically.

    Returns:
        The course of the whole run, steps before a resumption included.

    Raises:
        TrainingError: Loss or gradient is not finite, or a checkpoint is damaged or of another run.
        InputError: The device is not there or the batches do not fit.

    Example:
        >>> from seqtant.training import TrainingConfig, LossSum, train
        >>> class Ones:
        ...     def batch(self, step):
        ...         return {"x": torch.ones(4, 1)}
        >>> def square(model, batch):
        ...     output = model(batch["x"])
        ...     return LossSum((output**2).sum(), torch.tensor(len(output)))
        >>> history = train(nn.Linear(1, 1), Ones(), TrainingConfig(steps=3), loss=square)
        >>> history.steps, history.tokens
        (3, 12)
    """
    context = context or Context()
    opened = open_session(model, config, device=context.device, seed=context.seed)
    with opened as session, InterruptSwitch() as switch:
        return _Run(session, batches, config, loss, context, evaluate, callbacks).to_the_end(switch)


@dataclass
class _Run:
    session: Session
    batches: Batches
    config: TrainingConfig
    loss: Loss
    context: Context
    evaluate: Evaluate | None
    callbacks: Sequence[Periodic]
    history: TrainingHistory = field(default_factory=TrainingHistory)
    last_saved: Path | None = None
    saved_steps: int = 0

    def __post_init__(self) -> None:
        self.folder = self.context.folder
        self.progress = self.context.progress if self.session.accelerator.is_main_process else SILENT
        self.data = str(getattr(self.batches, "fingerprint", ""))

    def to_the_end(self, switch: InterruptSwitch) -> TrainingHistory:
        found = checkpoints(self.folder) if self.folder is not None else []
        if found:
            self.last_saved = found[-1]
            self.history = restore(found[-1], self.session, self.config, self.data)
            self.saved_steps = self.history.steps
            self.progress.note(f"going on from '{found[-1]}'")
        bar = self.progress.task("training", self.config.steps)
        bar.advance(self.history.steps)
        try:
            while self.history.steps < self.config.steps:
                self._advance(bar, switch)
            self._checkpoint()
            return self.history
        finally:
            bar.close()

    def _advance(self, bar: Task, switch: InterruptSwitch) -> None:
        started = time.perf_counter()
        step, history = self.history.steps, self.history
        rate = learning_rate(self.config, step)
        loss, count, norm, interrupted = self._step(step, rate, switch)
        history.losses.append(loss)
        history.gradient_norms.append(norm)
        history.tokens += count
        bar.advance()
        bar.show(loss=loss, lr=rate, tokens_per_second=count / (time.perf_counter() - started))
        steps = history.steps
        for callback in self.callbacks:
            if steps % callback.every == 0:
                callback.call(steps, self.session.bare_model)
        if self.evaluate is not None and (steps == self.config.steps or _due(self.config.evaluate_every, steps)):
            self.session.model.eval()
            with torch.no_grad():
                history.evaluations[steps] = dict(self.evaluate(self.session.bare_model))
            self.session.model.train()
        if interrupted:
            self._checkpoint()
            raise KeyboardInterrupt
        if _due(self.config.checkpoint_every, steps):
            self._checkpoint()

    def _step(self, step: int, rate: float, switch: InterruptSwitch) -> tuple[float, int, float, bool]:
        accelerator, model, optimizer = self.session.accelerator, self.session.model, self.session.optimizer
        batch = self.batches.batch(step)
        nominal = max(tensor.numel() for tensor in batch.values())
        mine = share_of(batch, accelerator.process_index, accelerator.num_processes)
        parts = split(mine, self.config.accumulation)
        exact = torch.float32 if accelerator.device.type == "mps" else torch.float64
        summed = torch.zeros((), dtype=exact, device=accelerator.device)
        counted = torch.zeros_like(summed)
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            here = {name: tensor.to(accelerator.device, non_blocking=True) for name, tensor in part.items()}
            # Gradients of the passes add up locally and are averaged over processes once, in the last backward pass.
            with nullcontext() if last else accelerator.no_sync(model):
                sums = self.loss(model, here)
                # The true count is known only at the end; a divisor of its order keeps gradients in range until then.
                accelerator.backward(sums.total / nominal)
            summed += sums.total.detach()
            counted += sums.count
        # One process may get the signal alone: the sum tells all of them, so that they stop at the same step.
        stop = torch.tensor(float(switch.pressed), device=accelerator.device)
        totals = accelerator.reduce(torch.stack([summed, counted, stop]), reduction="sum")
        total, count, stops = totals.tolist()  # type: ignore[union-attr]
        if count == 0:
            raise TrainingError(f"step {step}: the batch has nothing to learn from (every position is masked)")
        self._demand_finite(total / count, "loss", step)
        # Backward divided by the same nominal count everywhere, and processes average their gradients.
        factor = nominal * accelerator.num_processes / count
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)
        limit = self.config.clip if self.config.clip is not None else math.inf
        norm = float(accelerator.clip_grad_norm_(model.parameters(), limit))  # type: ignore[arg-type]
        if accelerator.scaler is None:
            self._demand_finite(norm, "gradient", step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        return total / count, round(count), norm, stops > 0

    def _demand_finite(self, number: float, name: str, step: int) -> None:
        if not math.isfinite(number):
            last = f"the last checkpoint is '{self.last_saved}'" if self.last_saved else "there is no checkpoint"
            raise TrainingError(
                f"step {step}: the {name} is {number}; {last}; lower the learning rate or check the data"
            )

    def _checkpoint(self) -> None:
        if self.folder is not None and self.saved_steps != self.history.steps:
            self.last_saved = save(self.folder, self.session, self.config, self.history, self.data)
            self.saved_steps = self.history.steps


def _due(every: int | None, steps: int) -> bool:
    return every is not None and steps % every == 0


class InterruptSwitch:
    """While open, the first SIGINT is only noted; a second one interrupts at once.

    Off the main thread, where Python allows no signal handlers, it notes nothing and changes nothing.

    Example:
        >>> with InterruptSwitch() as switch:
        ...     signal.raise_signal(signal.SIGINT)
        ...     switch.pressed
        True
    """

    pressed = False

    def __enter__(self) -> InterruptSwitch:
        self._here = threading.current_thread() is threading.main_thread()
        if self._here:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._here:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
