"""FLOPs against PyTorch's own counter and DeepSpeed's stored measurement, cache bytes against a real cache.

PyTorch's counter sees no FLOPs in scaled dot-product attention on the CPU in torch 2.13. It is right on the meta
device and with the MATH backend, and for attention written as matrix products; networks here run in that last way.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from seqtant.architecture.counting.accounting import count_cache, count_flops, count_pairs, count_parameters
from seqtant.architecture.families.decoder import read_decoder
from seqtant.architecture.families.decoders import DECODERS
from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.loading import describe
from seqtant.architecture.families.shape import Attention, Shape
from seqtant.errors import InputError
from tests.architecture.networks import ALL_FAMILIES, build_network, configurations

ROOT = Path(__file__).parents[2]
NANO = {"model_type": "gpt2", "n_layer": 4, "n_embd": 384, "n_head": 6, "n_positions": 256, "vocab_size": 50257}
LLAMA = {"model_type": "llama", "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6}
LLAMA |= {"num_hidden_layers": 3, "intermediate_size": 40, "vocab_size": 50, "pad_token_id": None}


def counted_by_torch(network: torch.nn.Module, inputs: dict[str, Any]) -> int:
    """FLOPs that PyTorch counts, less rotary angles, which some releases of transformers write as a matrix product."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(**inputs)
    counts = counter.get_flop_counts()
    angles = sum(sum(parts.values()) for name, parts in counts.items() if name.endswith("rotary_emb"))
    return counter.get_total_flops() - angles


def inputs_of(shape: Shape, config: dict[str, Any], batch: int, tokens: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    if shape.vocabulary is None:
        size = (batch, config["num_channels"], config["image_size"], config["image_size"])
        return {"pixel_values": torch.randn(size, generator=generator)}
    ids = torch.randint(0, shape.vocabulary, (batch, tokens), generator=generator)
    both = shape.family == "t5" and shape.counted_as != "T5EncoderModel"
    return {"input_ids": ids} | ({"decoder_input_ids": ids} if both else {})


@pytest.mark.parametrize(("device", "backend"), [("meta", None), ("meta", SDPBackend.MATH), ("cpu", SDPBackend.MATH)])
def test_torch_counts_one_attention_call_where_we_rely_on_it(device: str, backend: SDPBackend | None) -> None:
    batch, heads, tokens, head_dim = 2, 3, 16, 8
    query = torch.empty(batch, heads, tokens, head_dim, device=device)
    backends = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(backend or backends), FlopCounterMode(display=False) as counter:
        scaled_dot_product_attention(query, query, query, is_causal=True)
    assert counter.get_total_flops() == 4 * batch * heads * tokens**2 * head_dim


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_flops_are_those_that_torch_counts(family: str) -> None:
    @settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(config=configurations(family), batch=st.integers(1, 2), share=st.floats(0, 1))
    def check(config: dict[str, Any], batch: int, share: float) -> None:
        shape = describe(config)
        tokens = shape.fixed_tokens or max(1, round(share * min(shape.context or 12, 12)))
        network = build_network(
            config, shape.counted_as, device="cpu", _attn_implementation="eager", _experts_implementation="eager"
        )
        counted = counted_by_torch(network, inputs_of(shape, config, batch, tokens))
        assert counted == batch * count_flops(shape, tokens).total

    check()


def test_flops_of_kernel_attention_on_the_meta_device() -> None:
    network = build_network(NANO, "GPT2LMHeadModel", _attn_implementation="sdpa")
    ids = torch.zeros((1, 256), dtype=torch.long, device="meta")
    shape = describe(NANO | {"architectures": ["GPT2LMHeadModel"]})
    assert counted_by_torch(network, {"input_ids": ids}) == count_flops(shape, 256).total
    assert counted_by_torch(network, {"input_ids": ids, "logits_to_keep": 1}) == count_flops(shape, 256, scored=1).total


def test_flops_are_twice_the_multiply_adds_of_deepspeed() -> None:
    stored = json.loads((ROOT / "benchmarks/results/flop_counters.json").read_text(encoding="utf-8"))
    deepspeed = next(row for row in stored["peers"] if row["peer"] == "deepspeed")
    bare = replace(DECODERS["gpt2"], biases=(False, False, False), norm_vectors=1)
    nano = read_decoder(Fields(NANO, "nano", dict(bare.aliases)), bare)
    assert count_flops(nano, stored["tokens"], scored=1).total == 2 * deepspeed["macs"]
    assert count_parameters(nano).total == deepspeed["parameters"]
    assert count_flops(nano, 256, scored=1).total == 4_065_129_216
    assert count_parameters(nano).total == 26_478_336


@settings(max_examples=50, deadline=None, derandomize=True)
@given(tokens=st.integers(1, 20), window=st.one_of(st.none(), st.integers(1, 25)), causal=st.booleans())
def test_masked_pairs_are_those_that_a_mask_leaves(tokens: int, window: int | None, causal: bool) -> None:
    part = Attention(width=4, heads=1, kv_heads=1, head_dim=4, window=window if causal else None, causal=causal)
    query, key = torch.meshgrid(torch.arange(tokens), torch.arange(tokens), indexing="ij")
    mask = key <= query if causal else torch.ones_like(query, dtype=torch.bool)
    if causal and window is not None:
        mask &= query - key < window
    assert count_pairs(part, tokens, "masked") == int(mask.sum())
    assert count_pairs(part, tokens, "square") == tokens**2


def test_sliding_layers_mask_as_transformers_masks_them() -> None:
    from transformers import AutoConfig
    from transformers.masking_utils import create_sliding_window_causal_mask

    config = AutoConfig.for_model("mistral", sliding_window=3, hidden_size=8, num_attention_heads=1)
    config._attn_implementation = "eager"
    states = torch.zeros(1, 7, 8)
    mask = create_sliding_window_causal_mask(
        config=config,
        inputs_embeds=states,
        attention_mask=None,
        past_key_values=None,
        position_ids=torch.arange(7)[None],
    )
    part = describe({"model_type": "mistral", "sliding_window": 3}).stacks[0].layers[0].attention[0]
    assert count_pairs(part, 7, "masked") == int((mask == 0).sum())


@pytest.mark.parametrize("window", [None, 5])
def test_cache_holds_the_bytes_that_are_counted(window: int | None) -> None:
    config = LLAMA | {"model_type": "mistral", "sliding_window": window, "architectures": ["MistralForCausalLM"]}
    shape = describe(config)
    network = build_network(config, shape.counted_as, device="cpu")
    with torch.no_grad():
        cache = network(torch.zeros((1, 9), dtype=torch.long), use_cache=True).past_key_values
    held = sum(part.keys.nbytes + part.values.nbytes for part in cache.layers)
    counted = count_cache(shape, 9, "float32")
    assert counted is not None
    # transformers keeps window - 1 past tokens of a sliding layer: the newest comes with the next call.
    missing = 0 if window is None else counted.per_token
    assert held == counted.at_length - missing
    assert counted.per_token * 9 == (counted.at_length if window is None else counted.per_token * 9)


def test_encoders_keep_no_cache_and_encoder_decoders_keep_two() -> None:
    assert count_cache(describe({"model_type": "bert"}), 10, "float32") is None
    t5 = count_cache(describe({"model_type": "t5"}), 10, "float16")
    assert t5 is not None
    assert t5.per_token == t5.per_source_token == 2 * 8 * 64 * 6 * 2
    assert t5.at_length == 10 * (t5.per_token + t5.per_source_token)


def test_attention_dominates_long_contexts() -> None:
    # At width 1024 and 8192 tokens, the under-count of a counter blind to attention is 1 + T / (6 d).
    wide = describe({"model_type": "gpt2", "n_embd": 1024, "n_layer": 24, "n_head": 16})
    counts = count_flops(wide, 8192)
    blind = counts.components["attention projections"] + counts.components["feed-forward"]
    assert (blind + counts.components["attention scores and values"]) / blind == pytest.approx(1 + 8192 / (6 * 1024))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda shape: count_flops(shape, 0), "length is 0"),
        (lambda shape: count_cache(shape, 4, "bf16"), "dtype is 'bf16' .did you mean 'bfloat16'"),
        (lambda shape: count_flops(describe({"model_type": "vit"}), 10), "always reads 197"),
    ],
)
def test_bad_requests_are_refused(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(describe(LLAMA))
