"""Lists the decoder-only families and what distinguishes them; sizes are the defaults of transformers.

A further family is one more entry here, or an entry point of group ``seqtant.families``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from seqtant.architecture.families.decoder import (
    Decoder,
    Sizes,
    all_or_none,
    later_layers,
    local_and_global,
    mixture,
    patterned,
    sliding,
    sparse_mixture,
    without_rotation,
)
from seqtant.architecture.families.fields import Fields

ATTENTION_BIAS = ("attention_bias", False)

# Llama's lineage: rotary positions, gated feed-forward layers, grouped keys and values.

LLAMA = Decoder(
    classes=("LlamaModel", "LlamaForCausalLM"),
    sizes=Sizes(vocabulary=32000, width=4096, depth=32, heads=32, inner=11008, context=2048),
    qkv_bias=ATTENTION_BIAS,
    output_bias=ATTENTION_BIAS,
    mlp_bias=("mlp_bias", False),
)
MISTRAL = Decoder(
    classes=("MistralModel", "MistralForCausalLM"),
    sizes=Sizes(vocabulary=32000, width=4096, depth=32, heads=32, kv_heads=8, inner=14336, context=131072),
    heads_divide=False,
    windows=partial(sliding, default=4096),
)
QWEN2 = Decoder(
    classes=("Qwen2Model", "Qwen2ForCausalLM"),
    sizes=Sizes(vocabulary=151936, width=4096, depth=32, heads=32, kv_heads=32, inner=22016, context=32768),
    heads_divide=False,
    qkv_bias=True,
    windows=later_layers,
)
QWEN3 = replace(
    QWEN2,
    classes=("Qwen3Model", "Qwen3ForCausalLM"),
    sizes=replace(QWEN2.sizes, head_dim=128),
    qkv_bias=ATTENTION_BIAS,
    output_bias=ATTENTION_BIAS,
    qk_norm="head",
)
GEMMA = Decoder(
    classes=("GemmaModel", "GemmaForCausalLM"),
    sizes=Sizes(
        vocabulary=256000, width=3072, depth=28, heads=16, kv_heads=16, head_dim=256, inner=24576, context=8192
    ),
    heads_divide=False,
    tied=True,
    qkv_bias=ATTENTION_BIAS,
    output_bias=ATTENTION_BIAS,
)
GEMMA2 = replace(
    GEMMA,
    classes=("Gemma2Model", "Gemma2ForCausalLM"),
    sizes=replace(GEMMA.sizes, width=2304, depth=26, heads=8, kv_heads=4, inner=9216),
    heads_divide=True,
    norms=4,
    windows=partial(patterned, default=4096, period=2),
)

# GPT's lineage: plain feed-forward layers, norms with a shift, biases; mostly learned positions.

GPT_NAMES = (
    ("hidden_size", "n_embd"),
    ("num_hidden_layers", "n_layer"),
    ("num_attention_heads", "n_head"),
    ("max_position_embeddings", "n_positions"),
    ("intermediate_size", "n_inner"),
)
GPT2 = Decoder(
    classes=("GPT2Model", "GPT2LMHeadModel"),
    sizes=Sizes(vocabulary=50257, width=768, depth=12, heads=12, context=1024),
    aliases=GPT_NAMES,
    tied=True,
    qkv_bias=True,
    output_bias=True,
    mlp_bias=True,
    gated=False,
    norm_vectors=2,
    learned_positions=True,
    token_tensor="wte.weight",
    position_tensor="wpe.weight",
)


def _falcon_kv_heads(fields: Fields, heads: int) -> int:
    if fields.flag("new_decoder_architecture", False):
        return fields.kv_heads(heads, name="num_kv_heads")
    return 1 if fields.flag("multi_query", True) else heads


def _falcon_norms(fields: Fields) -> int:
    if not fields.flag("parallel_attn", True):
        return 2
    return fields.size("num_ln_in_parallel_attn", 2 if fields.flag("new_decoder_architecture", False) else 1)


DECODERS: dict[str, Decoder] = {
    "llama": LLAMA,
    "mistral": MISTRAL,
    "mixtral": replace(MISTRAL, classes=("MixtralModel", "MixtralForCausalLM"), windows=sliding, experts=mixture),
    "qwen2": QWEN2,
    "qwen3": QWEN3,
    "qwen3_moe": replace(
        QWEN3,
        classes=("Qwen3MoeModel", "Qwen3MoeForCausalLM"),
        sizes=Sizes(vocabulary=151936, width=2048, depth=24, heads=32, kv_heads=4, inner=6144, context=32768),
        windows=all_or_none,
        experts=sparse_mixture,
    ),
    "gemma": GEMMA,
    "gemma2": GEMMA2,
    "gemma3_text": replace(
        GEMMA2,
        classes=("Gemma3TextModel", "Gemma3ForCausalLM"),
        sizes=replace(GEMMA2.sizes, vocabulary=262208, context=131072),
        qk_norm="head",
        windows=partial(patterned, default=4096, period=6),
    ),
    "phi3": replace(
        LLAMA,
        classes=("Phi3Model", "Phi3ForCausalLM"),
        sizes=Sizes(vocabulary=32064, width=3072, depth=32, heads=32, inner=8192, context=4096),
        heads_divide=False,
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
        windows=sliding,
    ),
    "granite": replace(LLAMA, classes=("GraniteModel", "GraniteForCausalLM"), heads_divide=False),
    "smollm3": replace(
        LLAMA,
        classes=("SmolLM3Model", "SmolLM3ForCausalLM"),
        sizes=Sizes(vocabulary=128256, width=2048, depth=36, heads=16, kv_heads=4, inner=11008, context=32768),
        heads_divide=False,
        tied=True,
        windows=without_rotation,
    ),
    "olmo": replace(
        LLAMA,
        classes=("OlmoModel", "OlmoForCausalLM"),
        sizes=replace(LLAMA.sizes, vocabulary=50304),
        heads_divide=False,
        mlp_bias=False,
        norm_vectors=0,
    ),
    "olmo2": replace(
        LLAMA,
        classes=("Olmo2Model", "Olmo2ForCausalLM"),
        sizes=replace(LLAMA.sizes, vocabulary=50304),
        heads_divide=False,
        mlp_bias=False,
        qk_norm="inner",
    ),
    "stablelm": replace(
        LLAMA,
        classes=("StableLmModel", "StableLmForCausalLM"),
        sizes=Sizes(vocabulary=50304, width=2560, depth=32, heads=32, kv_heads=32, inner=6912, context=4096),
        qkv_bias=("use_qkv_bias", False),
        output_bias=False,
        mlp_bias=False,
        norms=lambda fields: 1 if fields.flag("use_parallel_residual", False) else 2,
        norm_vectors=2,
        # Its norm per head holds a vector of its own for each head.
        qk_norm=lambda fields: "inner" if fields.flag("qk_layernorm", False) else "none",
    ),
    "starcoder2": Decoder(
        classes=("Starcoder2Model", "Starcoder2ForCausalLM"),
        sizes=Sizes(vocabulary=49152, width=3072, depth=30, heads=24, kv_heads=2, inner=12288, context=4096),
        heads_divide=False,
        tied=True,
        qkv_bias=("use_bias", True),
        output_bias=("use_bias", True),
        mlp_bias=("use_bias", True),
        gated=False,
        norm_vectors=2,
        windows=sliding,
    ),
    "gpt2": GPT2,
    "gpt_bigcode": replace(
        GPT2,
        classes=("GPTBigCodeModel", "GPTBigCodeForCausalLM"),
        kv_heads=lambda fields, heads: 1 if fields.flag("multi_query", True) else heads,
    ),
    "gpt_neo": replace(
        GPT2,
        classes=("GPTNeoModel", "GPTNeoForCausalLM"),
        sizes=Sizes(vocabulary=50257, width=2048, depth=24, heads=16, context=2048),
        aliases=(("num_hidden_layers", "num_layers"), ("num_attention_heads", "num_heads")),
        qkv_bias=False,
        windows=local_and_global,
    ),
    "gpt_neox": Decoder(
        classes=("GPTNeoXModel", "GPTNeoXForCausalLM"),
        sizes=Sizes(vocabulary=50432, width=6144, depth=44, heads=64, inner=24576, context=2048),
        qkv_bias=("attention_bias", True),
        output_bias=("attention_bias", True),
        mlp_bias=True,
        gated=False,
        norm_vectors=2,
        token_tensor="embed_in.weight",
    ),
    "gptj": Decoder(
        classes=("GPTJModel", "GPTJForCausalLM"),
        sizes=Sizes(vocabulary=50400, width=4096, depth=28, heads=16, context=2048),
        aliases=GPT_NAMES,
        mlp_bias=True,
        head_bias=True,
        gated=False,
        norms=1,
        norm_vectors=2,
        token_tensor="wte.weight",
    ),
    "phi": Decoder(
        classes=("PhiModel", "PhiForCausalLM"),
        sizes=Sizes(vocabulary=51200, width=2048, depth=24, heads=32, inner=8192, context=2048),
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        head_bias=True,
        gated=False,
        norms=1,
        norm_vectors=2,
        qk_norm=lambda fields: "head" if fields.flag("qk_layernorm", False) else "none",
    ),
    "bloom": replace(
        GPT2,
        classes=("BloomModel", "BloomForCausalLM"),
        sizes=Sizes(vocabulary=250880, width=64, depth=2, heads=8, context=None),
        aliases=(("hidden_size", "n_embed"), ("num_hidden_layers", "n_layer"), ("num_attention_heads", "n_head")),
        learned_positions=False,
        embedding_norm=True,
        token_tensor="word_embeddings.weight",
    ),
    "falcon": Decoder(
        classes=("FalconModel", "FalconForCausalLM"),
        sizes=Sizes(vocabulary=65024, width=4544, depth=32, heads=71, context=2048),
        kv_heads=_falcon_kv_heads,
        aliases=(("hidden_size", "n_embed"), ("intermediate_size", "ffn_hidden_size")),
        tied=True,
        qkv_bias=("bias", False),
        output_bias=("bias", False),
        mlp_bias=("bias", False),
        gated=False,
        norms=_falcon_norms,
        norm_vectors=2,
        token_tensor="word_embeddings.weight",
    ),
}
"""``model_type`` -> family."""
