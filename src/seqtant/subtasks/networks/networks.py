"""The networks that are trained here, behind the interface of language models: one generator decodes them all.

In the masked feed-forward network every position reads each earlier one through separate weights. An Elman network must
carry a bit along, and a decoder must find two positions with one softmax, before either sees anything of their
exclusive or. Here the weight of a hidden unit on one position has a gradient as soon as its weight on the other is not
zero, which fresh weights never are; all steps are found in parallel.

Sources: Germain, Gregor, Murray, Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", ICML 2015, for the
masks; Tolstikhin et al., "MLP-Mixer", NeurIPS 2021, for mixing over positions channel by channel.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, Keep, LMOutput, kept_positions
from seqtant.models.decoder import CachedDecoder
from seqtant.models.decoder_config import DecoderConfig
from seqtant.models.recurrent import RecurrentConfig, RecurrentNetwork
from seqtant.subtasks.config import NetworkConfig

Streams = tuple[Tensor, ...]
"""Cache: the inputs of every layer so far, one [batch, time, width] tensor per layer."""


class MaskedLayer(nn.Module):
    """Mixes each channel over positions s <= t, then the channels: x_t + relu(sum_s M_ts x_s + b_t) W."""

    def __init__(self, width: int, context: int, generator: torch.Generator) -> None:
        super().__init__()
        fresh = torch.randn(width, context, context, generator=generator)
        # Row t reads t + 1 positions: divided by sqrt(t + 1), every hidden unit starts with the same variance.
        self.mixing = nn.Parameter(fresh.tril() / torch.arange(1, context + 1).sqrt()[:, None])
        self.bias = nn.Parameter(torch.zeros(context, width))
        self.output = nn.Parameter(torch.randn(width, width, generator=generator) / math.sqrt(width))

    def forward(self, new: Float[Tensor, "B T d"], seen: Float[Tensor, "B S d"]) -> Float[Tensor, "B T d"]:
        """Computes the last T of S positions of the output, given all S of the input."""
        # Query rows past..end of the causal matrix; tril(past) is its diagonal, shifted by the cached positions.
        end, past = seen.shape[1], seen.shape[1] - new.shape[1]
        # [width, new, all positions]; unmasked, entries above the diagonal would be learned and see the future.
        weights = self.mixing[:, past:end, :end].tril(past)
        mixed = torch.einsum("bsd,dts->btd", seen, weights) + self.bias[past:end]
        return new + torch.relu(mixed) @ self.output


class MaskedNetwork(nn.Module):
    """Causal language model of masked layers.

    Args:
        vocabulary: Number of tokens V.
        width: Number of channels d, each with separate weights from every position to every later one.
        depth: Number of layers.
        context: Largest number of tokens.
        generator: Random generator of the initial weights (on the CPU).

    Example:
        >>> network = MaskedNetwork(3, width=8, depth=1, context=6, generator=torch.Generator().manual_seed(0))
        >>> tokens = torch.tensor([[0, 1, 2, 1]])
        >>> _, cache = network.extend(tokens[:, :3], None)
        >>> torch.allclose(network.extend(tokens[:, 3:], cache)[0], network(tokens)[:, 3:], atol=1e-6)
        True
    """

    def __init__(self, vocabulary: int, width: int, depth: int, context: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.context = context
        self.embedding = nn.Parameter(torch.randn(vocabulary, width, generator=generator))
        self.layers = nn.ModuleList(MaskedLayer(width, context, generator) for _ in range(depth))
        self.head = nn.Parameter(torch.randn(width, vocabulary, generator=generator) / math.sqrt(width))

    def forward(self, input_ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Computes the logits of the next token at every position."""
        return self.extend(input_ids, None)[0]

    def extend(self, input_ids: Int[Tensor, "B T"], cache: Streams | None) -> tuple[Float[Tensor, "B T V"], Streams]:
        """Continues after the tokens in the cache an earlier call returned for the same rows; None at first."""
        end = input_ids.shape[1] + (0 if cache is None else cache[0].shape[1])
        if end > self.context:
            raise InputError(f"{end} tokens do not fit a context of {self.context}: cut the text")
        stream = self.embedding[input_ids]
        kept: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            seen = stream if cache is None else torch.cat([cache[index], stream], dim=1)
            # The cache holds each layer's inputs, not its outputs: a later position mixes over the inputs.
            kept.append(seen)
            stream = layer(stream, seen)
        return stream @ self.head, tuple(kept)

    @staticmethod
    def select(cache: Streams, rows: Int[Tensor, " selected"]) -> Streams:
        """Selects the cache of some rows."""
        return tuple(each[rows] for each in cache)


Network = CachedDecoder | RecurrentNetwork | MaskedNetwork
"""Modules with ``extend(input_ids, cache)``, which continues after a cache, and ``select(cache, rows)``."""


def build_network(config: NetworkConfig, *, vocabulary: int, context: int, seed: int) -> Network:
    """Builds a network with random weights; ``context`` is the longest row that it must hold."""
    generator = torch.Generator().manual_seed(seed)
    if config.kind == "decoder":
        sizes: dict[str, Any] = {"depth": config.depth, "width": config.width, "heads": config.heads}
        decoder = CachedDecoder(DecoderConfig(vocabulary=vocabulary, context=context, **sizes), generator=generator)
        if config.embedding_scale is not None:
            with torch.no_grad():
                for name in ("embedding.weight", "positions.weight"):
                    decoder.get_parameter(name).normal_(0.0, config.embedding_scale, generator=generator)
        return decoder
    if config.kind == "masked":
        return MaskedNetwork(vocabulary, config.width, config.depth, context, generator=generator)
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
        """See :meth:`CausalLM.forward`."""
        # Recurrent states and learned positions would both see the padding.
        if attention_mask is not None and not bool(attention_mask.all()):
            raise InputError(f"'{self.name}' reads no padding: give rows of equal length")
        logits, after = self.network.extend(input_ids.to(self.device), cache)
        kept = logits[:, kept_positions(keep, logits.shape[1], logits.device)]
        return LMOutput(logits=kept.float(), cache=after if use_cache else None)

    def select_rows(self, cache: Any, rows: Int[Tensor, " selected"]) -> Any:
        """See :meth:`CausalLM.select_rows`."""
        return self.network.select(cache, rows)
