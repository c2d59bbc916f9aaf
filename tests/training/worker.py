"""Trains the tests' decoder in a process of its own: alone, under torchrun, or until it is killed.

Arguments: folder, steps, final weights file (written by the first process), step at which to die (or -1).
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from seqtant.models.decoder import Decoder
from seqtant.runs.recorder import Context
from seqtant.training import Periodic, TrainingConfig, train


def main(folder: str, steps: str, weights: str, death: str) -> None:
    spec = importlib.util.spec_from_file_location("shared", Path(__file__).with_name("conftest.py"))
    shared = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shared)
    torch.set_num_threads(1)
    model = Decoder(shared.SHAPE, generator=torch.Generator().manual_seed(3)).double()
    config = TrainingConfig(steps=int(steps), learning_rate=1e-2, warmup=2, checkpoint_every=3, accumulation=2)

    def die(step: int, seen: object) -> None:
        assert seen is model, "callbacks must see the caller's model, not what synchronizes it"
        if step == int(death):
            os.kill(os.getpid(), signal.SIGKILL)

    context = Context(folder=Path(folder) if folder else None, device="cpu")
    history = train(model, shared.MaskedTokens(), config, context=context, callbacks=[Periodic(1, die)])
    if int(os.environ.get("RANK", "0")) == 0:
        state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        save_file(state, weights, metadata={"losses": json.dumps(history.losses)})
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
