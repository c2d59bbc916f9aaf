"""One model on its way through Accelerate: prepared for the device and processes at hand, and handed back bare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from seqtant.errors import InputError
from seqtant.processes import share_among_processes
from seqtant.training.config import TrainingConfig
from seqtant.training.optimizer import build_optimizer


@dataclass(frozen=True)
class Session:
    """What the steps of one run share."""

    accelerator: Accelerator
    model: nn.Module
    """The prepared model: in a parallel run the wrapper that synchronizes gradients."""
    optimizer: torch.optim.Optimizer
    """The prepared optimizer."""
    shapes: dict[str, list[int]]
    """Shape of every weight by name, before any process holds only its shard."""

    @property
    def bare_model(self) -> nn.Module:
        """The caller's own model, whatever synchronizes it: what evaluations and callbacks see."""
        return self.model.module if isinstance(self.model, DistributedDataParallel) else self.model

    @property
    def bare_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer itself, without what Accelerate puts around it."""
        return getattr(self.optimizer, "optimizer", self.optimizer)


@contextmanager
def open_session(model: nn.Module, config: TrainingConfig, *, device: str, seed: int) -> Iterator[Session]:
    """Prepares a model for training and takes the preparation off again, whatever happens.

    The random state of the caller is left as it was; inside, it depends on the seed and the process only.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("the model has no trainable parameter: set requires_grad on what should be trained")
    # Accelerate keeps its settings for the whole process; a second run may want another precision or device.
    AcceleratorState._reset_state(reset_partial_state=True)
    kind, _, number = device.partition(":")
    there = {"auto": 1, "cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (number and not number.isdecimal()) or int(number or 0) >= there.get(kind, 0):
        raise InputError(f"device '{device}' is not here: use auto or cpu")
    if kind == "cuda" and number:
        torch.cuda.set_device(int(number))
    if config.precision == "fp16" and not torch.cuda.is_available():
        raise InputError("precision fp16 needs a CUDA device: use bf16 here")
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision=config.precision)
    was_training = model.training
    process = accelerator.process_index
    # Process k takes the k-th draw of one stream: every process knows its own seed without being told.
    seeds = torch.randint(2**62, (process + 1,), generator=torch.Generator().manual_seed(seed))
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    # A sharded model is evaluated by all processes at once: none may leave a batch to the others.
    with torch.random.fork_rng(devices=devices), share_among_processes(together=False):
        torch.manual_seed(int(seeds[process]))
        model.to(accelerator.device)
        # Before ``prepare``, which may leave each process a shard with another shape.
        shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
        optimizer = build_optimizer(model, config, accelerator.device)
        prepared, prepared_optimizer = accelerator.prepare(model.train(), optimizer)
        if config.compile:
            prepared.compile()
        try:
            yield Session(accelerator, prepared, prepared_optimizer, shapes)
        finally:
            prepared._compiled_call_impl = None
            accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
            if accelerator.device.type != "cpu":  # elsewhere it would only cost a collection of garbage
                accelerator.free_memory()
            model.train(was_training)
