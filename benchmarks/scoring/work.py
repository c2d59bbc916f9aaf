"""What is scored and on which networks: the same token ids for every contender, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Size:
    """One network, with random weights: speed does not depend on what they are."""

    name: str
    width: int
    depth: int
    vocabulary: int


SIZES = {size.name: size for size in (Size("0.26M", 64, 5, 512), Size("6M", 256, 6, 4096), Size("26M", 256, 4, 49152))}


def network(size: Size) -> object:
    """A Llama of this size, the same in every environment."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=size.width * 8 // 3,
        num_hidden_layers=size.depth,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def texts(size: Size, count: int, shortest: int, longest: int, seed: int = 0) -> list[list[int]]:
    """Sequences of unlike length behind a start token."""
    rng = np.random.default_rng(seed)
    return [
        [1, *rng.integers(3, size.vocabulary, size=length).tolist()]
        for length in rng.integers(shortest, longest + 1, size=count)
    ]


def flops(model: object, lengths: list[int]) -> int:
    """FLOPs of reading sequences of these lengths alone, every token scored, counted on PyTorch's meta device."""
    import copy

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    shadow = copy.deepcopy(model).to("meta")
    total = 0
    for length in lengths:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            shadow(torch.zeros(1, length - 1, dtype=torch.long, device="meta"))
        total += counter.get_total_flops()
    return total
