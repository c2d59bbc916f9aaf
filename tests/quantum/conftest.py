"""Small states to look at, on one thread."""

import pytest
import torch

from seqtant.quantum.config import GroundStateConfig, NetworkConfig
from seqtant.runs.recorder import Context


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny():
    """Settings of a run of a second."""

    def make(**changes):
        settings = {
            "lattice": "2x3",
            "field": 1.5,
            "steps": 4,
            "samples": 32,
            "evaluation_samples": 32,
            "checkpoint_every": 2,
            "network": NetworkConfig(depth=2, width=4),
        }
        return GroundStateConfig(**(settings | changes))

    return make


@pytest.fixture
def context(tmp_path):
    return Context(seed=3, device="cpu", folder=tmp_path / "run")
