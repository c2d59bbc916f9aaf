"""Control vectors of ours in the programs that they are made for: repeng's importer, and llama.cpp itself."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.steering.vectors.hooks import apply_steering
from seqtant.steering.vectors.interop import write_gguf
from seqtant.steering.vectors.vector import Origin, SteeringVector
from tests.steering.gguf_model import build_llama, write_model

pytest.importorskip("gguf", reason="gguf is not installed: pip install 'seqtant[gguf]'")
IDS = [1, 5, 9, 3, 7]


@pytest.fixture
def ours() -> HuggingFaceLM:
    return HuggingFaceLM(build_llama())


@pytest.fixture
def push(ours: HuggingFaceLM) -> SteeringVector:
    generator = torch.Generator().manual_seed(3)
    width, depth = ours.model.config.hidden_size, ours.model.config.num_hidden_layers
    directions = {layer: torch.randn(width, generator=generator) for layer in (1, 3)}
    return SteeringVector(directions, origin=Origin(model_type="llama", depth=depth))


def test_repeng_imports_what_we_write(push: SteeringVector, tmp_path: Path) -> None:
    repeng = pytest.importorskip(
        "repeng", reason="repeng is not installed; it needs an older transformers: see benchmarks/steering_peers"
    )
    write_gguf(push, tmp_path / "v.gguf", strength=2.5)
    read = repeng.ControlVector.import_gguf(tmp_path / "v.gguf")
    assert read.model_type == "llama"
    assert sorted(read.directions) == [1, 2, 3]
    for layer, direction in push.directions.items():
        np.testing.assert_allclose(read.directions[layer], 2.5 * direction.numpy(), atol=1e-6)


def test_llama_cpp_steers_as_we_do(ours: HuggingFaceLM, push: SteeringVector, tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama.cpp is not installed: pip install llama-cpp-python")
    write_model(ours.model, tmp_path / "model.gguf")
    write_gguf(push, tmp_path / "v.gguf", strength=4.0)
    plain = ours.forward(torch.tensor([IDS])).logits[0, -1]
    with apply_steering(ours, push, 4.0):
        expected = ours.forward(torch.tensor([IDS])).logits[0, -1]
    theirs, moved = last_logits(llama_cpp, tmp_path / "model.gguf", tmp_path / "v.gguf")
    np.testing.assert_allclose(theirs, plain.numpy(), atol=1e-3)
    np.testing.assert_allclose(moved, expected.numpy(), atol=1e-3)
    assert float((plain - expected).abs().max()) > 0.1, "the push must be seen"


def last_logits(llama_cpp: Any, model: Path, vector: Path) -> tuple[np.ndarray, np.ndarray]:
    """Logits after the last token in llama.cpp, without the control vector and with it."""
    llama = llama_cpp.Llama(str(model), n_ctx=64, n_gpu_layers=0, logits_all=True, verbose=False)
    found = []
    for steer in (False, True):
        if steer:
            rows = control_rows(vector, llama.n_embd())
            buffer = rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            apply = getattr(llama_cpp, "llama_set_adapter_cvec", None) or llama_cpp.llama_apply_adapter_cvec
            assert apply(llama.ctx, buffer, rows.size, rows.shape[1], 1, len(rows)) == 0
        llama.reset()
        llama.eval(IDS)
        found.append(np.array(llama.scores[len(IDS) - 1]))
    return found[0], found[1]


def control_rows(path: Path, width: int) -> np.ndarray:
    """The buffer that llama.cpp makes of a control vector's file: one row per block, from block 1 on."""
    import gguf

    tensors = {int(t.name.removeprefix("direction.")): t for t in gguf.GGUFReader(str(path)).tensors}
    assert all(t.tensor_type == gguf.GGMLQuantizationType.F32 and t.n_elements == width for t in tensors.values())
    return np.ascontiguousarray([tensors[layer].data for layer in sorted(tensors)], dtype=np.float32)
