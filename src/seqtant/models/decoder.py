"""A small plain decoder of our own: for grids over depth and width whose parameters must be counted exactly.

Pre-norm layers of causal self-attention and a GELU network, no biases, an untied head by default, and optionally an
input embedding of limited rank.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import nn
from torch.nn import functional

from seqtant.errors import InputError
from seqtant.models.decoder_config import DecoderConfig
from seqtant.models.rotary import rotate

TABLE_STD = 0.02
"""Standard deviation of the entries of a fresh embedding table, position table and head."""


class FactorizedEmbedding(nn.Module):
    """An input embedding of rank at most r: a table V x r, then a matrix r x d.

    A fresh product has the same standard deviation as a plain table, so that a low rank does not also mean another
    scale of the signal.
    """

    def __init__(self, vocabulary: int, width: int, rank: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, rank)
        self.up = nn.Linear(rank, width, bias=False)

    def forward(self, tokens: Int[torch.Tensor, "B T"]) -> Float[torch.Tensor, "B T d"]:
        """Vectors of the tokens."""
        return self.up(self.table(tokens))


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.rotary = config.positions == "rotary"
        self.inputs = nn.Linear(config.width, 3 * config.width, bias=False)
        self.output = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Float[torch.Tensor, "B T d"]) -> Float[torch.Tensor, "B T d"]:
        """Mixes every position with those before it."""
        query, key, value = self.inputs(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.rotary:
            query, key = rotate(query), rotate(key)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).flatten(-2))


class Layer(nn.Module):
    """One pre-norm decoder layer."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        inner = config.expansion * config.width
        self.attention_norm = nn.LayerNorm(config.width, bias=False)
        self.attention = Attention(config)
        self.network_norm = nn.LayerNorm(config.width, bias=False)
        self.up = nn.Linear(config.width, inner, bias=False)
        self.down = nn.Linear(inner, config.width, bias=False)

    def forward(self, x: Float[torch.Tensor, "B T d"]) -> Float[torch.Tensor, "B T d"]:
        """Adds attention, then the position-wise network, to the stream."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(functional.gelu(self.up(self.network_norm(x))))


class Decoder(nn.Module):
    """A GPT-style decoder.

    Args:
        config: Its shape.
        generator: Source of the fresh weights (on the CPU); by default seeded with 0. The global random state is
            neither read nor moved.

    Example:
        >>> config = DecoderConfig(vocabulary=11, depth=2, width=8, heads=2, context=16)
        >>> model = Decoder(config, generator=torch.Generator().manual_seed(1))
        >>> model(torch.zeros(3, 5, dtype=torch.long)).shape
        torch.Size([3, 5, 11])
        >>> sum(p.numel() for p in model.parameters()) == config.parameters
        True
    """

    def __init__(self, config: DecoderConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        with torch.device("meta"):
            self.embedding: nn.Module = (
                nn.Embedding(config.vocabulary, config.width)
                if config.embedding_rank is None
                else FactorizedEmbedding(config.vocabulary, config.width, config.embedding_rank)
            )
            self.positions = nn.Embedding(config.context, config.width) if config.positions == "learned" else None
            self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
            self.norm = nn.LayerNorm(config.width, bias=False)
            self.head = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)
        self.to_empty(device="cpu")
        self._initialize(generator or torch.Generator().manual_seed(0))

    def forward(self, input_ids: Int[torch.Tensor, "B T"]) -> Float[torch.Tensor, "B T V"]:
        """Logits of the next token at every position.

        Raises:
            InputError: The text is longer than the context.
        """
        length = input_ids.shape[1]
        if length > self.config.context:
            raise InputError(f"{length} tokens do not fit a context of {self.config.context}: cut the text")
        x = self.embedding(input_ids)
        if self.positions is not None:
            x = x + self.positions.weight[:length]
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return self.head(x) if self.head is not None else functional.linear(x, self._table())

    def _table(self) -> torch.Tensor:
        return self.embedding.get_parameter("weight")

    @torch.no_grad()
    def _initialize(self, generator: torch.Generator) -> None:
        """Matrices by the small initialization, sqrt(2 / 5d), those that write to the stream divided by sqrt(2L)."""
        width, rank = self.config.width, self.config.embedding_rank
        writing = 1 / math.sqrt(2 * self.config.depth)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0)
                continue
            std = math.sqrt(2 / (5 * width))
            if name.endswith(("attention.output.weight", "down.weight")):
                std *= writing
            if name.startswith(("embedding", "positions", "head")):
                std = TABLE_STD
            if rank is not None and name.startswith("embedding"):
                std = math.sqrt(TABLE_STD / math.sqrt(rank))
            parameter.normal_(0.0, std, generator=generator)
