"""Extraction, the file, and what is refused: pairs without direction, corrupt files, vectors of other models."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtant.errors import InputError
from seqtant.lm.hooks import read_blocks
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import encode
from seqtant.reference.world.world import World
from seqtant.steering.data.items import ContrastPair, read_pairs
from seqtant.steering.vectors.extraction import extract, pair_tokens, parse_layers
from seqtant.steering.vectors.vector import SteeringVector, check_vector
from tests.steering.samples import make_model, random_vector


def test_mean_difference_is_that_of_the_full_forward(model: HuggingFaceLM, pairs: list[ContrastPair]) -> None:
    found = extract(model, pairs, [0, 3], folds=3)
    for layer in (0, 3):
        sides = []
        for texts in ([p.positive for p in pairs], [p.negative for p in pairs]):
            states = []
            for ids in encode(model, texts):
                output = model.model(torch.tensor([ids]), output_hidden_states=True)
                # hidden_states holds the last block's output only after the final norm: hooks see it before.
                if layer < 3:
                    states.append(output.hidden_states[layer + 1][0, -1])
                else:
                    kept: list[torch.Tensor] = []
                    with read_blocks(model, [layer], lambda states, call, kept=kept: kept.append(states)):
                        model.model(torch.tensor([ids]))
                    states.append(kept[0][0, -1])
            sides.append(torch.stack(states).double())
        difference = (sides[0] - sides[1]).mean(dim=0)
        assert found.facts[layer].raw_norm == pytest.approx(float(difference.norm()), rel=1e-5)
        assert torch.allclose(found.directions[layer].double(), difference / difference.norm(), atol=1e-6)
        assert found.facts[layer].hidden_norm == pytest.approx(float(torch.cat(sides).norm(dim=1).mean()), rel=1e-5)


def test_stops_at_the_highest_layer(model: HuggingFaceLM, pairs: list[ContrastPair]) -> None:
    ran: list[int] = []
    with read_blocks(model, range(4), lambda states, call: ran.append(call.layer)):
        extract(model, pairs, [1], folds=0)
    assert set(ran) == {0, 1}


def test_same_seed_same_vector(model: HuggingFaceLM, pairs: list[ContrastPair]) -> None:
    for method in ("mean", "pca", "repe", "probe", "random"):
        first, second = (extract(model, pairs, [2], method=method, seed=7, folds=2) for _ in range(2))
        assert torch.equal(first.directions[2], second.directions[2])
        assert first.facts == second.facts


def test_file_round_trip(model: HuggingFaceLM, pairs: list[ContrastPair], tmp_path: Path) -> None:
    made = extract(model, pairs, [1, 2])
    made.save(tmp_path / "v.safetensors")
    read = SteeringVector.load(tmp_path / "v.safetensors")
    assert read.origin == made.origin
    assert read.facts == made.facts
    assert all(torch.equal(read.directions[layer], made.directions[layer]) for layer in (1, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["v.safetensors"]


def test_corrupt_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        SteeringVector.load(tmp_path / "none.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"\x10\x00\x00")
    with pytest.raises(InputError, match="no readable safetensors"):
        SteeringVector.load(tmp_path / "broken.safetensors")
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(3)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(InputError, match="no steering vector of this package"):
        SteeringVector.load(tmp_path / "other.safetensors")


def test_vector_of_another_model_is_refused(
    model: HuggingFaceLM, pairs: list[ContrastPair], world: World, exact_model: HuggingFaceLM
) -> None:
    made = extract(model, pairs, [1], folds=0)
    check_vector(made, model)
    check_vector(made, exact_model)  # the same weights in another number type
    other = make_model(world, seed=1)
    with pytest.raises(InputError, match="other weights than 'small'"):
        check_vector(made, other)
    check_vector(made, other, allow_other=True)
    with pytest.raises(InputError, match="16 wide, 'small' 32"):
        check_vector(random_vector([1], width=16), model)
    with pytest.raises(InputError, match="for 10 blocks, 'small' has 4"):
        check_vector(random_vector([9]), model, allow_other=True)


def test_vector_of_another_tokenizer_is_refused(model: HuggingFaceLM, pairs: list[ContrastPair]) -> None:
    made = extract(model, pairs, [1], folds=0)
    words = copy.deepcopy(model.tokenizer)
    assert words is not None
    words.chat_template = "{{ messages }}"
    with pytest.raises(InputError, match="other tokenizer"):
        check_vector(made, HuggingFaceLM(model.model, words, name="small"))


def test_pairs_without_direction_are_refused(model: HuggingFaceLM) -> None:
    one = ContrastPair("talk : the lamp is lovely .", "talk : the lamp is grim .")
    for found, reason in (
        ([], "there are no rows"),
        ([one], "at least two"),
        ([one, ContrastPair("talk :", "talk :")], "same text on both sides"),
    ):
        with pytest.raises(InputError, match=reason):
            extract(model, found, [1])
    with pytest.raises(InputError, match="unknown method 'median'"):
        extract(model, [one, one], [1], method="median")


def test_activations_that_are_no_numbers_are_refused(world: World, pairs: list[ContrastPair]) -> None:
    broken = make_model(world)
    broken.model.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")  # type: ignore[union-attr, index]
    with pytest.raises(InputError, match="not finite"):
        extract(broken, pairs, [2])


def test_context_overflow_is_refused(model: HuggingFaceLM) -> None:
    long = ContrastPair("lovely " * 200, "grim " * 200)
    with pytest.raises(InputError, match="at most 128"):
        extract(model, [long, long], [1])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"positive": "a"}', "no 'negative'"),
        ('{"positive": "a", "negative": ""}', "must be a text"),
        ("[1]", "no JSON object"),
        ("{", "not JSON"),
    ],
)
def test_bad_pair_lines_are_named(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"positive": "x", "negative": "y"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"line 2.*{reason}"):
        read_pairs(str(path), limit=10)


def test_templates_and_chats(model: HuggingFaceLM, world: World) -> None:
    pair = ContrastPair(" happy .", " sad .", prompt="how are you ?")
    positive, _ = pair_tokens(model, [pair], "talk : {text}")
    assert positive == world.encode("talk : how are you ? happy .")
    with pytest.raises(InputError, match="no chat template"):
        pair_tokens(model, [pair], "chat")
    words = copy.deepcopy(model.tokenizer)
    assert words is not None
    words.chat_template = (
        "{{ bos_token }}{% for turn in messages %} {{ 'talk' if turn.role == 'user' else 'book' }} : "
        "{{ turn.content }}{% endfor %}{% if add_generation_prompt %} book :{% endif %}"
    )
    chatty = HuggingFaceLM(model.model, words)
    positive, negative = pair_tokens(chatty, [pair], "chat")
    assert positive == world.encode("talk : how are you ? book : happy .")
    assert negative == world.encode("talk : how are you ? book : sad .")
    alone, _ = pair_tokens(chatty, [ContrastPair("happy", "sad")], "chat")
    assert alone == world.encode("talk : happy book :")


def test_layers_are_read_as_people_write_them() -> None:
    assert parse_layers(None, 6, [2, 3]) == [2, 3]
    assert parse_layers("0:1.0", 3, []) == [0, 1, 2]
    for wrong in ("7", "2:2", "x", "1:2:3"):
        with pytest.raises(InputError, match=f"layers '{wrong}'"):
            parse_layers(wrong, 6, [])


def test_record_is_json(model: HuggingFaceLM, pairs: list[ContrastPair], tmp_path: Path) -> None:
    from safetensors import safe_open

    extract(model, pairs, [1]).save(tmp_path / "v.safetensors")
    with safe_open(str(tmp_path / "v.safetensors"), framework="numpy") as file:
        about = file.metadata()
        norm = float(np.linalg.norm(file.get_tensor("direction.1")))
    origin, facts = json.loads(about["origin"]), json.loads(about["facts"])
    assert origin["pairs"] == 12
    assert len(origin["model_hash"]) == len(origin["tokenizer_hash"]) == len(origin["data_hash"]) == 16
    assert 0 <= facts["1"]["held_out_accuracy"] <= 1
    assert 0 < facts["1"]["explained_variance"] <= 1
    assert norm == pytest.approx(1.0, abs=1e-6)
