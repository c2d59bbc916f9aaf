"""Networks of our own behind the interface of language models, so that one generator decodes them all, with a cache."""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from jaxtyping import Int
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, Keep, LMOutput, kept_positions
from seqtant.models.decoder import CachedDecoder
from seqtant.models.decoder_config import DecoderConfig
from seqtant.models.recurrent import RecurrentConfig, RecurrentNetwork
from seqtant.subtasks.config import NetworkConfig, OptimizationConfig
from seqtant.subtasks.networks.masked_network import MaskedConfig, MaskedNetwork
from seqtant.training.config import TrainingConfig


class Incremental(Protocol):
    """A network that can go on where it stopped."""

    def extend(self, input_ids: Int[Tensor, "B T"], cache: Any) -> tuple[Tensor, Any]:
        """Logits of new tokens, and the cache after them."""
        ...

    def select(self, cache: Any, rows: Int[Tensor, " selected"]) -> Any:
        """The cache of some rows."""
        ...


def build_network(config: NetworkConfig, *, vocabulary: int, context: int, seed: int) -> nn.Module:
    """A fresh network; it also is an :class:`Incremental`.

    Args:
        config: Its kind and shape.
        vocabulary: Number of tokens.
        context: Longest row that a decoder or a masked network must hold.
        seed: Seed of the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    if config.kind == "decoder":
        shape = DecoderConfig(
            vocabulary=vocabulary, depth=config.depth, width=config.width, heads=config.heads, context=context
        )
        return _rescaled(CachedDecoder(shape, generator=generator), config.embedding_scale, generator)
    if config.kind == "masked":
        shape = MaskedConfig(vocabulary=vocabulary, width=config.width, depth=config.depth, context=context)
        return MaskedNetwork(shape, generator=generator)
    trained = config.trained or ("recurrent" if config.kind == "elman" else "all")
    shape = RecurrentConfig(vocabulary=vocabulary, width=config.width, cell=config.kind, trained=trained)
    return RecurrentNetwork(shape, generator=generator)


@torch.no_grad()
def _rescaled(decoder: CachedDecoder, scale: float | None, generator: torch.Generator) -> CachedDecoder:
    """The decoder with fresh token and position vectors of another length."""
    if scale is not None:
        for name in ("embedding.weight", "positions.weight"):
            decoder.get_parameter(name).normal_(0.0, scale, generator=generator)
    return decoder


def schedule_of(network: nn.Module, config: OptimizationConfig, updates: int, evaluate_every: int) -> TrainingConfig:
    """Settings of the training loop, with what the network asks for where nothing was chosen."""
    only_recurrent = isinstance(network, RecurrentNetwork) and network.config.trained == "recurrent"
    optimizer = config.optimizer or ("sgd" if only_recurrent else "adamw")
    descent = optimizer == "sgd"
    warmup = (0 if descent else 100) if config.warmup is None else config.warmup
    return TrainingConfig(
        steps=updates,
        optimizer=optimizer,
        learning_rate=config.learning_rate or (0.1 if descent else 0.002),
        schedule="constant",
        warmup=min(warmup, updates),
        weight_decay=0.0,
        betas=(0.9, 0.98),
        clip=config.clip,
        accumulation=config.accumulation,
        precision=config.precision,
        compile=config.compile,
        evaluate_every=evaluate_every,
        checkpoint_every=max(1, updates // 10),
        keep=1,
    )


class NetworkLM(CausalLM):
    """A network of our own as a language model over token ids; rows of one batch must be equally long.

    Args:
        network: Any :class:`Incremental` module.
        vocabulary: Number of its tokens.
        context: Most tokens it reads; None where there is no limit.

    Example:
        >>> network = build_network(NetworkConfig(width=8), vocabulary=2, context=9, seed=0)
        >>> NetworkLM(network, 2).forward(torch.tensor([[0, 1, 1]]), keep=1).logits.shape
        torch.Size([1, 1, 2])
    """

    def __init__(self, network: nn.Module, vocabulary: int, context: int | None = None) -> None:
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
        if attention_mask is not None and not bool(attention_mask.all()):
            raise InputError(f"'{self.name}' reads no padding: give rows of equal length")
        network = cast(Incremental, self.network)
        logits, after = network.extend(input_ids.to(self.device), cache)
        kept = logits[:, kept_positions(keep, logits.shape[1], logits.device)]
        return LMOutput(logits=kept.float(), cache=after if use_cache else None)

    def select_rows(self, cache: Any, rows: Int[Tensor, " selected"]) -> Any:
        """See :meth:`CausalLM.select_rows`."""
        return cast(Incremental, self.network).select(cache, rows)
