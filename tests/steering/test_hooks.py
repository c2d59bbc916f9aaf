"""Steering in every way a model is called: alone, in batches, cached, row by row, token by token, in half types."""

from __future__ import annotations

import pytest
import torch

from seqtant.errors import InputError
from seqtant.lm import continuation_log_probs, encode, generate, token_log_probs
from seqtant.lm.generation import Sampling
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.reference.world.world import World
from seqtant.steering.vectors.hooks import apply_steering, resolution_warning
from seqtant.steering.vectors.vector import LayerFacts, SteeringVector
from tests.steering.samples import make_model, random_vector

TEXTS = ["talk : how are you ?", "talk : we love the lamp . how are you ?", "book : tom lives in paris ."]
GREEDY = Sampling(temperature=0.0)


def test_adds_exactly_the_vector_after_each_block(exact_model: HuggingFaceLM, vector: SteeringVector) -> None:
    from seqtant.lm.hooks import edit_blocks

    ids = torch.tensor(encode(exact_model, TEXTS[:1]))
    weights = {1: 2.0, 2: -0.5}
    with apply_steering(exact_model, vector, 3.0, weights=weights):
        found = exact_model.forward(ids).logits
    edits = {
        layer: (lambda states, call, push=3.0 * weights[layer] * row: states + push.double())
        for layer, row in vector.directions.items()
    }
    with edit_blocks(exact_model, edits):
        expected = exact_model.forward(ids).logits
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, exact_model.forward(ids).logits, atol=1e-3)


def test_leaves_the_model_as_it_was_also_after_an_error(model: HuggingFaceLM, vector: SteeringVector) -> None:
    ids = torch.tensor(encode(model, TEXTS[:1]))
    before = model.forward(ids).logits
    with pytest.raises(RuntimeError, match="halfway"), apply_steering(model, vector, 5.0):
        raise RuntimeError("halfway")
    assert torch.equal(model.forward(ids).logits, before)


def test_every_row_has_its_own_strength_in_scoring_and_generation(
    exact_model: HuggingFaceLM, vector: SteeringVector
) -> None:
    strengths = [0.0, 4.0, -6.0]
    ids = encode(exact_model, TEXTS)
    with apply_steering(exact_model, vector, strengths):
        together = token_log_probs(exact_model, ids)
        spoken = generate(exact_model, ids, max_tokens=6, sampling=GREEDY)
    for row, strength in enumerate(strengths):
        with apply_steering(exact_model, vector, strength):
            alone = token_log_probs(exact_model, [ids[row]])[0]
            said = generate(exact_model, [ids[row]], max_tokens=6, sampling=GREEDY)[0]
        assert torch.allclose(together[row], alone, atol=1e-6)
        assert spoken[row].tokens == said.tokens


def test_rows_of_a_plain_batch_are_known_by_their_place(exact_model: HuggingFaceLM, vector: SteeringVector) -> None:
    ids = torch.tensor(encode(exact_model, [TEXTS[0], TEXTS[0]]))
    with apply_steering(exact_model, vector, [0.0, 4.0]):
        both = exact_model.forward(ids).logits
    with apply_steering(exact_model, vector, 4.0):
        expected = exact_model.forward(ids[1:]).logits[0]
    assert torch.allclose(both[1], expected, atol=1e-6)
    assert torch.allclose(both[0], exact_model.forward(ids[:1]).logits[0], atol=1e-9)
    with (
        pytest.raises(InputError, match="3 strengths for a batch of 2 rows"),
        apply_steering(exact_model, vector, [1, 2, 3]),
    ):
        exact_model.forward(ids)


@pytest.mark.parametrize("positions", ["prompt", "last", "generated"])
def test_position_masks_survive_the_cache(positions: str, exact_model: HuggingFaceLM, vector: SteeringVector) -> None:
    """Generation token by token under a cache is a full pass over the same tokens with the same mask."""
    ids = encode(exact_model, TEXTS)
    lengths = [len(line) for line in ids]
    with apply_steering(exact_model, vector, 5.0, positions=positions, prompt_lengths=lengths):
        said = generate(exact_model, ids, max_tokens=5, sampling=GREEDY, stop_ids=[])
        full = token_log_probs(exact_model, [[*line, *own.tokens] for line, own in zip(ids, said, strict=True)])
        ends = [continuation_log_probs(exact_model, ids[0], [said[0].tokens])[0]]
    for row, own in enumerate(said):
        assert torch.allclose(full[row][-5:], own.log_probs, atol=1e-6)
    assert torch.allclose(ends[0], said[0].log_probs, atol=1e-6)
    plain = token_log_probs(exact_model, [[*ids[0], *said[0].tokens]])[0]
    changed = (full[0] - plain).abs() > 1e-9
    first = {"prompt": 0, "last": lengths[0] - 1, "generated": lengths[0] - 1}[positions]
    assert int(changed.nonzero()[0]) == first, "the first score that changes is that of the token after the mask"


@pytest.mark.parametrize(("positions", "steered"), [
    ("all", [1, 1, 1, 1, 1, 1]),
    ("prompt", [1, 1, 1, 0, 0, 0]),
    ("last", [0, 0, 1, 0, 0, 0]),
    ("generated", [0, 0, 1, 1, 1, 1]),
])  # fmt: skip
def test_exactly_the_tokens_of_the_mask_are_steered(
    positions: str, steered: list[int], exact_model: HuggingFaceLM
) -> None:
    """Six tokens with a prompt of three: the output of the steered block changes at the mask and nowhere else."""
    from seqtant.lm.hooks import read_blocks

    ids, outputs = torch.tensor([[1, 5, 6, 7, 8, 9]]), []
    with read_blocks(exact_model, [1], lambda states, call: outputs.append(states)):
        exact_model.forward(ids)
    with (
        apply_steering(exact_model, random_vector([1]), 5.0, positions=positions, prompt_lengths=3),
        read_blocks(exact_model, [1], lambda states, call: outputs.append(states)),
    ):
        exact_model.forward(ids)
    moved = (outputs[1] - outputs[0]).norm(dim=-1)[0]
    assert moved.tolist() == pytest.approx([5.0 * each for each in steered], abs=1e-6)


def test_the_first_generated_token_is_steered(exact_model: HuggingFaceLM, vector: SteeringVector) -> None:
    """The prompt's last token predicts it: steered there only, or from there on, it has the same probability."""
    ids = encode(exact_model, TEXTS)
    found = {}
    for positions in ("last", "generated", None):
        where = {"positions": positions, "prompt_lengths": [len(line) for line in ids]} if positions else {}
        with apply_steering(exact_model, vector, 5.0 if positions else 0.0, **where):
            found[positions] = generate(exact_model, ids, max_tokens=1, sampling=GREEDY, stop_ids=[])
    for last, generated, plain in zip(found["last"], found["generated"], found[None], strict=True):
        assert generated.tokens == last.tokens
        assert torch.equal(generated.log_probs, last.log_probs)
        assert not torch.equal(generated.log_probs, plain.log_probs)


def test_left_padding_is_not_taken_for_a_prompt(exact_model: HuggingFaceLM, vector: SteeringVector) -> None:
    ids = encode(exact_model, TEXTS[:2])
    width = max(map(len, ids))
    padded = torch.zeros(2, width, dtype=torch.long)
    mask = torch.zeros_like(padded)
    for row, line in enumerate(ids):
        padded[row, width - len(line) :] = torch.tensor(line)
        mask[row, width - len(line) :] = 1
    lengths = [len(line) for line in ids]
    with apply_steering(exact_model, vector, 5.0, positions="last", prompt_lengths=lengths):
        together = exact_model.forward(padded, mask, keep=1).logits[:, -1]
    for row, line in enumerate(ids):
        with apply_steering(exact_model, vector, 5.0, positions="last", prompt_lengths=len(line)):
            alone = exact_model.forward(torch.tensor([line]), keep=1).logits[0, -1]
        assert torch.allclose(together[row], alone, atol=1e-5)


def test_keeps_norms_if_asked(exact_model: HuggingFaceLM) -> None:
    from seqtant.lm.hooks import read_blocks

    kept: list[torch.Tensor] = []
    ids = torch.tensor(encode(exact_model, TEXTS[:1]))
    with read_blocks(exact_model, [1], lambda states, call: kept.append(states.norm(dim=-1))):
        exact_model.forward(ids)
    with (
        apply_steering(exact_model, random_vector([1]), 9.0, keep_norm=True),
        read_blocks(exact_model, [1], lambda states, call: kept.append(states.norm(dim=-1))),
    ):
        exact_model.forward(ids)
    assert torch.allclose(kept[0], kept[1])


def test_bad_calls_are_refused(model: HuggingFaceLM, vector: SteeringVector) -> None:
    for arguments, reason in (
        ({"positions": "middle"}, "unknown positions 'middle'"),
        ({"positions": "last"}, "need the lengths of the prompts"),
        ({"weights": {3: 1.0}}, "does not steer"),
        ({"strength": float("nan")}, "finite"),
    ):
        with pytest.raises(InputError, match=reason), apply_steering(model, vector, **arguments):  # type: ignore[arg-type]
            pass


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_lose_small_strengths_and_say_so(dtype: torch.dtype, world: World) -> None:
    half = make_model(world, dtype=dtype)
    ids = torch.tensor(encode(half, TEXTS[:1]))
    norm = 20.0
    vector = SteeringVector({1: torch.ones(32)}, {1: LayerFacts(hidden_norm=norm)})
    tiny, usable = 1e-6, 2.0
    with apply_steering(half, vector, tiny):
        assert torch.equal(half.forward(ids).logits, half.forward(ids).logits)
        lost = half.forward(ids).logits
    assert torch.equal(lost, half.forward(ids).logits), "rounded away"
    assert "below the rounding" in (resolution_warning(half, vector, tiny) or "")
    assert resolution_warning(half, vector, usable) is None
    with apply_steering(half, vector, usable):
        assert not torch.equal(half.forward(ids).logits, lost)
    if dtype == torch.float16:
        assert "overflows float16" in (resolution_warning(half, vector, 7e4) or "")
    assert resolution_warning(make_model(world), vector, tiny) is None
