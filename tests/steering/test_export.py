"""Folding against hooks in every family, the folder others load, GGUF by llama.cpp rules, other libraries' objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seqtant.errors import InputError, MissingExtraError
from seqtant.lm import encode, generate, load
from seqtant.lm.generation import Sampling
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.steering.applying.output_bias import fold, save_folded
from seqtant.steering.vectors.hooks import apply_steering
from seqtant.steering.vectors.interop import (
    from_repeng,
    from_steering_vectors,
    read_gguf,
    to_repeng,
    to_steering_vectors,
    write_gguf,
)
from seqtant.steering.vectors.vector import Origin, SteeringVector, check_vector
from tests.lm.conftest import build
from tests.steering.samples import SHAPE, random_vector

GREEDY = Sampling(temperature=0.0)
EXACT = ["llama", "gpt2", "neox", "qwen2", "qwen3", "mistral", "gptj", "bloom"]


@pytest.mark.parametrize("family", EXACT)
def test_folding_is_steering_by_hooks(family: str) -> None:
    model = build(family)
    push = random_vector([0, 2], width=16)
    ids = torch.tensor([[0, 3, 4, 2, 3]])
    folded = fold(model, push, 1.5)
    with apply_steering(model, push, 1.5):
        expected = model.forward(ids).logits
        said = generate(model, ids.tolist(), max_tokens=8, sampling=GREEDY, stop_ids=[])[0].tokens
    assert torch.allclose(folded.forward(ids).logits, expected, atol=1e-5)
    assert generate(folded, ids.tolist(), max_tokens=8, sampling=GREEDY, stop_ids=[])[0].tokens == said
    assert not torch.allclose(model.forward(ids).logits, expected, atol=1e-3), "the model itself stays as it was"


def test_folding_behind_a_norm_is_refused() -> None:
    with pytest.raises(InputError, match="a norm comes after it"):
        fold(build("gemma2"), random_vector([0, 2], width=16), 1.5)


def test_mixtures_of_experts_and_quantized_matrices_are_refused(model: HuggingFaceLM) -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes: dict[str, Any] = {
        "vocab_size": 7,
        "hidden_size": 16,
        "intermediate_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "num_local_experts": 2,
        "max_position_embeddings": 32,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    experts = HuggingFaceLM(MixtralForCausalLM(MixtralConfig(**sizes)))
    with pytest.raises(InputError, match="mixture of experts"):
        fold(experts, random_vector([1], width=16), 1.0)
    with apply_steering(experts, random_vector([1], width=16), 3.0):  # hooks work all the same
        moved = experts.forward(torch.tensor([[1, 2]])).logits
    assert not torch.equal(moved, experts.forward(torch.tensor([[1, 2]])).logits)

    class Quantized(nn.Module):
        weight = torch.zeros(3, 3, dtype=torch.int8)

    block = nn.Module()
    block.mlp = nn.Module()
    block.mlp.down_proj = Quantized()
    from seqtant.steering.applying.output_bias import output_projection

    with pytest.raises(InputError, match="quantized"):
        output_projection(block, 0)


def test_folded_folder_is_a_plain_model(model: HuggingFaceLM, vector: SteeringVector, tmp_path: Path) -> None:
    save_folded(fold(model, vector, 4.0), tmp_path / "steered")
    read = load(tmp_path / "steered", device="cpu")
    ids = encode(model, ["talk : how are you ?"])
    with apply_steering(model, vector, 4.0):
        said = generate(model, ids, max_tokens=8, sampling=GREEDY)[0].tokens
        expected = model.forward(torch.tensor(ids)).logits
    assert torch.allclose(read.forward(torch.tensor(ids)).logits, expected, atol=1e-4)
    assert generate(read, ids, max_tokens=8, sampling=GREEDY)[0].tokens == said


def test_family_without_a_place_for_biases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'qwen2' has no place for the new biases"):
        save_folded(fold(build("qwen2"), random_vector([1], width=16), 1.0), tmp_path / "q")
    assert not (tmp_path / "q").exists()
    save_folded(fold(build("gpt2"), random_vector([1], width=16), 1.0), tmp_path / "g")  # it has biases already
    assert (tmp_path / "g" / "model.safetensors").is_file()


@pytest.fixture
def gguf() -> Any:
    return pytest.importorskip("gguf", reason="gguf is not installed: pip install 'seqtant[gguf]'")


def test_gguf_round_trip_by_llama_cpp_rules(gguf: Any, tmp_path: Path) -> None:
    made = SteeringVector(random_vector([1, 3]).directions, origin=Origin(model_type="llama", depth=5))
    path = tmp_path / "v.gguf"
    write_gguf(made, path, strength=2.5)
    reader = gguf.GGUFReader(str(path))
    assert reader.fields["general.architecture"].contents() == "controlvector"
    assert reader.fields["controlvector.model_hint"].contents() == "llama"
    assert reader.fields["controlvector.layer_count"].contents() == 4
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert list(tensors) == [f"direction.{k}" for k in (1, 2, 3, 4)], "block 0 never, all others always"
    for tensor in tensors.values():
        assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
        assert tensor.shape.tolist() == [SHAPE.hidden_size]
    assert np.linalg.norm(tensors["direction.3"].data) == pytest.approx(2.5)
    assert not tensors["direction.2"].data.any()
    read = read_gguf(path)
    assert read.layers == (1, 3)
    assert all(torch.allclose(read.directions[k], made.directions[k], atol=1e-6) for k in (1, 3))
    assert read.facts[1].raw_norm == pytest.approx(2.5)


def test_gguf_under_the_other_name_that_is_written_for_it(gguf: Any, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(str(tmp_path / "v.gguf"), "steeringvector")
    writer.add_string("steeringvector.model_hint", "mistral")
    writer.add_tensor("direction.2", np.array([0.0, 3.0, 4.0], dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = read_gguf(tmp_path / "v.gguf")
    assert (read.layers, read.directions[2].tolist(), read.origin.model_type) == (
        (2,),
        pytest.approx([0.0, 0.6, 0.8]),
        "mistral",
    )


@pytest.mark.parametrize(("hint", "family", "fits"), [
    ("qwen2", "llama", False), ("llama", "qwen2", False), ("qwen2", "qwen2", True), ("", "qwen2", True),
    ("llama", "mistral", True), ("mistral", "llama", False), ("gptneox", "neox", True),
])  # fmt: skip
def test_a_vector_of_another_family_of_equal_size_is_refused(hint: str, family: str, fits: bool) -> None:
    """llama.cpp and transformers write some families differently, and llama.cpp calls Mistral's models llama."""
    made = SteeringVector(random_vector([1], width=16).directions, origin=Origin(model_type=hint))
    check_vector(made, build(family), allow_other=True)
    if fits:
        check_vector(made, build(family))
    else:
        with pytest.raises(InputError, match=f"the vector was made for the family '{hint}', .* is of '{family}'"):
            check_vector(made, build(family))


def test_gguf_refuses_what_llama_cpp_refuses(gguf: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="block 0"):
        write_gguf(random_vector([0, 1]), tmp_path / "v.gguf", depth=4)
    with pytest.raises(InputError, match="number of the model's blocks is not known"):
        write_gguf(random_vector([1]), tmp_path / "v.gguf")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.gguf").write_bytes(b"GGUFnothing")
    with pytest.raises(InputError, match="no readable GGUF"):
        read_gguf(tmp_path / "x.gguf")
    writer = gguf.GGUFWriter(str(tmp_path / "wide.gguf"), "controlvector")
    writer.add_tensor("direction.1", np.ones(4, dtype=np.float64))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(InputError, match="one row of float32"):
        read_gguf(tmp_path / "wide.gguf")


def test_gguf_without_the_library_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(MissingExtraError, match=r"seqtant\[gguf\]"):
        write_gguf(random_vector([1]), tmp_path / "v.gguf", depth=4)


@pytest.mark.parametrize(("there", "back"), [(to_repeng, from_repeng), (to_steering_vectors, from_steering_vectors)])
def test_objects_of_other_libraries(there: Callable[..., Any], back: Callable[[Any], SteeringVector]) -> None:
    class Kind:
        def __init__(self, **fields: Any) -> None:
            self.__dict__.update(fields)

    made = SteeringVector(random_vector([1, 2]).directions, origin=Origin(model_type="llama"))
    other = there(made, 3.0, kind=Kind)
    rows = other.directions if hasattr(other, "directions") else other.layer_activations
    assert float(np.linalg.norm(np.asarray(rows[1]))) == pytest.approx(3.0)
    read = back(other)
    assert read.layers == (1, 2)
    assert read.facts[2].raw_norm == pytest.approx(3.0)
    assert torch.allclose(read.directions[2], made.directions[2], atol=1e-6)
