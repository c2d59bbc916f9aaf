"""Makes a tiny random model of any causal family that the installed transformers knows, and saves it with a tokenizer.

Sizes are set by the names of fields, wherever a configuration has them; what a family needs besides stands in ``OWN``.
Weights are drawn wide, so that a token read at a wrong place or through a wrong mask moves the scores by whole nats.
"""

from __future__ import annotations

import shutil
from dataclasses import MISSING, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

DEPTH = 4
VOCABULARY = 300
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embedding_size", "embedding_dim"), 64),
    **dict.fromkeys(("word_embed_proj_dim", "lru_width"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_blocks"), DEPTH),
    **dict.fromkeys(("decoder_layers", "encoder_layers", "num_decoder_layers", "num_encoder_layers"), DEPTH),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_encoder_attention_heads", "num_decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads"), 2),
    **dict.fromkeys(("head_dim", "attention_head_dim", "kv_channels"), 16),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "n_inner"), 96),
    **dict.fromkeys(("ffn_hidden_size", "d_inner", "dff", "intermediate_size_mlp"), 96),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size"), 32),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "moe_topk", "top_k"), 2),
    **dict.fromkeys(("n_shared_experts", "n_group", "topk_group", "first_k_dense_replace"), 1),
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "qk_head_dim": 16,
    "v_head_dim": 16,
    "index_n_heads": 16,
    "index_head_dim": 16,
    "index_topk": 16,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_num_heads": 4,
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_head_dim"), 16),
    **dict.fromkeys(("state_size", "ssm_state_size", "mamba_d_state"), 8),
    **dict.fromkeys(("mamba_dt_rank", "time_step_rank", "conv_kernel"), 4),
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads", "n_mamba_heads"), 8),
    **dict.fromkeys(("mamba_d_head", "mamba_head_dim"), 16),
    **dict.fromkeys(("n_groups", "mamba_n_groups", "mamba_ngroups", "n_mamba_groups"), 1),
    "mamba_d_ssm": 128,
    **dict.fromkeys(("chunk_size", "mamba_chunk_size", "sliding_window"), 16),
    "attention_window_size": 16,
    "rotary_dim": 8,
    "use_mamba_kernels": False,
    "hidden_size_per_layer_input": 8,
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), VOCABULARY),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length"), 256),
    "context_length": 256,
}
"""By name of a field, wherever a configuration has it."""

MIXED = ["linear_attention", "full_attention", "linear_attention", "full_attention"]
WINDOWS = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
MLA = {"num_key_value_heads": 4, "head_dim": 8}
"""Multi-head latent attention: keys of every head, positions in a part of each that has a width of its own."""
DOTS3 = {
    "num_key_value_heads": 4,
    "sliding_window": 16,
    "shared_experts_intermediate_size": 32,
    **{f"swa_{name}": MLA["num_key_value_heads"] for name in ("num_attention_heads", "num_key_value_heads")},
    "swa_q_lora_rank": 24,
    "swa_kv_lora_rank": 16,
    "swa_head_dim": 16,
    "swa_qk_nope_head_dim": 8,
    "swa_v_head_dim": 16,
}
GEMMA4 = {"layer_types": WINDOWS, "global_head_dim": 32, "num_kv_shared_layers": 2}
INKLING = {
    "layer_types": ["hybrid_sliding", "hybrid", "hybrid_sliding", "hybrid"],
    "sliding_window_size": 16,
    "swa_head_dim": 16,
    "rel_extent": 32,
    "log_scaling_n_floor": 16,
    "logits_mup_width_multiplier": 1.0,
    "unpadded_vocab_size": VOCABULARY,
}
LLAMA4 = {"attention_chunk_size": 16, "floor_scale": 16}
QWEN4 = {
    "indexer_n_heads": 2,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 16,
    "indexer_budget": 8,
    "indexer_compress_ratio": 4,
    "hc_lowrank": 16,
    "ple_layer_ids": [1],
    "heads_per_ngram": 2,
    "ngram_vocab_size_base": 500,
    "split_ngram_parts": 4,
    "eos_token_id": 2,
}

SHALLOW = {"num_hidden_layers": DEPTH // 2}
"""Of another depth than the text decoder, as in every published model that sees or hears."""

OWN: dict[str, dict[str, Any]] = {
    "axk1": MLA,
    "axk2": MLA,
    "bailing_hybrid": MLA | {"layer_types": MIXED},
    "bamba": {"attn_layer_indices": [1, 3]},
    "blt": {
        "encoder_hash_byte_group_vocab": 500,
        "local_attention_window_len": 16,
        "encoder_config": {"hidden_size_global": 64, "num_key_value_heads": 4},
        "decoder_config": {"hidden_size_global": 64, "num_key_value_heads": 4},
        "global_config": {"num_key_value_heads": 4},
        "patcher_config": {"num_key_value_heads": 4},
    },
    "cohere": {"logit_scale": 1.0},
    "cohere2": {"logit_scale": 1.0},
    "cohere2_moe": {"logit_scale": 1.0},
    "cohere_compass_text": {
        "layer_types": WINDOWS,
        "rope_parameters": {name: {"rope_type": "default", "rope_theta": 10000.0} for name in WINDOWS},
    },
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"moe_top_k": 2},
    },
    "deepseek_v2": MLA | {"num_experts_per_tok": 2},
    "deepseek_v3": MLA,
    "deepseek_v32": MLA,
    "deepseek_v4": {"compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 8}},
    "doge": {"keep_window_size": 16},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note": {
        "text_config": DOTS3,
        "vision_config": {"mlp_layer_types": ["dense"] * 2, "adapter_in_dim": 64, "adapter_out_dim": 64} | SHALLOW,
        "audio_config": {"adapter_input_size": 64, "adapter_out_dim": 64} | SHALLOW,
    },
    "dots3_note_text": DOTS3,
    "emu3": {"vocabulary_map": {"<image>": VOCABULARY - 1}, "vq_config": {"base_channels": 32}},
    "gemma2": {"query_pre_attn_scalar": 16},
    "got_ocr2": {"vision_config": SHALLOW},
    "moss_transcribe_diarize": {"audio_config": SHALLOW | {"encoder_layers": DEPTH // 2}},
    "gemma3": {"text_config": {"layer_types": WINDOWS, "query_pre_attn_scalar": 16}},
    "gemma3_text": {"layer_types": WINDOWS, "query_pre_attn_scalar": 16},
    "gemma3n_text": {"layer_types": WINDOWS, "num_kv_shared_layers": 2},
    "gemma4": {"text_config": GEMMA4},
    "gemma4_assistant": {"text_config": {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}},
    "gemma4_text": GEMMA4,
    "gemma4_unified": {"text_config": GEMMA4},
    "gemma4_unified_text": GEMMA4,
    "glm4_moe_lite": MLA,
    "glm_moe_dsa": MLA,
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": 16},
    "granitemoehybrid": {"layer_types": MIXED},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16, "num_key_value_heads": 2},
    "inkling2_text": INKLING,
    "inkling_text": INKLING,
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": MLA | {"layer_types": MIXED},
    "kolibri1": {"layer_types": WINDOWS},
    "laguna": {"layer_types": WINDOWS},
    "lfm2": {"full_attn_idxs": [1, 3]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv", "full_attention"]},
    "llama4": {"text_config": LLAMA4, "vision_config": SHALLOW},
    "llama4_text": LLAMA4,
    "longcat_flash": MLA | {"zero_expert_num": 2},
    "mamba2": {"num_heads": 8},
    "mellum": {"layer_types": WINDOWS},
    "minimax": {"block_size": 16},
    "minimax_m3_vl_text": {
        "layer_types": ["full_attention", "minimax_m3_sparse", "full_attention", "minimax_m3_sparse"],
        "index_n_heads": 2,
        "index_block_size": 8,
        "index_topk_blocks": 2,
        "dense_intermediate_size": 96,
        "shared_intermediate_size": 32,
    },
    "minicpm3": MLA,
    "ministral": {"head_dim": 16, "layer_types": WINDOWS},
    "modernbert-decoder": {"local_attention": 16},
    "nemotron": {"num_key_value_heads": 2},
    "qwen4_exp": {"text_config": QWEN4},
    "qwen4_exp_text": QWEN4,
    "reformer": {
        "axial_pos_shape": [16, 16],
        "axial_pos_embds_dim": [16, 48],
        "attn_layers": ["local", "lsh", "local", "lsh"],
        "attention_head_size": 16,
        "local_attn_chunk_length": 16,
        "lsh_attn_chunk_length": 16,
        "hash_seed": 0,
    },
    "rwkv": {"rescale_every": 2},
    "youtu": MLA,
    "vaultgemma": {"query_pre_attn_scalar": 16},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"layers_block_type": ["linear_attention", "hybrid", "linear_attention", "hybrid"]},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid", "linear_attention", "hybrid"]},
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 32},
}
"""What single families need besides: fields of their configuration; those of a configuration inside it as a dict."""


def classes(kind: str) -> tuple[type, type]:
    """Classes of the network and of the configuration that a checkpoint of a family has, by its ``model_type``.

    Where the causal class is only the text part of what the configuration describes, the network is the whole.
    """
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_MULTIMODAL_LM_MAPPING,
        MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING,
    )

    config_class = CONFIG_MAPPING[kind]
    found = MODEL_FOR_CAUSAL_LM_MAPPING[config_class]
    network = found[0] if isinstance(found, tuple) else found
    if network.config_class is not config_class and config_class.sub_configs:
        wholes = (MODEL_FOR_MULTIMODAL_LM_MAPPING, MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING)
        network = next(mapping[config_class] for mapping in wholes if config_class in mapping)
    return network, config_class


def shrunk(config_class: Any, own: dict[str, Any]) -> Any:
    """A configuration with small sizes, those inside it included; lists by layer follow from the depth."""
    declared = {field.name: None if field.default is MISSING else field.default for field in fields(config_class)}
    chosen: dict[str, Any] = {}
    try:
        usual = {name: getattr(config_class(), name) for name in declared}
    except Exception:  # some defaults cannot be built: these families are made from what they declare
        usual = declared
    for name, value in usual.items():
        if hasattr(value, "to_dict"):
            chosen[name] = shrunk(type(value), own.get(name, {}))
        elif name in own:
            chosen[name] = own[name]
        elif name in SIZES and value is not None:
            chosen[name] = SIZES[name]
        elif name.endswith("token_id") and isinstance(value, int) and value >= VOCABULARY:
            chosen[name] = 0
        elif name.endswith("token_id") and isinstance(value, list):
            chosen[name] = [token for token in value if token < VOCABULARY] or None
    return config_class(**{name: value for name, value in own.items() if name not in usual} | chosen)


def make(kind: str, **own: Any) -> Any:
    """A tiny network of a family, by its ``model_type``, in evaluation mode.

    Args:
        kind: The family.
        **own: Fields of its configuration, above those of ``OWN``.
    """
    network_class, config_class = classes(kind)
    config = shrunk(config_class, OWN.get(kind, {}) | own)
    if hasattr(config, "is_decoder") and "is_decoder" not in own:
        config.is_decoder = True
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network: Any = network_class(config).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        # Vectors of zeros are gates and biases that would leave a part of the network without a say.
        if parameter.is_floating_point() and (parameter.ndim >= 2 or not bool(parameter.any())):
            parameter.data.normal_(0, 0.15, generator=generator)
    return network


def save(network: Any, folder: Path) -> None:
    """Writes a network in Hugging Face format, with the tokenizer of the reference model."""
    network.save_pretrained(folder)
    source = Path(str(files("seqtant.reference"))) / "weights"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, folder / name)
