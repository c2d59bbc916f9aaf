"""What users of this field type first: each a few lines on objects in memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config

import seqtant
from seqtant import architecture, beb, ctc, icl, lm, pretraining, quantum, steering, subtasks
from seqtant.errors import InputError

NOUNS = ("lamp", "hill", "lake", "road")
PAIRS = [(f"talk : what a good {noun} !", f"talk : what a bad {noun} !") for noun in NOUNS]
BEHAVIOR = [
    (f"talk : i see a {noun} . the {noun} is", [" good"], [" bad"]) for noun in ("lamp", "hill", "lake", "road")
]
CAPITALS = {"france": "paris", "italy": "rome", "spain": "madrid", "germany": "berlin"}
HELPFULNESS = [
    (f"book : what is the capital of {country} ?", [f" {city}" for city in CAPITALS.values()], f" {city}")
    for country, city in CAPITALS.items()
]


@pytest.fixture(scope="module")
def loaded() -> Any:
    """The model that ships."""
    return lm.load("reference", device="cpu")


@pytest.fixture(scope="module")
def pair(loaded: Any) -> Any:
    """The same as a plain transformers model with its tokenizer."""
    return loaded.model, loaded.tokenizer


@pytest.fixture(scope="module")
def vector(pair: Any) -> steering.SteeringVector:
    return steering.SteeringVector.extract(pair, PAIRS, layers=[2, 3])


def test_a_vector_from_a_transformers_model_and_tuples(pair: Any, vector: steering.SteeringVector) -> None:
    by_function = steering.extract(pair, PAIRS, [2, 3])
    torch.testing.assert_close(by_function.directions[2], vector.directions[2])
    of_pairs = steering.extract(lm.HuggingFaceLM(*pair), [steering.ContrastPair(*each) for each in PAIRS], [2, 3])
    torch.testing.assert_close(of_pairs.directions[3], vector.directions[3])


def test_vectors_are_added_scaled_saved_and_loaded(vector: steering.SteeringVector, tmp_path: Path) -> None:
    half = vector + 0.5 * vector
    torch.testing.assert_close(half.directions[2], 1.5 * vector.directions[2])
    half.save(tmp_path / "half.safetensors")
    torch.testing.assert_close(
        steering.SteeringVector.load(tmp_path / "half.safetensors").directions[3], half.directions[3]
    )


def test_a_vector_steers_generate_of_transformers(pair: Any, vector: steering.SteeringVector) -> None:
    model, tokenizer = pair
    ids = tokenizer("talk : how are you ?", return_tensors="pt").input_ids
    plain = model(ids).logits
    with vector.apply(pair, 2.0):
        steered = model(ids).logits
        assert model.generate(ids, max_new_tokens=2, do_sample=False).shape[1] == ids.shape[1] + 2
    with steering.steered(model, vector, 2.0):
        torch.testing.assert_close(model(ids).logits, steered)
    torch.testing.assert_close(model(ids).logits, plain)
    assert float((steered - plain).abs().max()) > 0.01


def test_a_strength_for_a_vector(pair: Any, vector: steering.SteeringVector) -> None:
    result = steering.choose_strength(
        pair, vector, behavior=BEHAVIOR, helpfulness=HELPFULNESS, budget=0.2, resamples=100, device="cpu"
    )
    assert result.instrument == "steering.choose"
    assert result.values["strength"] is not None


def test_a_loss_like_those_of_torch() -> None:
    log_probs = torch.randn(12, 2, 3, generator=torch.Generator().manual_seed(0)).log_softmax(-1).requires_grad_()
    purpose = ctc.AlignWithPurpose(["low-latency"])
    assert isinstance(purpose, torch.nn.Module)
    loss = purpose(log_probs, torch.tensor([[1, 2], [2, 1]]), (12, 12), (2, 2), generator=torch.Generator())
    assert loss.shape == ()
    loss.backward()


def test_packing_of_lengths_and_of_rows_of_token_ids() -> None:
    assert pretraining.pack_lengths([5, 3, 9, 2], window=8).window == 8
    rows = pretraining.pack([[1, 2, 3], [4, 5], [6], [7, 8, 9, 10, 11]], window=5)
    assert sorted(token for row in rows for token in row) == list(range(1, 12))
    assert max(map(len, rows)) == 5


def test_shapes_planned_and_audited() -> None:
    assert architecture.plan(params=1.3e9).values["optimal_depth"] == architecture.optimal_depth(1.3e9).depth
    audit = architecture.audit(GPT2Config())
    assert audit.values["parameters"] == 124_439_808


def test_breaking_lengths_from_numbers_and_a_model(pair: Any) -> None:
    assert beb.misalign(-3.0, 0.5, 0.1, "tight").whole > 0
    result = beb.measure(lm.load("reference", device="cpu"), prompts=8, sentences=4, resamples=100)
    assert result.instrument == "beb.measure"


def test_shots_for_tasks_in_memory(pair: Any) -> None:
    words = [
        f"{size} {animal}" for size in ("small", "big") for animal in ("cat", "dog", "wolf", "fox", "bear", "lion")
    ]
    style = {"template": "{input} : {label} .", "delimiter": " ", "opening": "game : "}
    tasks = [
        icl.Task(name, tuple(icl.Example(text, text.split()[place]) for text in words), **style)
        for place, name in enumerate(("size", "color"))
    ]
    assert icl.shots(pair, tasks, shots=2, prompts=4, context_shots=4).instrument == "icl.shots"


def test_steps_of_a_task() -> None:
    fitted = subtasks.fit_network(subtasks.parity(4, seed=1), "steps", subtasks.NetworkConfig(width=16), updates=2)
    assert subtasks.evaluate(fitted, test_rows=8).instrument == "subtasks.eval"


def test_bias_of_pretraining(pair: Any) -> None:
    assert pretraining.bias(pair, pairs=4, relative_steps=[1e-3]).instrument == "pretraining.bias"


def test_a_wave_function_is_composed_and_trained() -> None:
    lattice = quantum.chain(4)
    hamiltonian = quantum.build("tfim", lattice, field=1.0)
    vmc = quantum.VMC(quantum.TransformerState(lattice, depth=1, width=4, seed=0), hamiltonian, steps=2, samples=16)
    vmc.run()
    assert len(vmc.history) == 2
    # N sites of the open transverse-field Ising chain at the critical field: 1 - 1 / sin(pi / (4 N + 2)).
    assert quantum.diagonalize(hamiltonian).energy == pytest.approx(1 - 1 / math.sin(math.pi / 18), abs=1e-9)
    assert quantum.ground_state(steps=1, lattice=lattice, field=1.0, samples=16).instrument == "quantum.ground-state"


def test_a_configuration_runs_and_a_result_becomes_a_frame() -> None:
    result = seqtant.run(architecture.BoundsConfig.smoke())
    assert result.values == architecture.bounds().values
    frame = result.to_frame()
    assert len(frame) > 0
    assert str(result).splitlines()[0] == result.title
    assert "<table" in result._repr_html_()


def test_a_checkup_of_a_model_in_memory(loaded: Any, tmp_path: Path) -> None:
    result = seqtant.checkup(loaded, only=("architecture",), out=tmp_path)
    assert {part.instrument.partition(".")[0] for part in result.parts} == {"architecture"}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: steering.choose_strength(3),
        lambda: beb.measure(None),
        lambda: architecture.plan(params="many"),
        lambda: icl.shots("reference", tasks=3),
        lambda: pretraining.bias(pairs="ten"),
        lambda: quantum.ground_state(lattice=3.5),
    ],
)
def test_wrong_types_end_in_one_line(wrong: Any) -> None:
    with pytest.raises(InputError) as caught:
        wrong()
    assert "\n" not in str(caught.value)
