"""Decoders of Llama's lineage: rotary positions, gated feed-forward layers, grouped keys and values, experts."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from seqtant.architecture.families import experts, windows
from seqtant.architecture.families.decoder import Decoder
from seqtant.architecture.families.fields import Fields

ATTENTION_BIAS = ("attention_bias", False)
MLP_BIAS = ("mlp_bias", False)


def _norm_of_each_head(fields: Fields) -> Literal["none", "inner"]:
    return "inner" if fields.flag("qk_layernorm", False) else "none"


def _stablelm_norms(fields: Fields) -> int:
    return 1 if fields.flag("use_parallel_residual", False) else 2


LLAMA = Decoder(
    classes=("LlamaModel", "LlamaForCausalLM"),
    vocabulary=32000,
    width=4096,
    depth=32,
    heads=32,
    context=2048,
    inner=11008,
    qkv_bias=ATTENTION_BIAS,
    output_bias=ATTENTION_BIAS,
    mlp_bias=MLP_BIAS,
)

GEMMA = Decoder(
    classes=("GemmaModel", "GemmaForCausalLM"),
    vocabulary=256000,
    width=3072,
    depth=28,
    heads=16,
    kv_heads=16,
    head_dim=256,
    context=8192,
    inner=24576,
    heads_divide=False,
    tied=True,
    qkv_bias=ATTENTION_BIAS,
    output_bias=ATTENTION_BIAS,
)

LLAMA_LIKE: dict[str, Decoder] = {
    "llama": LLAMA,
    "mistral": Decoder(
        classes=("MistralModel", "MistralForCausalLM"),
        vocabulary=32000,
        width=4096,
        depth=32,
        heads=32,
        kv_heads=8,
        context=131072,
        inner=14336,
        heads_divide=False,
        windows=windows.Sliding(4096),
    ),
    "mixtral": Decoder(
        classes=("MixtralModel", "MixtralForCausalLM"),
        vocabulary=32000,
        width=4096,
        depth=32,
        heads=32,
        kv_heads=8,
        context=131072,
        inner=14336,
        heads_divide=False,
        windows=windows.Sliding(None),
        experts=experts.everywhere,
    ),
    "qwen2": Decoder(
        classes=("Qwen2Model", "Qwen2ForCausalLM"),
        vocabulary=151936,
        width=4096,
        depth=32,
        heads=32,
        kv_heads=32,
        context=32768,
        inner=22016,
        heads_divide=False,
        qkv_bias=True,
        windows=windows.later_layers,
    ),
    "qwen3": Decoder(
        classes=("Qwen3Model", "Qwen3ForCausalLM"),
        vocabulary=151936,
        width=4096,
        depth=32,
        heads=32,
        kv_heads=32,
        head_dim=128,
        context=32768,
        inner=22016,
        heads_divide=False,
        qkv_bias=ATTENTION_BIAS,
        output_bias=ATTENTION_BIAS,
        qk_norm="head",
        windows=windows.later_layers,
    ),
    "qwen3_moe": Decoder(
        classes=("Qwen3MoeModel", "Qwen3MoeForCausalLM"),
        vocabulary=151936,
        width=2048,
        depth=24,
        heads=32,
        kv_heads=4,
        context=32768,
        inner=6144,
        heads_divide=False,
        qkv_bias=ATTENTION_BIAS,
        output_bias=ATTENTION_BIAS,
        qk_norm="head",
        windows=windows.all_or_none,
        experts=experts.sparse_steps,
    ),
    "gemma": GEMMA,
    "gemma2": replace(
        GEMMA,
        classes=("Gemma2Model", "Gemma2ForCausalLM"),
        width=2304,
        depth=26,
        heads=8,
        kv_heads=4,
        inner=9216,
        heads_divide=True,
        norms=4,
        windows=windows.Patterned(4096, 2),
    ),
    "gemma3_text": replace(
        GEMMA,
        classes=("Gemma3TextModel", "Gemma3ForCausalLM"),
        vocabulary=262208,
        width=2304,
        depth=26,
        heads=8,
        kv_heads=4,
        context=131072,
        inner=9216,
        heads_divide=True,
        norms=4,
        qk_norm="head",
        windows=windows.Patterned(4096, 6),
    ),
    "phi3": replace(
        LLAMA,
        classes=("Phi3Model", "Phi3ForCausalLM"),
        vocabulary=32064,
        width=3072,
        context=4096,
        inner=8192,
        heads_divide=False,
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
        windows=windows.Sliding(None),
    ),
    "granite": replace(LLAMA, classes=("GraniteModel", "GraniteForCausalLM"), heads_divide=False),
    "smollm3": replace(
        LLAMA,
        classes=("SmolLM3Model", "SmolLM3ForCausalLM"),
        vocabulary=128256,
        width=2048,
        depth=36,
        heads=16,
        kv_heads=4,
        context=32768,
        heads_divide=False,
        tied=True,
        windows=windows.without_rotation,
    ),
    "olmo": replace(
        LLAMA,
        classes=("OlmoModel", "OlmoForCausalLM"),
        vocabulary=50304,
        heads_divide=False,
        mlp_bias=False,
        norm_vectors=0,
    ),
    "olmo2": replace(
        LLAMA,
        classes=("Olmo2Model", "Olmo2ForCausalLM"),
        vocabulary=50304,
        heads_divide=False,
        mlp_bias=False,
        qk_norm="inner",
    ),
    "stablelm": replace(
        LLAMA,
        classes=("StableLmModel", "StableLmForCausalLM"),
        vocabulary=50304,
        width=2560,
        kv_heads=32,
        context=4096,
        inner=6912,
        qkv_bias=("use_qkv_bias", False),
        output_bias=False,
        mlp_bias=False,
        norms=_stablelm_norms,
        norm_vectors=2,
        qk_norm=_norm_of_each_head,
    ),
}
"""``model_type`` -> family."""
