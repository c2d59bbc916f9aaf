"""A masked feed-forward network over tokens: every position reads each earlier one through separate weights.

An Elman network must carry a bit along, and a decoder must find two positions with one softmax, before either sees
anything of their exclusive or. Here the weight of a hidden unit on one position has a gradient as soon as its weight on
the other is not zero, which fresh weights never are; all steps are found in parallel.

Sources: Germain, Gregor, Murray, Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", ICML 2015, for the
masks; Tolstikhin et al., "MLP-Mixer", NeurIPS 2021, for mixing over positions channel by channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.errors import InputError

Streams = tuple[Tensor, ...]
"""Cache: the inputs of every layer so far, one [batch, time, width] tensor per layer."""


@dataclass(frozen=True, kw_only=True)
class MaskedConfig:
    """Shape of a masked network."""

    vocabulary: int
    """Number of tokens V."""
    width: int
    """Number of channels d, each with separate weights from every position to every later one."""
    depth: int
    """Number of layers."""
    context: int
    """Largest number of tokens."""


class MaskedLayer(nn.Module):
    """Mixes each channel over positions s <= t, then the channels: x_t + relu(sum_s M_ts x_s + b_t) W."""

    def __init__(self, config: MaskedConfig, generator: torch.Generator) -> None:
        super().__init__()
        width, context = config.width, config.context
        fresh = torch.randn(width, context, context, generator=generator)
        # Row t reads t + 1 positions: divided by sqrt(t + 1), every hidden unit starts with the same variance.
        self.mixing = nn.Parameter(fresh.tril() / torch.arange(1, context + 1).sqrt()[:, None])
        self.bias = nn.Parameter(torch.zeros(context, width))
        self.output = nn.Parameter(torch.randn(width, width, generator=generator) / math.sqrt(width))

    def forward(self, new: Float[Tensor, "B T d"], seen: Float[Tensor, "B S d"]) -> Float[Tensor, "B T d"]:
        """Computes the last T of S positions of the output, given all S of the input."""
        # Query rows past..end of the causal matrix; tril(past) is its diagonal, shifted by the cached positions.
        end, past = seen.shape[1], seen.shape[1] - new.shape[1]
        weights = self.mixing[:, past:end, :end].tril(past)
        mixed = torch.einsum("bsd,dts->btd", seen, weights) + self.bias[past:end]
        return new + torch.relu(mixed) @ self.output


class MaskedNetwork(nn.Module):
    """Causal language model of masked layers.

    Args:
        config: Its shape.
        generator: Random generator of the initial weights (on the CPU); by default seeded with 0.

    Example:
        >>> network = MaskedNetwork(MaskedConfig(vocabulary=3, width=8, depth=1, context=6))
        >>> tokens = torch.tensor([[0, 1, 2, 1]])
        >>> _, cache = network.extend(tokens[:, :3], None)
        >>> torch.allclose(network.extend(tokens[:, 3:], cache)[0], network(tokens)[:, 3:], atol=1e-6)
        True
    """

    def __init__(self, config: MaskedConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        source = generator or torch.Generator().manual_seed(0)
        self.config = config
        self.embedding = nn.Parameter(torch.randn(config.vocabulary, config.width, generator=source))
        self.layers = nn.ModuleList(MaskedLayer(config, source) for _ in range(config.depth))
        self.head = nn.Parameter(
            torch.randn(config.width, config.vocabulary, generator=source) / math.sqrt(config.width)
        )

    def forward(self, input_ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Computes the logits of the next token at every position."""
        return self.extend(input_ids, None)[0]

    def extend(self, input_ids: Int[Tensor, "B T"], cache: Streams | None) -> tuple[Float[Tensor, "B T V"], Streams]:
        """Continues after the tokens in a cache.

        Args:
            input_ids: New tokens.
            cache: Cache returned by an earlier call for the same rows; None at the start.

        Raises:
            InputError: There are more tokens than the network has weights for.
        """
        end = input_ids.shape[1] + (0 if cache is None else cache[0].shape[1])
        if end > self.config.context:
            raise InputError(f"{end} tokens do not fit a context of {self.config.context}: cut the text")
        stream = self.embedding[input_ids]
        kept: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            seen = stream if cache is None else torch.cat([cache[index], stream], dim=1)
            kept.append(seen)
            stream = layer(stream, seen)
        return stream @ self.head, tuple(kept)

    @staticmethod
    def select(cache: Streams, rows: Int[Tensor, " selected"]) -> Streams:
        """Selects the cache of some rows."""
        return tuple(each[rows] for each in cache)
