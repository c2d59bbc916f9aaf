"""Lists the decoder-only families and what distinguishes them; sizes are the defaults of transformers.

What varies by rule rather than by number comes first: the attention window of each layer and the experts of its
feed-forward sublayer. OPT, whose embeddings may be narrower than its width, has a reader of its own at the end.

A further family is one more entry here, or an entry point of group ``seqtant.families``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from seqtant.architecture.families.decoder import Decoder, Sizes, read_decoder
from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.shape import Embedding, FeedForward, Linear, Shape


def sliding(fields: Fields, depth: int, default: int | None = None) -> list[int | None]:
    """Gives every layer the window of ``sliding_window``; an explicit null means none."""
    return [_window(fields, default)] * depth


def patterned(fields: Fields, depth: int, default: int, period: int) -> list[int | None]:
    """Gives all but every so many layers a window, unless ``layer_types`` says which (Gemma)."""
    period = fields.size("sliding_window_pattern", period)
    return _by_layer_type(fields, _window(fields, default), [bool((i + 1) % period) for i in range(depth)])


def later_layers(fields: Fields, depth: int) -> list[int | None]:
    """Gives layers from ``max_window_layers`` on a window, and only with ``use_sliding_window`` (Qwen)."""
    if not fields.flag("use_sliding_window", False):
        return [None] * depth
    first = fields.raw("max_window_layers", 28)
    return _by_layer_type(fields, _window(fields, 4096), [index >= first for index in range(depth)])


def without_rotation(fields: Fields, depth: int) -> list[int | None]:
    """Gives layers without rotary positions a window, and only with ``use_sliding_window`` (SmolLM3)."""
    if not fields.flag("use_sliding_window", False):
        return [None] * depth
    every = fields.size("no_rope_layer_interval", 4)
    rotary = fields.per_layer("no_rope_layers", [int((i + 1) % every != 0) for i in range(depth)], depth)
    return _by_layer_type(fields, _window(fields, None), [not flag for flag in rotary])


def local_and_global(fields: Fields, depth: int) -> list[int | None]:
    """Alternates layers as ``attention_types`` lists them (GPT-Neo)."""
    listed = fields.raw("attention_types", [[["global", "local"], depth // 2]])
    try:
        kinds = [kind for block, times in listed for _ in range(times) for kind in block]
    except (TypeError, ValueError):
        raise fields.error(f"attention_types is {listed!r}: write [[['global', 'local'], 12]]") from None
    if len(kinds) != depth or not set(kinds) <= {"global", "local"}:
        raise fields.error(
            f"attention_types names {len(kinds)} layers of kinds {sorted(set(kinds))}: it must name {depth}"
        )
    window = fields.size("window_size", 256)
    return [window if kind == "local" else None for kind in kinds]


def _by_layer_type(fields: Fields, window: int | None, slides: list[bool]) -> list[int | None]:
    """Follows ``layer_types`` where it is given, else the rule's own answer."""
    known = ("full_attention", "sliding_attention")
    kinds = fields.per_layer("layer_types", [known[slide] for slide in slides], len(slides))
    strange = next((kind for kind in kinds if kind not in known), None)
    if strange is not None:
        raise fields.error(f"layer_types names '{strange}': known are {', '.join(known)}")
    return [window if kind == "sliding_attention" else None for kind in kinds]


def _window(fields: Fields, default: int | None) -> int | None:
    """Reads ``sliding_window``; an explicit null means none even where the family has a default."""
    if default is None or "sliding_window" in fields.data:
        return fields.optional_size("sliding_window")
    return default


def mixture(
    fields: Fields, expert: FeedForward, index: int, stored: tuple[str, int] = ("num_experts", 8), active: int = 2
) -> FeedForward:
    """Puts experts into every layer, each as wide as the sublayer given (Mixtral)."""
    count = fields.size(*stored)
    used = fields.size("num_experts_per_tok", active)
    if used > count:
        raise fields.error(f"num_experts_per_tok is {used}: there are only {count} experts")
    return replace(expert, experts=count, active=used)


def sparse_mixture(fields: Fields, feed_forward: FeedForward, index: int) -> FeedForward:
    """Puts narrow experts into every so many layers, a dense sublayer into the others (Qwen3)."""
    if index in fields.raw("mlp_only_layers", []) or (index + 1) % fields.size("decoder_sparse_step", 1):
        return feed_forward
    narrow = replace(feed_forward, inner=fields.size("moe_intermediate_size", 768))
    return mixture(fields, narrow, index, ("num_local_experts", 128), 8)


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


DECODERS: dict[str, Decoder] = {
    "llama": LLAMA,
    "mistral": MISTRAL,
    "mixtral": replace(
        MISTRAL,
        prefix="Mixtral",
        windows=sliding,
        experts=mixture,
        aliases=(("num_experts", "num_local_experts"),),
    ),
    "qwen2": QWEN2,
    "qwen3": QWEN3,
    "qwen3_moe": replace(
        QWEN3,
        prefix="Qwen3Moe",
        sizes=Sizes(151936, 2048, 24, 32, 32768, 6144, kv_heads=4),
        windows=lambda fields, depth: (
            [_window(fields, 4096) if fields.flag("use_sliding_window", False) else None] * depth
        ),
        experts=sparse_mixture,
        aliases=(("num_local_experts", "num_experts"),),
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
        biases=(("use_bias", True), ("use_bias", True), ("use_bias", True)),
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
        kv_heads=lambda fields, heads: (
            fields.kv_heads(heads, name="num_kv_heads")
            if fields.flag("new_decoder_architecture", False)
            else (1 if fields.flag("multi_query", True) else heads)
        ),
        aliases=(("hidden_size", "n_embed"), ("intermediate_size", "ffn_hidden_size")),
        tied=True,
        biases=(("bias", False), ("bias", False), ("bias", False)),
        norms=lambda fields: (
            fields.size("num_ln_in_parallel_attn", 2 if fields.flag("new_decoder_architecture", False) else 1)
            if fields.flag("parallel_attn", True)
            else 2
        ),
        token_tensor="word_embeddings.weight",
    ),
}
"""``model_type`` -> family."""


OPT = Decoder(
    "OPT",
    Sizes(50272, 768, 12, 12, 2048, 3072),
    aliases=(("intermediate_size", "ffn_dim"),),
    tied=True,
    biases=(("enable_bias", True), ("enable_bias", True), ("enable_bias", True)),
    gated=False,
    norm_vectors=2,
    learned_positions=True,
    position_tensor="embed_positions.weight",
)


def read_opt(fields: Fields) -> Shape:
    """Reads an OPT configuration: embeddings may be narrower than the width, with a projection in and one out."""
    affine = fields.flag("layer_norm_elementwise_affine", True)
    shape = read_decoder(fields, replace(OPT, norm_vectors=2 if affine else 0))
    width, (token, position) = shape.width, shape.embedding.tables
    narrow = fields.size("word_embed_proj_dim", width)
    up = down = None
    if narrow != width:
        up = Linear(name="projection in", inputs=narrow, outputs=width)
        down = Linear(name="projection out", inputs=width, outputs=narrow)
    # Two rows before position 0.
    tables = (replace(token, columns=narrow), replace(position, rows=position.rows + 2))
    last_norm = fields.flag("do_layer_norm_before", True) and not fields.flag("_remove_final_layer_norm", False)
    return replace(
        shape,
        embedding=Embedding(tables=tables, projection=up, projection_tensor="project_in.weight"),
        stacks=shape.stacks if last_norm else (replace(shape.stacks[0], norm=0),),
        head=((down,) if down else ()) + tuple(replace(output, inputs=narrow) for output in shape.head),
    )
