"""Small random configurations of every family, and the networks that transformers builds from them."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from hypothesis import strategies as st

from seqtant.architecture.families.loading import FAMILIES

GPT_NAMES = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
    "intermediate_size": "n_inner",
}
RENAMED: dict[str, dict[str, str]] = {
    "gpt2": GPT_NAMES,
    "gptj": GPT_NAMES,
    "gpt_bigcode": GPT_NAMES,
    "gpt_neo": {"num_hidden_layers": "num_layers", "num_attention_heads": "num_heads"},
    "bloom": {"num_hidden_layers": "n_layer", "num_attention_heads": "n_head"},
    "falcon": {"intermediate_size": "ffn_hidden_size"},
    "opt": {"intermediate_size": "ffn_dim"},
    "distilbert": {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
    },
    "t5": {
        "hidden_size": "d_model",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_heads",
        "intermediate_size": "d_ff",
    },
}
GROUPED = {"llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text", "phi3"}
GROUPED |= {"granite", "smollm3", "olmo", "olmo2", "stablelm", "starcoder2", "phi"}
WIDE_HEADS = {"llama", "mistral", "mixtral", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text"}
FLAGS: dict[str, tuple[str, ...]] = {
    "llama": ("attention_bias", "mlp_bias"),
    "qwen3": ("attention_bias",),
    "qwen3_moe": ("attention_bias",),
    "gemma": ("attention_bias",),
    "gemma2": ("attention_bias",),
    "gemma3_text": ("attention_bias",),
    "granite": ("attention_bias", "mlp_bias"),
    "smollm3": ("attention_bias", "mlp_bias"),
    "olmo": ("attention_bias",),
    "olmo2": ("attention_bias",),
    "stablelm": ("use_qkv_bias", "qk_layernorm", "use_parallel_residual"),
    "starcoder2": ("use_bias",),
    "gpt_neox": ("attention_bias",),
    "gpt_bigcode": ("multi_query",),
    "phi": ("qk_layernorm",),
    "falcon": ("bias", "new_decoder_architecture", "multi_query", "parallel_attn"),
    "opt": ("enable_bias", "do_layer_norm_before", "layer_norm_elementwise_affine", "_remove_final_layer_norm"),
    "vit": ("qkv_bias",),
}
CLASSES = {
    "bert": ("BertModel", "BertForMaskedLM", "BertForPreTraining"),
    "albert": ("AlbertModel", "AlbertForMaskedLM", "AlbertForPreTraining"),
    "roberta": ("RobertaModel", "RobertaForMaskedLM"),
    "distilbert": ("DistilBertModel", "DistilBertForMaskedLM"),
    "t5": ("T5Model", "T5ForConditionalGeneration", "T5EncoderModel"),
    "vit": ("ViTModel", "ViTForImageClassification"),
    "gpt2": ("GPT2Model", "GPT2LMHeadModel"),
    "llama": ("LlamaModel", "LlamaForCausalLM"),
    "opt": ("OPTModel", "OPTForCausalLM"),
}


@st.composite
def configurations(draw: st.DrawFn, family: str) -> dict[str, Any]:
    """A small configuration of a family, with its switches drawn at random."""
    groups = draw(st.integers(1, 2))
    heads = groups * draw(st.integers(1, 3))
    common: dict[str, Any] = {
        "hidden_size": heads * draw(st.sampled_from([8, 16])),
        "num_hidden_layers": draw(st.integers(1, 4)),
        "num_attention_heads": heads,
        "vocab_size": draw(st.integers(5, 60)),
        "intermediate_size": draw(st.integers(3, 40)),
        "max_position_embeddings": draw(st.integers(4, 40)),
    }
    if family == "bloom":
        common["intermediate_size"] = 4 * common["hidden_size"]
    if family == "gpt_neo":
        common["num_hidden_layers"] = 2 * draw(st.integers(1, 2))
        common["attention_types"] = [[["global", "local"], common["num_hidden_layers"] // 2]]
    names = RENAMED.get(family, {})
    config = {names.get(key, key): value for key, value in common.items()}
    config |= {flag: draw(st.booleans()) for flag in FLAGS.get(family, ())}
    config |= draw(_special(family, groups))
    if config.get("new_decoder_architecture"):  # the other combinations do not run in transformers
        config |= {"num_kv_heads": groups, "parallel_attn": True}
        config["num_ln_in_parallel_attn"] = draw(st.sampled_from([None, 1, 2]))
    if family not in {"t5", "vit"}:
        config["tie_word_embeddings"] = draw(st.booleans())
    if family in CLASSES:
        config["architectures"] = [draw(st.sampled_from(CLASSES[family]))]
    padding = 1 if family == "roberta" else None
    return {"model_type": family, "pad_token_id": padding, "bos_token_id": 1, "eos_token_id": 2} | config


def _special(family: str, groups: int) -> st.SearchStrategy[dict[str, Any]]:
    small = st.integers(1, 9)
    fields: dict[str, st.SearchStrategy[Any]] = {}
    if family in GROUPED:
        fields["num_key_value_heads"] = st.just(groups)
    if family in WIDE_HEADS:
        fields["head_dim"] = st.sampled_from([2, 6, 10])
    if family == "gptj":
        fields["rotary_dim"] = st.just(4)
    if family == "mixtral":
        fields |= {"num_local_experts": st.integers(2, 5), "num_experts_per_tok": st.integers(1, 2)}
    if family == "qwen3_moe":
        fields |= {
            "num_experts": st.integers(2, 5),
            "num_experts_per_tok": st.integers(1, 2),
            "moe_intermediate_size": small,
            "decoder_sparse_step": st.integers(1, 2),
            "mlp_only_layers": st.sampled_from([[], [0]]),
        }
    if family == "albert":
        fields |= {
            "embedding_size": small,
            "num_hidden_groups": st.just(1),
            "inner_group_num": st.integers(1, 2),
            "type_vocab_size": st.integers(1, 3),
        }
    if family == "opt":
        fields["word_embed_proj_dim"] = st.sampled_from([3, 5, None])
    if family == "t5":
        fields |= {
            "d_kv": small,
            "num_decoder_layers": st.integers(1, 3),
            "relative_attention_num_buckets": st.sampled_from([8, 32]),
            "feed_forward_proj": st.sampled_from(["relu", "gated-gelu", "gated-silu"]),
        }
    if family == "vit":
        fields |= {"image_size": st.sampled_from([8, 12]), "patch_size": st.just(4), "num_channels": small}
        fields |= {"num_labels": st.integers(2, 5), "pooler_output_size": st.sampled_from([None, 5])}
    return st.fixed_dictionaries(fields)


def build_network(config: dict[str, Any], counted_as: str, device: str = "meta", **options: Any) -> torch.nn.Module:
    """The network that transformers makes of a configuration."""
    built = transformers.AutoConfig.for_model(**config)
    for name, value in options.items():
        setattr(built, name, value)
    with torch.device(device):
        return getattr(transformers, counted_as)(built).eval()


def parameters_of(network: torch.nn.Module) -> int:
    """Parameters of a network; transformers has tied what is tied, and each tensor is listed once."""
    return sum(parameter.numel() for parameter in network.parameters())


ALL_FAMILIES = sorted(FAMILIES)
