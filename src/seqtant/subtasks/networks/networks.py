"""The networks that are trained here, behind the interface of language models: one generator decodes them all."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, Keep, LMOutput, kept_positions
from seqtant.models.decoder import CachedDecoder
from seqtant.models.decoder_config import DecoderConfig
from seqtant.models.recurrent import RecurrentConfig, RecurrentNetwork
from seqtant.subtasks.config import NetworkConfig
from seqtant.subtasks.networks.masked_network import MaskedConfig, MaskedNetwork

Network = CachedDecoder | RecurrentNetwork | MaskedNetwork
"""Modules with ``extend(input_ids, cache)``, which continues after a cache, and ``select(cache, rows)``."""


def build_network(config: NetworkConfig, *, vocabulary: int, context: int, seed: int) -> Network:
    """Builds a network with random weights.

    Args:
        config: Its kind and shape.
        vocabulary: Number of tokens.
        context: Longest row that a decoder or a masked network must hold.
        seed: Seed of the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    if config.kind == "decoder":
        decoder = CachedDecoder(
            DecoderConfig(
                vocabulary=vocabulary, depth=config.depth, width=config.width, heads=config.heads, context=context
            ),
            generator=generator,
        )
        if config.embedding_scale is not None:
            with torch.no_grad():
                for name in ("embedding.weight", "positions.weight"):
                    decoder.get_parameter(name).normal_(0.0, config.embedding_scale, generator=generator)
        return decoder
    if config.kind == "masked":
        shape = MaskedConfig(vocabulary=vocabulary, width=config.width, depth=config.depth, context=context)
        return MaskedNetwork(shape, generator=generator)
    # The theorem on learning with steps is on an Elman network whose recurrent matrix alone is trained.
    trained = config.trained or ("recurrent" if config.kind == "elman" else "all")
    shape = RecurrentConfig(vocabulary=vocabulary, width=config.width, cell=config.kind, trained=trained)
    return RecurrentNetwork(shape, generator=generator)


class NetworkLM(CausalLM):
    """A network as a language model over token ids; rows of one batch must be equally long.

    Args:
        network: The network.
        vocabulary: Number of its tokens.
        context: Largest number of tokens it reads; None where there is no limit.

    Example:
        >>> network = build_network(NetworkConfig(width=8), vocabulary=2, context=9, seed=0)
        >>> NetworkLM(network, 2).forward(torch.tensor([[0, 1, 1]]), keep=1).logits.shape
        torch.Size([1, 1, 2])
    """

    def __init__(self, network: Network, vocabulary: int, context: int | None = None) -> None:
        self.network = network
        self.name = type(network).__name__
        self.vocabulary_size = vocabulary
        self.context_length = context
        self.device = next(network.parameters()).device

    @torch.no_grad()
    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: Any = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`.

        Raises:
            InputError: A row is padded.
        """
        # Recurrent states and learned positions would both see the padding.
        if attention_mask is not None and not bool(attention_mask.all()):
            raise InputError(f"'{self.name}' reads no padding: give rows of equal length")
        logits, after = self.network.extend(input_ids.to(self.device), cache)
        kept = logits[:, kept_positions(keep, logits.shape[1], logits.device)]
        return LMOutput(logits=kept.float(), cache=after if use_cache else None)

    def select_rows(self, cache: Any, rows: Int[Tensor, " selected"]) -> Any:
        """See :meth:`CausalLM.select_rows`."""
        return self.network.select(cache, rows)
