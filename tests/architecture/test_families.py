"""Shapes read from configurations against the networks that transformers builds from the same configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from seqtant.architecture.counting.accounting import count_parameters
from seqtant.architecture.families.loading import FAMILIES, describe
from seqtant.errors import InputError
from tests.architecture.networks import ALL_FAMILIES, build_network, configurations, parameters_of

CONFIGS = {path.stem: path for path in sorted((Path(__file__).parent / "configs").glob("*.json"))}
UNTIED_BY_CHECKPOINT = {"t5-v1_1-base": 32128 * 768}
"""transformers 5 builds T5 tied whatever the configuration says, and unties it when a checkpoint has its own head."""

PUBLISHED = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "llama-2-7b": 6_738_415_616,
    "llama-3-8b": 8_030_261_248,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "gemma-7b": 8_537_680_896,
    "gemma-2-9b": 9_241_705_984,
    "t5-small": 60_506_624,
    "t5-v1_1-base": 247_577_856,
    "vit-base-patch16-224": 86_567_656,
    "stories260k": 260_032,
}
"""Parameter counts shown by the models' own pages."""


def load(name: str) -> dict[str, Any]:
    return json.loads(CONFIGS[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CONFIGS)
def test_published_configuration_counts_what_transformers_builds(name: str) -> None:
    config = load(name)
    shape = describe(config)
    counts = count_parameters(shape)
    built = parameters_of(build_network(config, shape.counted_as))
    assert counts.total == built + UNTIED_BY_CHECKPOINT.get(name, 0)
    assert counts.embedding + counts.head + counts.non_embedding == counts.total


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configuration_counts_what_was_published(name: str) -> None:
    assert count_parameters(describe(load(name))).total == PUBLISHED[name]


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_small_random_configurations_count_what_transformers_builds(family: str) -> None:
    @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(config=configurations(family))
    def check(config: dict[str, Any]) -> None:
        shape = describe(config)
        assert count_parameters(shape).total == parameters_of(build_network(config, shape.counted_as))

    check()


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_defaults_are_those_of_transformers(family: str) -> None:
    shape = describe({"model_type": family})
    defaults = {"attention_types": [[["global", "local"], 12]]} if family == "gpt_neo" else {}
    built = build_network({"model_type": family} | defaults, shape.counted_as)
    assert count_parameters(shape).total == parameters_of(built)
    unused = 2 if family == "roberta" else 0
    assert shape.context in (None, getattr(built.config, "max_position_embeddings", 0) - unused, shape.fixed_tokens)


def test_embedding_tables_are_those_of_transformers() -> None:
    for name in ("gpt2", "bert-base", "qwen3-0.6b", "albert-base-v2"):
        config = load(name)
        shape = describe(config)
        built = build_network(config, shape.counted_as)
        tables = sum(part.weight.numel() for part in built.modules() if isinstance(part, torch.nn.Embedding))
        assert sum(table.parameters for table in shape.embedding.tables) == tables


def test_an_untied_t5_checkpoint_holds_what_is_counted(tmp_path: Path) -> None:
    config = {"model_type": "t5", "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    config |= {"vocab_size": 40, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    config |= {"architectures": ["T5ForConditionalGeneration"]}
    network = build_network(config, "T5ForConditionalGeneration", device="cpu")
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items() if "embed_tokens" not in name}
    weights["lm_head.weight"] = weights["lm_head.weight"] + 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path)
    assert parameters_of(loaded) == count_parameters(describe(config)).total


def test_experts_that_are_not_used_do_not_count_as_active() -> None:
    config = load("mixtral-8x7b")
    two = describe(config | {"num_local_experts": 2})
    # A router over two experts instead of eight is all that distinguishes the two.
    router = 32 * 4096 * (8 - 2)
    assert count_parameters(describe(config)).active == count_parameters(two).total + router


def test_the_text_part_of_a_larger_model_is_counted_and_says_so() -> None:
    text = load("gemma-3-1b")
    shape = describe({"model_type": "gemma3", "text_config": text, "vision_config": {}})
    assert count_parameters(shape) == count_parameters(describe(text))
    assert any("only its text part" in note for note in shape.notes)


def test_an_unknown_head_is_left_out_and_says_so() -> None:
    shape = describe(load("gpt2") | {"architectures": ["GPT2ForTokenClassification"]})
    assert shape.counted_as == "GPT2Model"
    assert any("GPT2ForTokenClassification" in note for note in shape.notes)


def test_a_configuration_without_class_says_what_it_is_counted_as() -> None:
    shape = describe({"model_type": "llama"})
    assert shape.counted_as == "LlamaForCausalLM"
    assert any("names no class" in note for note in shape.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "llamma"}, "unknown model_type 'llamma' .did you mean 'llama'"),
        ({"model_type": None}, "unknown model_type None"),
        ({"hidden_size": 0}, "hidden_size is 0: it must be a whole number of at least 1"),
        ({"num_hidden_layers": -3}, "num_hidden_layers is -3"),
        ({"intermediate_size": 2.5}, "intermediate_size is 2.5"),
        ({"vocab_size": "many"}, "vocab_size is 'many'"),
        ({"num_attention_heads": 7}, "num_attention_heads is 7: it must divide hidden_size 64"),
        ({"num_key_value_heads": 3}, "num_key_value_heads is 3: it must divide the 8 attention heads"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes': it must be true or false"),
        ({"architectures": "LlamaForCausalLM"}, "architectures is 'LlamaForCausalLM'"),
        ({"model_type": "mixtral", "num_experts_per_tok": 9}, "there are only 8 experts"),
        ({"model_type": "gemma2", "layer_types": ["full_attention"]}, "must list one for each of 5 layers"),
        ({"model_type": "gemma2", "layer_types": ["linear_attention"] * 5}, "layer_types names 'linear_attention'"),
        ({"model_type": "gpt2", "add_cross_attention": True}, "cross-attention added to this family is not counted"),
        ({"model_type": "t5", "feed_forward_proj": "a-b-c"}, "feed_forward_proj is 'a-b-c'"),
        ({"model_type": "vit", "patch_size": 999}, "larger than the image"),
        ({"model_type": "vit", "image_size": [1, 2, 3]}, "must be one or two whole numbers"),
        ({"model_type": "gpt_neo", "attention_types": [[["global"], 1]]}, "attention_types names 1 layers"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        describe(load("stories260k") | change, "config.json")
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    family=st.sampled_from(ALL_FAMILIES),
    field=st.sampled_from(["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "architectures"]),
    value=st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=3), st.lists(st.integers(), max_size=2)),
)
def test_strange_values_give_a_shape_or_one_line(family: str, field: str, value: Any) -> None:
    spelled = FAMILIES[family][1].get(field, field)
    refused = ""
    try:
        shape = describe({"model_type": family, spelled: value})
    except InputError as error:
        refused = str(error)
    if refused:
        assert spelled in refused
    else:
        assert value is None or value == [] or (field == "vocab_size" and family == "vit")
        assert count_parameters(shape).total > 0
