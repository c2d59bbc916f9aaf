"""What a shape costs to train and hold, and how settings carry over to it: closed forms of numbers or arrays of them.

Legend: N parameters, D tokens, L layers, d width, r feed-forward numbers of a token over d, a heads, T tokens of a
sequence, b sequences of a microbatch. Constants are those of the papers named, the marks those of
:mod:`seqtant.architecture.theory`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

TOKENS_PER_PARAMETER = 20.0
"""Compute-optimal D / N: Hoffmann et al. 2022 (arXiv 2203.15556), fitted on dense models of 7e7 to 1.6e10 [memory]."""
OVERTRAINED = 1e12 / 6_738_415_616
"""D / N of LLaMA-7B, 148: 1e12 tokens (Touvron et al. 2023, arXiv 2302.13971, table 2 [memory]), its N counted here."""

Recompute = Literal["none", "selective", "full"]


def training_cost(flops_per_token: Any, parameters: Any, tokens: Any, rate: float) -> dict[str, Any]:
    """Computes FLOPs and hours of a training run: C = 3 F D = (6 N + 12 L d T) D, hours C / (3600 rate).

    The backward pass takes twice the forward F = 2 N + 4 L d T, whose N are the matrix entries that a token passes
    through (head included, lookups not) and whose attention is square. The same C is spent best on sqrt(C / 120)
    parameters, by C = 6 N D and D = 20 N. ``parameters`` N, of which ``tokens`` None are 20 each, are all of them, of
    mixtures the active ones; ``rate`` is the FLOP/s that a device reaches, model FLOPs utilization times its peak.

    Example:
        >>> cost = training_cost(2 * 70e9, 70e9, None, 0.4e15)  # Chinchilla: 1.4e12 tokens
        >>> f"{cost['tokens']:.3g} {cost['training_flops']:.3g} {cost['device_hours']:.4g}"
        '1.4e+12 5.88e+23 4.083e+05'
    """
    tokens = TOKENS_PER_PARAMETER * parameters if tokens is None else tokens + 0.0 * parameters
    flops = 3.0 * flops_per_token * tokens
    optimal = (flops / (6.0 * TOKENS_PER_PARAMETER)) ** 0.5
    return {
        "tokens": tokens,
        "tokens_per_parameter": tokens / parameters,
        "training_flops": flops,
        "device_hours": flops / (3600.0 * rate),
        "optimal_parameters": optimal,
        "optimal_tokens": TOKENS_PER_PARAMETER * optimal,
    }


def state_bytes(parameters: Any, zero: int, data: int = 1, tensor: int = 1, pipeline: int = 1) -> dict[str, Any]:
    """Counts bytes per device of weights, gradients and optimizer: 2, 2 and 12 per parameter of mixed-precision Adam.

    ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054) divides by the data-parallel degree the optimizer's (stage 1), also
    the gradients (2), also the weights (3). Tensor and pipeline splits are taken as even; buffers are not counted.

    Example:
        >>> [round(sum(state_bytes(7.5e9, zero, data=64).values()) / 1e9, 1) for zero in range(4)]  # its figure 1
        [120.0, 31.4, 16.6, 1.9]
    """
    share = parameters / (tensor * pipeline)
    sizes = (("weights", 2.0, 3), ("gradients", 2.0, 2), ("optimizer", 12.0, 1))
    return {name: size * share / (data if zero >= stage else 1) for name, size, stage in sizes}


def activation_bytes(
    shapes: Mapping[str, Any], chosen: int, tokens: int, context: int, tensor: int, recompute: Recompute
) -> Any:
    """Estimates bytes of activations on a device of the first pipeline stage, by Korthikanti et al. 2022.

    L T b d (10 + (8 + 4 r) / t + 5 a T / (d t)) with t tensor splits, arXiv 2205.05198, whose 24 / t is r = 4 [derived
    for others]; selective recomputation (or fused attention) leaves the last term out, full keeps 2 L T b d. The first
    of p stages holds p microbatches of L / p layers. An estimate: 16-bit numbers, dropout, plain attention and
    feed-forward parts, no sequence parallelism, no logits.
    ``chosen`` are the feed-forward parts of a
    layer that a token passes through, ``tokens`` T b those of a microbatch.

    Example:
        >>> gpt3 = {"depth": 96, "width": 12288, "heads": 96, "d_ff": 4 * 12288}
        >>> activation_bytes(gpt3, 1, 2048, 2048, 1, "none") / (96 * 12288 * 2048)  # 34 + 80
        114.0
    """
    depth, width = shapes["depth"], shapes["width"]
    square = 5.0 * shapes["heads"] * context / (width * tensor) if recompute == "none" else 0.0
    per_number = 10.0 + (8.0 + 4.0 * chosen * shapes["d_ff"] / width) / tensor + square
    return depth * width * tokens * (2.0 if recompute == "full" else per_number)


def transfer_multipliers(width: Any, depth: Any, base_width: Any, base_depth: Any) -> dict[str, Any]:
    """Computes what to multiply a base network's settings by, for Adam, with m = d / d_base and l = L / L_base.

    Width: maximal update parametrization, Yang et al. 2022, "Tensor Programs V" (arXiv 2203.03466), table 8 [memory]:
    hidden matrices 1/m of the learning rate and m^(-1/2) of the initial standard deviation, embeddings and norms as
    they are, logits 1/m; attention scores are divided by the head size, not its root. Depth: Yang et al. 2023, "Tensor
    Programs VI" (arXiv 2310.02244) [memory]: residual branches l^(-1/2), and so the learning rate within them. That
    paper shows depth transfer for blocks of one layer; a transformer's have more, and it may be off there.

    Example:
        >>> transfer_multipliers(1024, 32, 256, 8)["learning_rate_hidden"]  # 1/4 for width, 1/2 for depth
        0.125
    """
    m, root = width / base_width, (depth / base_depth) ** 0.5
    rate = {"learning_rate_hidden": 1.0 / (m * root), "init_std_hidden": m**-0.5}
    return rate | {"output_multiplier": 1.0 / m, "residual_multiplier": 1.0 / root}
