"""Trains the tests' decoder sharded over processes (FSDP), on the CPU, where Accelerate itself would not shard.

Accelerate shards on accelerators only; here the session is put together by hand around torch's ``fully_shard``, so that
the loop and the checkpoints meet sharded weights. Arguments: folder, steps to stop after, steps.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from seqtant.models.decoder import Decoder
from seqtant.runs.recorder import Context
from seqtant.training import Periodic, TrainingConfig, next_token_loss
from seqtant.training.loop import InterruptSwitch, _Run
from seqtant.training.optimizer import build_optimizer
from seqtant.training.session import Session


def main(folder: str, stop: str, steps: str) -> None:
    spec = importlib.util.spec_from_file_location("shared", Path(__file__).with_name("conftest.py"))
    shared = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shared)
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    mesh = init_device_mesh("cpu", (accelerator.num_processes,))
    model = Decoder(shared.SHAPE, generator=torch.Generator().manual_seed(3)).double()
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    for layer in model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    config = TrainingConfig(steps=int(steps), learning_rate=1e-2, warmup=2, checkpoint_every=3, accumulation=2)
    session = Session(accelerator, model, build_optimizer(model, config, accelerator.device), shapes)

    def end(step: int, _: object) -> None:
        if step == int(stop):
            raise SystemExit(7)

    context = Context(folder=Path(folder))
    run = _Run(session, shared.MaskedTokens(), config, next_token_loss, context, None, [Periodic(1, end)])
    with InterruptSwitch() as switch:
        run.to_the_end(switch)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
