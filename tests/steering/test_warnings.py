"""What a reader is told of models whose curves may jump: mixtures of experts, quantized weights, coarse numbers."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.reference.world.world import World
from seqtant.runs.recorder import Context, Recorder
from seqtant.steering.config import SweepConfig
from seqtant.steering.inputs import record_warnings
from seqtant.steering.vectors.vector import LayerFacts, SteeringVector
from tests.steering.samples import make_bench, make_model, random_vector


def warnings(model: HuggingFaceLM, vector: SteeringVector, strengths: list[float]) -> tuple[str, ...]:
    with Recorder("steering.sweep", "test", SweepConfig(), Context()) as record:
        record_warnings(record, make_bench(model, vector), strengths)
    return record.result.warnings


def test_nothing_is_said_of_a_plain_model(model: HuggingFaceLM, vector: SteeringVector) -> None:
    assert warnings(model, vector, [-1.0, 0.0, 1e-6]) == ()


@pytest.mark.parametrize(("field", "value", "message"), [
    ("num_local_experts", 8, "a mixture of 8 experts"),
    ("n_routed_experts", 64, "a mixture of 64 experts"),
])  # fmt: skip
def test_mixtures_of_experts(
    field: str, value: int, message: str, world: World, vector: SteeringVector, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(world)
    monkeypatch.setattr(model.model.config, field, value, raising=False)
    (told,) = warnings(model, vector, [1.0])
    assert message in told
    assert "curves may jump" in told


def test_quantized_weights(world: World, vector: SteeringVector, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(world)
    monkeypatch.setattr(model.model, "is_quantized", True, raising=False)
    assert "quantized model" in warnings(model, vector, [1.0])[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_small_strengths_in_coarse_types(dtype: torch.dtype, world: World) -> None:
    model = make_model(world, dtype=dtype)
    known = dataclasses.replace(random_vector([1]), facts={1: LayerFacts(hidden_norm=100.0)})
    limit = 100.0 * torch.finfo(dtype).eps
    assert "float32" in warnings(model, known, [limit / 2])[0]
    assert warnings(model, known, [2 * limit]) == ()
