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

# Sizes are vocabulary, width, depth, heads, context and feed-forward width.
# Biases are those of queries, keys and values, of the attention's output, and of the feed-forward sublayer.

# Llama's lineage: rotary positions, gated feed-forward layers, grouped keys and values.

ATTENTION = ("attention_bias", False)
NO_BIAS = (False, False, False)
LLAMA = Decoder("Llama", Sizes(32000, 4096, 32, 32, 2048, 11008), biases=(ATTENTION, ATTENTION, ("mlp_bias", False)))
MISTRAL = Decoder(
    "Mistral",
    Sizes(32000, 4096, 32, 32, 131072, 14336, kv_heads=8),
    heads_divide=False,
    windows=partial(sliding, default=4096),
)
QWEN2 = Decoder(
    "Qwen2",
    Sizes(151936, 4096, 32, 32, 32768, 22016, kv_heads=32),
    heads_divide=False,
    biases=(True, False, False),
    windows=later_layers,
)
QWEN3 = replace(
    QWEN2,
    prefix="Qwen3",
    sizes=replace(QWEN2.sizes, head_dim=128),
    biases=(ATTENTION, ATTENTION, False),
    qk_norm="head",
)
GEMMA = Decoder(
    "Gemma",
    Sizes(256000, 3072, 28, 16, 8192, 24576, kv_heads=16, head_dim=256),
    heads_divide=False,
    tied=True,
    biases=(ATTENTION, ATTENTION, False),
)
GEMMA2 = replace(
    GEMMA,
    prefix="Gemma2",
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
PLAIN = Decoder("", Sizes(50257, 768, 12, 12, 1024), biases=(True, True, True), gated=False, norm_vectors=2)
GPT = replace(
    PLAIN,
    aliases=GPT_NAMES,
    tied=True,
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
    "mixtral": replace(MISTRAL, prefix="Mixtral", windows=sliding, experts=mixture),
    "qwen2": QWEN2,
    "qwen3": QWEN3,
    "qwen3_moe": replace(
        QWEN3,
        prefix="Qwen3Moe",
        sizes=Sizes(151936, 2048, 24, 32, 32768, 6144, kv_heads=4),
        windows=all_or_none,
        experts=sparse_mixture,
    ),
    "gemma": GEMMA,
    "gemma2": GEMMA2,
    "gemma3_text": replace(
        GEMMA2,
        prefix="Gemma3Text",
        headed="Gemma3ForCausalLM",
        sizes=replace(GEMMA2.sizes, vocabulary=262208, context=131072),
        qk_norm="head",
        windows=partial(patterned, default=4096, period=6),
    ),
    "phi3": replace(
        MISTRAL, prefix="Phi3", sizes=Sizes(32064, 3072, 32, 32, 4096, 8192), biases=NO_BIAS, windows=sliding
    ),
    "granite": replace(LLAMA, prefix="Granite", heads_divide=False),
    "smollm3": replace(
        LLAMA,
        prefix="SmolLM3",
        sizes=Sizes(128256, 2048, 36, 16, 32768, 11008, kv_heads=4),
        heads_divide=False,
        tied=True,
        windows=without_rotation,
    ),
    "olmo": replace(
        LLAMA,
        prefix="Olmo",
        sizes=replace(LLAMA.sizes, vocabulary=50304),
        heads_divide=False,
        biases=(ATTENTION, ATTENTION, False),
        norm_vectors=0,
    ),
    "olmo2": replace(
        LLAMA,
        prefix="Olmo2",
        sizes=replace(LLAMA.sizes, vocabulary=50304),
        heads_divide=False,
        biases=(ATTENTION, ATTENTION, False),
        qk_norm="inner",
    ),
    "stablelm": replace(
        LLAMA,
        prefix="StableLm",
        sizes=Sizes(50304, 2560, 32, 32, 4096, 6912, kv_heads=32),
        biases=(("use_qkv_bias", False), False, False),
        norms=lambda fields: 1 if fields.flag("use_parallel_residual", False) else 2,
        norm_vectors=2,
        # Its norm per head holds a vector of its own for each head.
        qk_norm=lambda fields: "inner" if fields.flag("qk_layernorm", False) else "none",
    ),
    "starcoder2": replace(
        PLAIN,
        prefix="Starcoder2",
        sizes=Sizes(49152, 3072, 30, 24, 4096, 12288, kv_heads=2),
        heads_divide=False,
        tied=True,
        biases=(("use_bias", True),) * 3,
        windows=sliding,
    ),
    "gpt2": replace(GPT, prefix="GPT2", headed="GPT2LMHeadModel"),
    "gpt_bigcode": replace(
        GPT, prefix="GPTBigCode", kv_heads=lambda fields, heads: 1 if fields.flag("multi_query", True) else heads
    ),
    "gpt_neo": replace(
        GPT,
        prefix="GPTNeo",
        sizes=Sizes(50257, 2048, 24, 16, 2048),
        aliases=(("num_hidden_layers", "num_layers"), ("num_attention_heads", "num_heads")),
        biases=(False, True, True),
        windows=local_and_global,
    ),
    "gpt_neox": replace(
        PLAIN,
        prefix="GPTNeoX",
        sizes=Sizes(50432, 6144, 44, 64, 2048, 24576),
        biases=(("attention_bias", True), ("attention_bias", True), True),
        token_tensor="embed_in.weight",
    ),
    "gptj": replace(
        PLAIN,
        prefix="GPTJ",
        sizes=Sizes(50400, 4096, 28, 16, 2048),
        aliases=GPT_NAMES,
        biases=(False, False, True),
        head_bias=True,
        norms=1,
        token_tensor="wte.weight",
    ),
    "phi": replace(
        PLAIN,
        prefix="Phi",
        sizes=Sizes(51200, 2048, 24, 32, 2048, 8192),
        head_bias=True,
        norms=1,
        qk_norm=lambda fields: "head" if fields.flag("qk_layernorm", False) else "none",
    ),
    "bloom": replace(
        PLAIN,
        prefix="Bloom",
        sizes=Sizes(250880, 64, 2, 8, None),
        aliases=(("hidden_size", "n_embed"), ("num_hidden_layers", "n_layer"), ("num_attention_heads", "n_head")),
        tied=True,
        embedding_norm=True,
        token_tensor="word_embeddings.weight",
    ),
    "falcon": replace(
        PLAIN,
        prefix="Falcon",
        sizes=Sizes(65024, 4544, 32, 71, 2048),
        kv_heads=_falcon_kv_heads,
        aliases=(("hidden_size", "n_embed"), ("intermediate_size", "ffn_hidden_size")),
        tied=True,
        biases=(("bias", False),) * 3,
        norms=_falcon_norms,
        token_tensor="word_embeddings.weight",
    ),
}
"""``model_type`` -> family."""
