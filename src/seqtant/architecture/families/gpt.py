"""Decoders of GPT's lineage: plain feed-forward layers, norms with a shift, biases."""

from __future__ import annotations

from typing import Literal

from seqtant.architecture.families import windows
from seqtant.architecture.families.decoder import Decoder
from seqtant.architecture.families.fields import Fields

GPT_NAMES = (
    ("hidden_size", "n_embd"),
    ("num_hidden_layers", "n_layer"),
    ("num_attention_heads", "n_head"),
    ("max_position_embeddings", "n_positions"),
    ("intermediate_size", "n_inner"),
)


def _norm_per_head(fields: Fields) -> Literal["none", "head"]:
    return "head" if fields.flag("qk_layernorm", False) else "none"


def _bigcode_kv_heads(fields: Fields, heads: int) -> int:
    return 1 if fields.flag("multi_query", True) else heads


def _falcon_kv_heads(fields: Fields, heads: int) -> int:
    if fields.flag("new_decoder_architecture", False):
        return fields.kv_heads(heads, name="num_kv_heads")
    return 1 if fields.flag("multi_query", True) else heads


def _falcon_norms(fields: Fields) -> int:
    if not fields.flag("parallel_attn", True):
        return 2
    return fields.size("num_ln_in_parallel_attn", 2 if fields.flag("new_decoder_architecture", False) else 1)


GPT_LIKE: dict[str, Decoder] = {
    "starcoder2": Decoder(
        classes=("Starcoder2Model", "Starcoder2ForCausalLM"),
        vocabulary=49152,
        width=3072,
        depth=30,
        heads=24,
        kv_heads=2,
        context=4096,
        inner=12288,
        heads_divide=False,
        tied=True,
        qkv_bias=("use_bias", True),
        output_bias=("use_bias", True),
        mlp_bias=("use_bias", True),
        gated=False,
        norm_vectors=2,
        windows=windows.Sliding(None),
    ),
    "gpt2": Decoder(
        classes=("GPT2Model", "GPT2LMHeadModel"),
        vocabulary=50257,
        width=768,
        depth=12,
        heads=12,
        context=1024,
        aliases=GPT_NAMES,
        tied=True,
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated=False,
        norm_vectors=2,
        learned_positions=0,
        token_tensor="wte.weight",
        position_tensor="wpe.weight",
    ),
    "gpt_bigcode": Decoder(
        classes=("GPTBigCodeModel", "GPTBigCodeForCausalLM"),
        vocabulary=50257,
        width=768,
        depth=12,
        heads=12,
        kv_heads=_bigcode_kv_heads,
        context=1024,
        aliases=GPT_NAMES,
        tied=True,
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated=False,
        norm_vectors=2,
        learned_positions=0,
        token_tensor="wte.weight",
        position_tensor="wpe.weight",
    ),
    "gpt_neo": Decoder(
        classes=("GPTNeoModel", "GPTNeoForCausalLM"),
        vocabulary=50257,
        width=2048,
        depth=24,
        heads=16,
        context=2048,
        aliases=(("num_hidden_layers", "num_layers"), ("num_attention_heads", "num_heads")),
        tied=True,
        output_bias=True,
        mlp_bias=True,
        gated=False,
        norm_vectors=2,
        learned_positions=0,
        windows=windows.local_and_global,
        token_tensor="wte.weight",
        position_tensor="wpe.weight",
    ),
    "gpt_neox": Decoder(
        classes=("GPTNeoXModel", "GPTNeoXForCausalLM"),
        vocabulary=50432,
        width=6144,
        depth=44,
        heads=64,
        context=2048,
        inner=24576,
        qkv_bias=("attention_bias", True),
        output_bias=("attention_bias", True),
        mlp_bias=True,
        gated=False,
        norm_vectors=2,
        token_tensor="embed_in.weight",
    ),
    "gptj": Decoder(
        classes=("GPTJModel", "GPTJForCausalLM"),
        vocabulary=50400,
        width=4096,
        depth=28,
        heads=16,
        context=2048,
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
        vocabulary=51200,
        width=2048,
        depth=24,
        heads=32,
        context=2048,
        inner=8192,
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        head_bias=True,
        gated=False,
        norms=1,
        norm_vectors=2,
        qk_norm=_norm_per_head,
    ),
    "bloom": Decoder(
        classes=("BloomModel", "BloomForCausalLM"),
        vocabulary=250880,
        width=64,
        depth=2,
        heads=8,
        context=None,
        aliases=(
            ("hidden_size", "n_embed"),
            ("num_hidden_layers", "n_layer"),
            ("num_attention_heads", "n_head"),
        ),
        tied=True,
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated=False,
        norm_vectors=2,
        entry_norm=True,
        token_tensor="word_embeddings.weight",
    ),
    "falcon": Decoder(
        classes=("FalconModel", "FalconForCausalLM"),
        vocabulary=65024,
        width=4544,
        depth=32,
        heads=71,
        kv_heads=_falcon_kv_heads,
        context=2048,
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
