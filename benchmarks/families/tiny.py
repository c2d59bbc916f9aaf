"""Makes a tiny random model of any causal family that the installed transformers knows."""

from __future__ import annotations

from typing import Any

import torch

SIZES: dict[str, Any] = {
    "hidden_size": 64, "d_model": 64, "n_embd": 64, "dim": 64, "emb_dim": 64, "embedding_size": 64, "embedding_dim": 64, "word_embed_proj_dim": 64,
    "num_hidden_layers": 4, "n_layer": 4, "n_layers": 4, "num_layers": 4, "decoder_layers": 4, "encoder_layers": 2, "num_blocks": 4,
    "num_decoder_layers": 4, "num_encoder_layers": 2,
    "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4,
    "num_key_value_heads": 2, "num_kv_heads": 2, "head_dim": 16, "attention_head_dim": 16, "kv_channels": 16,
    "intermediate_size": 96, "ffn_dim": 96, "d_ff": 96, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96, "n_inner": 96, "ffn_hidden_size": 96, "d_inner": 96, "dff": 96,
    "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32, "expert_ffn_hidden_size": 32, "intermediate_size_mlp": 96,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2, "moe_k": 2, "moe_topk": 2, "top_k": 2,
    "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
    "kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16, "qk_head_dim": 16,
    "index_n_heads": 2, "index_head_dim": 16, "index_topk": 64,
    "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 16, "linear_value_head_dim": 16, "linear_num_heads": 4, "linear_head_dim": 16,
    "state_size": 8, "mamba_d_state": 8, "mamba_dt_rank": 4, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_num_heads": 8, "mamba_head_dim": 16, "n_groups": 1, "mamba_ngroups": 1, "n_mamba_heads": 8,
    "ssm_state_size": 8, "time_step_rank": 4, "mamba_d_ssm": 128, "n_mamba_groups": 1,
    "vocab_size": 300, "vocab_size_per_layer_input": 300, "hidden_size_per_layer_input": 8,
    "max_position_embeddings": 256, "n_positions": 256, "max_seq_len": 256, "n_ctx": 256, "seq_length": 256, "context_length": 256,
    "sliding_window": 16, "lru_width": 64, "use_mamba_kernels": False, "attention_window_size": 64, "rotary_dim": 8, "chunk_size": 16, "mamba_chunk_size": 16, "conv_kernel": 4,
}
"""By name of a field, wherever a configuration has it."""


def shrink(config: Any, known: dict[str, Any]) -> Any:
    """Sets the sizes of a configuration and of those inside it; lists by layer are cut to the depth."""
    for name, value in vars(config).items():
        if hasattr(value, "to_dict"):
            shrink(value, known)
    names = {*vars(config), *getattr(config, "attribute_map", {})}
    for name, size in known.items():
        if name in names and getattr(config, name, None) is not None:
            setattr(config, name, size)
    depth = 4
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) > depth and ("layer" in name or "block" in name or "pattern" in name or "types" in name or "window" in name or "moe" in name):
            setattr(config, name, value[:depth])
        if name.endswith("token_id") and isinstance(value, int) and value >= 300:
            setattr(config, name, 0)
        if name.endswith("token_id") and isinstance(value, list):
            setattr(config, name, [token for token in value if token < 300] or None)
    return config


def make(kind: str, **own: Any) -> Any:
    """A tiny model of a family, by its ``model_type``, with weights drawn wide enough to tell ways of reading apart."""
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

    config = shrink(CONFIG_MAPPING[kind](), SIZES | own)
    config.is_decoder = True if hasattr(config, "is_decoder") else getattr(config, "is_decoder", False)
    torch.manual_seed(0)
    model = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    model = model[0] if isinstance(model, tuple) else model
    network = model(config).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim >= 2 and parameter.is_floating_point():
            parameter.data.normal_(0, 0.15, generator=generator)
    return network
