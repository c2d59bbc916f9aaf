"""Networks counted from their modules: totals, experts, FLOPs and caches against real networks on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, Gemma3ForConditionalGeneration

from seqtant import architecture
from seqtant.architecture.counting.accounting import count_parameters
from seqtant.architecture.counting.built import build, count_modules, run_without_numbers
from seqtant.architecture.families.loading import FAMILIES, describe
from seqtant.errors import InputError
from seqtant.findings import Finding, Result

SMALL: dict[str, Any] = {"vocab_size": 300, "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 4}
DENSE = SMALL | {"num_key_value_heads": 2, "intermediate_size": 96}
MIXTURE = DENSE | {"moe_intermediate_size": 32, "num_experts_per_tok": 2}
LATENT = {"kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16}
LINEAR = {"linear_num_value_heads": 4, "linear_num_key_heads": 2}
LINEAR |= {"linear_key_head_dim": 16, "linear_value_head_dim": 16}
KINDS: dict[str, dict[str, Any]] = {
    "olmo3": DENSE | {"sliding_window": 8},
    "cohere2": DENSE | {"head_dim": 16, "sliding_window": 8},
    "gemma3n_text": DENSE
    | {"head_dim": 16, "vocab_size_per_layer_input": 300, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0},
    "olmoe": MIXTURE | {"num_experts": 4},
    "gpt_oss": MIXTURE | {"num_local_experts": 4, "head_dim": 16, "sliding_window": 8},
    "qwen2_moe": MIXTURE | {"num_experts": 4, "shared_expert_intermediate_size": 48},
    "deepseek_v3": MIXTURE
    | LATENT
    | {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "num_key_value_heads": 4},
    "qwen3_next": MIXTURE | LINEAR | {"num_experts": 4, "shared_expert_intermediate_size": 32, "head_dim": 16},
    "mamba2": {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 3, "state_size": 8}
    | {"head_dim": 16, "num_heads": 8, "n_groups": 1, "chunk_size": 8},
    "falcon_h1": DENSE
    | {"head_dim": 16, "mamba_d_ssm": 128, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8}
    | {"mamba_n_groups": 1, "mamba_chunk_size": 8},
    "jamba": DENSE
    | {"num_experts": 4, "num_experts_per_tok": 2, "attn_layer_period": 2, "attn_layer_offset": 1}
    | {"mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False},
}
"""A tiny configuration of each kind: windows, per-layer tables, experts, latent and linear attention, state spaces."""


def real(kind: str) -> Any:
    config = CONFIG_MAPPING[kind](**KINDS[kind])
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


@pytest.mark.parametrize("kind", KINDS)
def test_totals_are_those_of_the_network(kind: str) -> None:
    counted = count_modules(build({"model_type": kind} | KINDS[kind]))
    assert counted.parameters.total == sum(each.numel() for each in real(kind).parameters())
    assert counted.depth == KINDS[kind]["num_hidden_layers"]
    assert counted.parameters.components.get("other", 0) == 0 or kind == "gemma3n_text"


def test_a_token_passes_through_its_share_of_the_experts_and_all_the_rest() -> None:
    # 4 layers of 4 experts with gate, up and down of 64 x 32 each: two of the four stay idle.
    expert = 3 * 64 * 32
    for kind in ("olmoe", "qwen2_moe"):
        own = 96 if kind == "olmoe" else 32  # the width of OLMoE's experts is intermediate_size
        counted = count_modules(build({"model_type": kind} | KINDS[kind]))
        assert counted.experts == {"stored": 4, "active": 2}
        assert counted.parameters.components["experts"] == 4 * 4 * 3 * 64 * own
        assert counted.parameters.total - counted.parameters.active == 4 * 2 * 3 * 64 * own
    assert counted.parameters.components["shared experts"] == 4 * 3 * 64 * 48
    assert counted.parameters.components["router"] == 4 * (4 * 64 + 64)  # of the experts, and of the shared one
    assert expert == 6144


def test_the_kinds_of_mixers_are_told_apart() -> None:
    def mixers(kind: str) -> dict[str, int]:
        return dict(count_modules(build({"model_type": kind} | KINDS[kind])).mixers)

    assert mixers("olmo3") == {"attention": 4}
    assert mixers("qwen3_next") == {"linear attention": 3, "attention": 1}
    assert mixers("mamba2") == {"state space": 3}
    assert mixers("jamba") == {"state space": 2, "attention": 2}
    assert mixers("falcon_h1") == {"attention and state space": 4}


@pytest.mark.parametrize("kind", ["olmo3", "deepseek_v3", "qwen3_next", "mamba2", "jamba", "olmoe", "gpt_oss"])
def test_flops_and_cache_are_those_of_a_real_run(kind: str) -> None:
    network = real(kind)
    if hasattr(network.config, "_experts_implementation"):
        network.config._experts_implementation = "eager"  # products that torch's counter knows
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        output = network(torch.arange(24)[None])
    flops, cache = run_without_numbers(build({"model_type": kind} | KINDS[kind]), 24, "float32")
    assert flops.total == counter.get_total_flops()
    states: list[Any] = [
        vars(layer) for layer in (getattr(output, "past_key_values", None) or output.cache_params).layers
    ]
    numbers = 0
    while states:
        each = states.pop()
        if isinstance(each, torch.Tensor):
            numbers += each.numel() if each.is_floating_point() else 0
        elif isinstance(each, dict | list | tuple):
            states += each.values() if isinstance(each, dict) else each
    assert cache is not None
    assert cache.at_length == 4 * numbers


def test_latent_attention_needs_one_compressed_vector_per_token_and_layer() -> None:
    values = architecture.audit(CONFIG_MAPPING["deepseek_v3"](**KINDS["deepseek_v3"])).values
    assert values["kv_bytes_per_token_compressed"] == 4 * 4 * (16 + 8)
    assert values["kv_bytes_per_token"] == 4 * 4 * (16 + 8)  # as transformers 5.23 keeps it too


def test_scans_are_drawn_out_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build({"model_type": "jamba"} | KINDS["jamba"])
    whole, held = run_without_numbers(network, 320, "bfloat16")
    monkeypatch.setattr("seqtant.architecture.counting.built.LONGEST", 0.0)
    drawn, also = run_without_numbers(network, 320, "bfloat16")
    assert (drawn, also) == (whole, held)


def finding(result: Result, key: str) -> Finding:
    return next(each for each in result.findings if each.key == key)


def test_the_theory_says_what_it_does_not_cover() -> None:
    result = architecture.audit(CONFIG_MAPPING["jamba"](**KINDS["jamba"]))
    assert result.values["depth_ratio"] is None
    assert finding(result, "bottlenecks").verdict == finding(result, "depth").verdict == "vacuous"
    assert "of 4 layers here are 2 of state space" in finding(result, "depth").summary
    dense = architecture.audit(CONFIG_MAPPING["olmo3"](**KINDS["olmo3"]))
    assert dense.values["depth_ratio"] is not None


@pytest.mark.parametrize("kind", ["olmo3", "deepseek_v3", "mamba2"])
def test_saved_weights_agree(kind: str, tmp_path: Path) -> None:
    real(kind).save_pretrained(tmp_path)
    result = architecture.audit(tmp_path)
    assert finding(result, "weights").verdict == "agrees"
    config = json.loads((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 301}))
    assert finding(architecture.audit(tmp_path), "weights").verdict == "disagrees"


def test_a_picture_reader_is_counted_whole(tmp_path: Path) -> None:
    text = DENSE | {"head_dim": 16, "model_type": "gemma3_text"}
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CONFIG_MAPPING["gemma3"](text_config=text, vision_config=vision | {"image_size": 28, "patch_size": 14})
    network = Gemma3ForConditionalGeneration(config)
    network.save_pretrained(tmp_path)
    result = architecture.audit(tmp_path)
    assert result.values["parameters"] == sum(each.numel() for each in network.parameters())
    assert finding(result, "weights").verdict == "agrees"
    # The law speaks of the part that reads text.
    inside = sum(each.numel() for each in network.model.language_model.layers.parameters()) + 64
    assert result.values["non_embedding_parameters"] == inside


def test_a_head_with_numbers_of_its_own_is_no_copy(tmp_path: Path) -> None:
    network = AutoModelForCausalLM.from_config(CONFIG_MAPPING["llama"](**DENSE, tie_word_embeddings=False))
    network.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    found = finding(architecture.audit(tmp_path), "weights")
    assert found.verdict == "disagrees"
    assert found.measured is not None
    assert found.measured.value == sum(each.numel() for each in network.parameters())
    assert "lm_head.weight" in found.summary
    # The same numbers twice are a copy.
    network.lm_head.weight.data.copy_(network.model.embed_tokens.weight.data)
    network.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    assert finding(architecture.audit(tmp_path), "weights").verdict == "agrees"


@pytest.mark.parametrize("first_is_common", [True, False])
@pytest.mark.parametrize(
    ("family", "common", "own"),
    [(family, common, own) for family in sorted(FAMILIES) for common, own in FAMILIES[family][1].items()],
)
def test_of_two_names_of_a_size_transformers_choice_counts(
    family: str, common: str, own: str, first_is_common: bool
) -> None:
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 96}
    sizes |= {"max_position_embeddings": 64, "num_experts": 4, "num_local_experts": 4}
    if common not in sizes:
        pytest.skip(f"{common} is no size")
    aliases = FAMILIES[family][1]
    data: dict[str, Any] = {"model_type": family, "vocab_size": 300}
    data |= {aliases.get(name, name): sizes[name] for name in list(sizes)[:3] if name != common}
    if "moe" in family or family == "mixtral":
        data |= {"intermediate_size": 96, "moe_intermediate_size": 32, "head_dim": 16, "num_key_value_heads": 2}
        data |= {"num_experts_per_tok": 1}
    if family == "gpt_neo":
        data["attention_types"] = [[["global"], 2]]
    both = [(common, sizes[common]), (own, 2 * sizes[common])]
    data |= dict(both if first_is_common else reversed(both))
    shape = describe(data)
    network = build(data | {"architectures": [shape.counted_as]})
    assert count_parameters(shape).total == sum(each.numel() for each in network.parameters())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"model_type": "no_such"}, "unknown model_type 'no_such'"),
        ({"model_type": "olmoe", "num_key_value_heads": 0}, "cannot build 'olmoe'"),
        ({"model_type": "olmo3", "num_hidden_layers": "four"}, "cannot build 'olmo3'"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(data: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=message) as error:
        architecture.audit(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "auto", "sizes"),
    [
        ("bart", "AutoModelForSeq2SeqLM", {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2}),
        ("whisper", "AutoModelForSpeechSeq2Seq", {"encoder_layers": 2, "decoder_layers": 2}),
        ("llava", "AutoModelForImageTextToText", {}),
        ("modernbert", "AutoModelForMaskedLM", {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}),
    ],
)
def test_a_bare_configuration_is_counted_whole(kind: str, auto: str, sizes: dict[str, Any]) -> None:
    config = CONFIG_MAPPING[kind](**sizes)
    with torch.device("meta"):
        network = getattr(transformers, auto).from_config(config)
    result = architecture.audit(config)
    assert result.values["parameters"] == sum(each.numel() for each in network.parameters())
    assert f"the configuration names no class: counted as {type(network).__name__}" in result.warnings
    assert finding(result, "depth").verdict == "vacuous"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("wav2vec2", "networks that read tokens"), ("mpt", "does not name one size"), ("llava", "fitted on text alone")],
)
def test_what_the_law_does_not_cover_is_told_rightly(kind: str, reason: str) -> None:
    result = architecture.audit(CONFIG_MAPPING[kind]())
    assert finding(result, "depth").verdict == "vacuous"
    assert reason in finding(result, "depth").summary


def test_an_adapter_has_the_shape_of_its_model(tmp_path: Path) -> None:
    network = real("olmo3")
    network.save_pretrained(tmp_path / "base")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": str(tmp_path / "base")})
    )
    total = architecture.audit(tmp_path / "adapter").values["parameters"]
    assert total == sum(each.numel() for each in network.parameters())
