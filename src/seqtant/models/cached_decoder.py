"""The plain decoder, read piece by piece: keys and values of earlier tokens are kept, not computed again."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float, Int
from torch.nn import functional

from seqtant.errors import InputError
from seqtant.models.decoder import Attention, Decoder, Layer

KeysValues = tuple[torch.Tensor, ...]
"""Keys and values of the tokens read so far, one (batch, 2, heads, time, head width) tensor per layer."""


class CachedDecoder(Decoder):
    """A :class:`Decoder` with learned positions that can go on where it stopped.

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
        """Reads further tokens after those that a cache remembers.

        Args:
            input_ids: New tokens.
            cache: What an earlier call returned for the same rows; None at the start.

        Raises:
            InputError: The text is longer than the context, or positions are rotary.
        """
        if self.positions is None:
            raise InputError("a decoder with rotary positions cannot be read piece by piece: use learned positions")
        past = 0 if cache is None else cache[0].shape[3]
        end = past + input_ids.shape[1]
        if end > self.config.context:
            raise InputError(f"{end} tokens do not fit a context of {self.config.context}: cut the text")
        x = self.embedding(input_ids) + self.positions.weight[past:end]
        kept: list[torch.Tensor] = []
        for index, layer in enumerate(cast(list[Layer], self.layers)):
            mixed, seen = _attend(layer.attention, layer.attention_norm(x), None if cache is None else cache[index])
            x = x + mixed
            x = x + layer.down(functional.gelu(layer.up(layer.network_norm(x))))
            kept.append(seen)
        x = self.norm(x)
        return (self.head(x) if self.head is not None else functional.linear(x, self._table())), tuple(kept)

    @staticmethod
    def select(cache: KeysValues, rows: Int[torch.Tensor, " selected"]) -> KeysValues:
        """The cache of some rows."""
        return tuple(each[rows] for each in cache)


def _attend(
    attention: Attention, x: Float[torch.Tensor, "B T d"], past: torch.Tensor | None
) -> tuple[Float[torch.Tensor, "B T d"], torch.Tensor]:
    """Attention of new positions to old and new ones, and the keys and values of both."""
    query, *new = attention.inputs(x).unflatten(-1, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
    seen = torch.stack(new, dim=1)
    if past is not None:
        seen = torch.cat([past, seen], dim=3)
    time, total = x.shape[1], seen.shape[3]
    mask = torch.ones(time, total, dtype=torch.bool, device=x.device).tril(total - time)
    mixed = functional.scaled_dot_product_attention(query, seen[:, 0], seen[:, 1], attn_mask=mask)
    return attention.output(mixed.transpose(1, 2).flatten(-2)), seen
