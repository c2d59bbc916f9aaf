"""A small plain decoder for grids over depth and width whose parameters must be counted exactly.

Pre-norm layers of causal self-attention and a GELU network, no biases, an untied head by default, and optionally an
input embedding of limited rank. With learned positions it can also be read piece by piece, with a cache of keys and
values.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import nn
from torch.nn import functional

from seqtant.errors import InputError
from seqtant.models.decoder_config import DecoderConfig

TABLE_STD = 0.02
"""Standard deviation of the entries of a fresh embedding table, position table and head."""
KeysValues = tuple[torch.Tensor, ...]
"""Keys and values of the tokens read so far, one (batch, 2, heads, time, head width) tensor per layer."""


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


def rotate(x: Float[torch.Tensor, "*batch T d"], base: float = 10_000.0) -> Float[torch.Tensor, "*batch T d"]:
    """Applies rotary positions: rotates each pair of coordinates (k, k + d/2) at position t by t * base^(-2k/d).

    The inner product of two rotated vectors depends on their positions through the difference only.

    Args:
        x: Queries or keys, [..., T, d] with even d; the positions are 0 to T-1.
        base: Wavelength base.

    Returns:
        Same shape and type as ``x``.

    Source: Su et al. 2021, RoFormer, arXiv 2104.09864, eq. 15 (pairs split in halves instead of interleaved).

    Example:
        >>> rotate(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))[1].numpy().round(4).tolist()
        [0.5403000116348267, 0.8414999842643738]
    """
    length, half = x.shape[-2], x.shape[-1] // 2
    frequency = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(length, device=x.device, dtype=torch.float32)[:, None] * frequency
    # Angles are made in float32: a position times a frequency has too many digits for half precision.
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.rotary = config.positions == "rotary"
        self.inputs = nn.Linear(config.width, 3 * config.width, bias=False)
        self.output = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Float[torch.Tensor, "B T d"]) -> Float[torch.Tensor, "B T d"]:
        """Attends from every position to itself and those before it."""
        # [3, batch, heads, time, head width]: one matrix gives all three.
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
        generator: Random generator of the fresh weights (on the CPU); by default seeded with 0. The global random state
            is neither read nor moved.

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
        generator = generator or torch.Generator().manual_seed(0)
        # The small initialization sqrt(2 / 5d); matrices that write to the stream are divided by sqrt(2L).
        rank = config.embedding_rank
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim == 1:
                    parameter.fill_(1.0)
                    continue
                std = math.sqrt(2 / (5 * config.width))
                if name.endswith(("attention.output.weight", "down.weight")):
                    std *= 1 / math.sqrt(2 * config.depth)
                if name.startswith(("embedding", "positions", "head")):
                    std = TABLE_STD
                if rank is not None and name.startswith("embedding"):
                    # A product of two such tables has entries of standard deviation std^2 sqrt(r) = TABLE_STD.
                    std = math.sqrt(TABLE_STD / math.sqrt(rank))
                parameter.normal_(0.0, std, generator=generator)

    def forward(self, input_ids: Int[torch.Tensor, "B T"]) -> Float[torch.Tensor, "B T V"]:
        """Logits of the next token at every position."""
        length = input_ids.shape[1]
        if length > self.config.context:
            raise InputError(f"{length} tokens do not fit a context of {self.config.context}: cut the text")
        x = self.embedding(input_ids)
        if self.positions is not None:
            x = x + self.positions.weight[:length]
        for layer in self.layers:
            x = layer(x)
        return self.logits(x)

    def logits(self, x: Float[torch.Tensor, "B T d"]) -> Float[torch.Tensor, "B T V"]:
        """Final norm and head; a tied head is the embedding."""
        x = self.norm(x)
        if self.head is not None:
            return self.head(x)
        return functional.linear(x, self.embedding.get_parameter("weight"))


class CachedDecoder(Decoder):
    """A :class:`Decoder` with learned positions that continues from a cache of keys and values.

    Example:
        >>> from seqtant.models.decoder_config import DecoderConfig
        >>> model = CachedDecoder(DecoderConfig(vocabulary=5, depth=1, width=8, heads=2, context=6))
        >>> tokens = torch.tensor([[1, 2, 3]])
        >>> _, cache = model.extend(tokens[:, :2], None)
        >>> torch.allclose(model.extend(tokens[:, 2:], cache)[0], model(tokens)[:, 2:], atol=1e-6)
        True
    """

    def extend(
        self, input_ids: Int[torch.Tensor, "B T"], cache: KeysValues | None
    ) -> tuple[Float[torch.Tensor, "B T V"], KeysValues]:
        """Continues after the tokens that a cache holds.

        Args:
            input_ids: New tokens.
            cache: What an earlier call returned for the same rows; None at the start.
        """
        if self.positions is None:
            raise InputError("a decoder with rotary positions cannot be read piece by piece: use learned positions")
        # New tokens take the learned positions that follow those of the cached ones.
        past = 0 if cache is None else cache[0].shape[3]
        end = past + input_ids.shape[1]
        if end > self.config.context:
            raise InputError(f"{end} tokens do not fit a context of {self.config.context}: cut the text")
        x = self.embedding(input_ids) + self.positions.weight[past:end]
        kept: list[torch.Tensor] = []
        for index, layer in enumerate(cast(list[Layer], self.layers)):
            attention, normal = layer.attention, layer.attention_norm(x)
            query, *new = attention.inputs(normal).unflatten(-1, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
            seen = torch.stack(new, dim=1)  # [batch, 2, heads, time, head width]
            if cache is not None:
                seen = torch.cat([cache[index], seen], dim=3)
            time, total = x.shape[1], seen.shape[3]
            # New token t sees all earlier ones and the new ones up to itself.
            mask = torch.ones(time, total, dtype=torch.bool, device=x.device).tril(total - time)
            mixed = functional.scaled_dot_product_attention(query, seen[:, 0], seen[:, 1], attn_mask=mask)
            x = x + attention.output(mixed.transpose(1, 2).flatten(-2))
            x = x + layer.down(functional.gelu(layer.up(layer.network_norm(x))))
            kept.append(seen)
        return self.logits(x), tuple(kept)

    @staticmethod
    def select(cache: KeysValues, rows: Int[torch.Tensor, " selected"]) -> KeysValues:
        """Selects rows of a cache."""
        return tuple(each[rows] for each in cache)
