"""The shape of our plain decoder and its exact number of parameters, known before any weight exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqtant.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Shape of a GPT-style pre-norm decoder without biases.

    Example:
        >>> config = DecoderConfig(vocabulary=85, depth=2, width=96, heads=4, context=64)
        >>> config.block_parameters, config.parameters
        (221664, 244128)
    """

    vocabulary: int
    """Number of tokens V."""
    depth: int
    """Number of layers L."""
    width: int
    """Width d of the residual stream."""
    heads: int
    """Attention heads; must divide the width."""
    context: int
    """Largest number of positions."""
    expansion: int = 4
    """Inner width of the position-wise network, in widths."""
    embedding_rank: int | None = None
    """Rank r of a factorized input embedding (V x r times r x d); None for a plain V x d table."""
    tied: bool = False
    """Whether the output head is the input embedding."""
    positions: Literal["learned", "rotary"] = "learned"
    """Learned vectors added to the input (free rank) or rotations of queries and keys (none at the input)."""

    def __post_init__(self) -> None:
        for name in ("vocabulary", "depth", "width", "heads", "context", "expansion"):
            if getattr(self, name) < 1:
                raise InputError(f"DecoderConfig.{name} is {getattr(self, name)}: it must be at least 1")
        if self.width % self.heads:
            raise InputError(f"DecoderConfig.heads is {self.heads}: it must divide the width {self.width}")
        if self.positions == "rotary" and (self.width // self.heads) % 2:
            raise InputError(f"rotary positions need an even head size: width/heads is {self.width // self.heads}")
        if self.embedding_rank is not None and self.embedding_rank < 1:
            raise InputError(f"DecoderConfig.embedding_rank is {self.embedding_rank}: it must be at least 1, or null")
        if self.tied and self.embedding_rank is not None:
            raise InputError(
                "a tied head would inherit the rank of the embedding: set tied=false or embedding_rank=null"
            )

    @property
    def block_parameters(self) -> int:
        """Parameters of the layers: (4 + 2 expansion) L d^2 in matrices, (2 L + 1) d in norms; 12 L d^2 by default."""
        matrices = (4 + 2 * self.expansion) * self.depth * self.width**2
        return matrices + (2 * self.depth + 1) * self.width

    @property
    def parameters(self) -> int:
        """All parameters: the layers, the input embedding, the learned positions and the output head."""
        rank = self.embedding_rank
        table = self.vocabulary * self.width if rank is None else rank * (self.vocabulary + self.width)
        positions = self.context * self.width if self.positions == "learned" else 0
        head = 0 if self.tied else self.vocabulary * self.width
        return self.block_parameters + table + positions + head
