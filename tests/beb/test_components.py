"""Sides of a study: system prompts and adapters give exactly the distributions they stand for; faults are refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from seqtant.beb.components.adapters import AdaptedBase, adapted
from seqtant.beb.components.loading import (
    Component,
    SystemPromptLM,
    check_same_tokenizer,
    open_components,
    world_component,
)
from seqtant.errors import InputError
from seqtant.lm import HuggingFaceLM, MarkovLM, generate, next_token_log_probs, token_log_probs
from seqtant.sources import base_of, is_adapter


def tiny(seed: int = 0) -> HuggingFaceLM:
    torch.manual_seed(seed)
    shape = LlamaConfig(
        vocab_size=24,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return HuggingFaceLM(LlamaForCausalLM(shape), name="tiny")


def save_adapter(folder: Path, seed: int, *, layers: list[int] | None = None) -> Path:
    import peft

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = peft.LoraConfig(r=2, lora_alpha=4, task_type="CAUSAL_LM", layers_to_transform=layers)
        network = peft.get_peft_model(tiny().model, settings)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in network.named_parameters():
            if "lora_" in name:
                parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
        network.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def merged(folder: Path) -> HuggingFaceLM:
    """The adapter merged into the weights: another way to the same distributions."""
    import peft

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: Any = peft.PeftModel.from_pretrained(tiny().model, str(folder)).merge_and_unload()
    return HuggingFaceLM(network)


TEXTS = [[1, 5, 9, 13], [1, 4, 4, 8, 20, 3, 7], [1, 6]]


@pytest.mark.parametrize("layers", [None, [1, 2], [2]])
def test_adapters_give_what_merged_weights_give(tmp_path: Path, layers: list[int] | None) -> None:
    folders = {name: save_adapter(tmp_path / name, seed, layers=layers) for seed, name in enumerate(("minus", "plus"))}
    sides = adapted(tiny(), folders)
    plain = tiny()
    for name, side in sides.items():
        expected = plain if name is None else merged(folders[name])
        for ours, theirs in zip(next_token_log_probs(side, TEXTS), next_token_log_probs(expected, TEXTS), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5), name
    seeds = {"max_tokens": 6, "seeds": [1, 2, 3]}
    for name, folder in folders.items():
        ours, theirs = (generate(model, TEXTS, **seeds) for model in (sides[name], merged(folder)))
        assert [one.tokens for one in ours] == [one.tokens for one in theirs]


def test_blocks_below_the_adapters_run_once_for_all_sides(tmp_path: Path) -> None:
    folders = {name: save_adapter(tmp_path / name, seed, layers=[2]) for seed, name in enumerate(("minus", "plus"))}
    owner = AdaptedBase(tiny(), folders)
    assert owner.first_layer == 2
    counted = [0, 0, 0]

    def count(layer: int) -> Any:
        return lambda *_: counted.__setitem__(layer, counted[layer] + 1)

    for layer, block in enumerate(owner.base.model.model.layers):
        block.self_attn.register_forward_hook(count(layer))
    ids = torch.tensor([[1, 5, 9, 13]])
    for name in (None, "minus", "plus"):
        with owner.whole_pass(name, ids):
            owner.base.forward(ids)
    assert counted == [1, 1, 3]


def test_opening_an_adapter_folder_loads_its_base(tmp_path: Path) -> None:
    tiny().model.save_pretrained(tmp_path / "base")
    folder = save_adapter(tmp_path / "minus", 3)
    assert is_adapter(folder)
    assert not is_adapter(tmp_path)
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = ""
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="names no base model"):
        base_of(folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no adapter_model\.safetensors"):
        adapted(tiny(), {"minus": folder})


def test_an_adapter_of_another_shape_is_refused(tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "minus", 3)
    wide = LlamaConfig(vocab_size=24, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, bos_token_id=1)
    other = HuggingFaceLM(LlamaForCausalLM(wide), name="wide")
    with pytest.raises(InputError, match="does not fit 'wide'"):
        adapted(other, {"minus": folder})


SYSTEM = [7, 11, 3]


@pytest.mark.parametrize("model", [tiny(), MarkovLM(np.full((24, 24), 1 / 24), bos_id=1)], ids=["network", "oracle"])
def test_a_system_prompt_is_what_stands_in_front(model: Any) -> None:
    side = SystemPromptLM(model, SYSTEM)
    whole = token_log_probs(model, [[1, *SYSTEM, *text[1:]] for text in TEXTS])
    for ours, theirs in zip(token_log_probs(side, TEXTS), whole, strict=True):
        assert torch.allclose(ours, theirs[len(SYSTEM) :], atol=1e-5)


def test_a_system_prompt_is_read_in_generation_too() -> None:
    model = tiny()
    with_system = [[1, *SYSTEM, *text[1:]] for text in TEXTS]
    ours = generate(SystemPromptLM(model, SYSTEM), TEXTS, max_tokens=5, seeds=[1, 2, 3])
    theirs = generate(model, with_system, max_tokens=5, seeds=[1, 2, 3])
    assert [one.tokens for one in ours] == [one.tokens for one in theirs]


def test_system_prompts_without_room_or_text_are_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        SystemPromptLM(tiny(), [])
    with pytest.raises(InputError, match="leaves no room"):
        SystemPromptLM(tiny(), [3] * 63)
    assert SystemPromptLM(tiny(), SYSTEM).context_length == 61


def test_sides_of_other_words_are_refused() -> None:
    with pytest.raises(InputError, match="different tokenizers"):
        check_same_tokenizer({"the model": tiny(), "P-": MarkovLM([0.5, 0.5])})


def test_world_sides_and_their_faults() -> None:
    opened = open_components(
        {"a": Component("world"), "b": Component("world:gloomy"), "c": Component("world")}, device="cpu", dtype=None
    )
    assert opened["a"] is opened["c"]
    for wrong in ("world:", "world: ,"):
        with pytest.raises(InputError, match="names no persona"):
            world_component(wrong)
    with pytest.raises(InputError, match="no hidden value 'sulky'"):
        world_component("world:sulky")
