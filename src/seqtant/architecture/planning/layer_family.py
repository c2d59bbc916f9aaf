"""What all shapes of one plan share: how a layer is built, how tokens enter and leave."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqtant.architecture.config import PlanConfig
from seqtant.architecture.families.shape import Attention, Entry, FeedForward, Layer, Linear, Shape, Stack, Table
from seqtant.architecture.planning.modalities import MODALITIES

TEXT_VOCABULARY = 50257
"""Vocabulary where neither it nor a modality is given: English byte-pair encoding."""


@dataclass(frozen=True)
class Family:
    """What all shapes of one plan have in common."""

    d_ff_ratio: float
    """Feed-forward width over model width."""
    gated: bool
    """Three feed-forward matrices instead of two."""
    head_dim: int
    """Width of one head."""
    kv_heads: int | None
    """Key-value heads; None for as many as heads."""
    vocabulary: int | None
    """Token ids; None for continuous patches."""
    input_rank: int | None
    """Rank of the input embedding below vocabulary and width: factorized tables, patch dimension; None for none."""
    tied: bool
    """Whether the output head shares the table."""
    snap: int
    """Widths are whole multiples of this."""

    @classmethod
    def of(cls, config: PlanConfig) -> Family:
        """Reads the family out of a configuration, with the modality's vocabulary where none is given."""
        vocabulary, rank = config.vocab, config.embed_rank
        if config.modality is not None:
            kind = MODALITIES[config.modality]
            vocabulary = kind.vocabulary if vocabulary is None else vocabulary
            rank = kind.rank if rank is None else rank
        elif vocabulary is None:
            vocabulary = TEXT_VOCABULARY
        ratio = config.d_ff_ratio or (8 / 3 if config.glu else 4.0)
        return cls(ratio, config.glu, config.head_dim, config.kv_heads, vocabulary, rank, config.tied, config.snap)

    @property
    def is_standard(self) -> bool:
        """Whether a layer has the 12 d^2 parameters of the networks behind the law."""
        return self.kv_heads is None and math.isclose(self.layer_parameters(1.0), 12.0)

    @property
    def rank_limit(self) -> float:
        """Rank that the input cannot exceed at any width; infinite where nothing limits it."""
        return min((limit for limit in (self.vocabulary, self.input_rank) if limit is not None), default=math.inf)

    def layer_parameters(self, width: float) -> float:
        """Entries of the matrices of one layer, for a real width; biases and norms left out, as in 12 d^2."""
        kv_inner = width if self.kv_heads is None else min(width, float(self.kv_heads * self.head_dim))
        return 2 * width**2 + 2 * width * kv_inner + (3 if self.gated else 2) * self.d_ff_ratio * width**2

    def input_parameters(self, width: float) -> float:
        """Parameters of input embedding and output head, for a real width."""
        if self.vocabulary is None:
            return (self.input_rank or 0) * width
        head = 0 if self.tied and self.input_rank is None else self.vocabulary * width
        if self.input_rank is None:
            return self.vocabulary * width + head
        return self.input_rank * (self.vocabulary + width) + (0 if self.tied else head)

    def d_ff(self, width: int) -> int:
        """Whole feed-forward width, snapped like the width."""
        return self.snap * max(1, round(self.d_ff_ratio * width / self.snap))

    def heads(self, width: int) -> tuple[int, int] | None:
        """Heads and their width: a divisor of the width near the head width asked for; None if there is none.

        Example:
            >>> [Family.of(PlanConfig(params=1e9, kv_heads=8)).heads(width) for width in (1536, 1664, 1728)]
            [(24, 64), (16, 104), (24, 72)]
        """
        choices = [size for size in self.head_sizes() if width % (size * (self.kv_heads or 1)) == 0]
        best = min(choices, key=lambda size: abs(math.log(size / self.head_dim)), default=None)
        return None if best is None else (width // best, best)

    def head_sizes(self) -> list[int]:
        """Head widths from half to twice the one asked for, in steps of 8 where that is a multiple of 8."""
        unit = math.gcd(8, self.head_dim)
        return [size for size in range(unit, 2 * self.head_dim + 1, unit) if 2 * size >= self.head_dim]

    def layer(self, width: int, depth: int = 1) -> Layer:
        """So many layers of a whole width: root-mean-square norms, rotary positions, no biases."""
        heads, head_dim = self.heads(width) or (1, width)
        attention = Attention(width=width, heads=heads, kv_heads=self.kv_heads or heads, head_dim=head_dim)
        feed_forward = FeedForward(width=width, inner=self.d_ff(width), gated=self.gated)
        return Layer(attention=(attention,), feed_forward=feed_forward, norm=2 * width, stored=depth, applied=depth)

    def shape(self, depth: int, width: int) -> Shape:
        """A whole shape."""
        return Shape(
            family="planned",
            counted_as="planned",
            width=width,
            entry=self._entry(width),
            stacks=(Stack(name="decoder", layers=(self.layer(width, depth),), norm=width),),
            head=self._head(width),
            vocabulary=self.vocabulary,
        )

    def _entry(self, width: int) -> Entry:
        if self.vocabulary is None:
            return Entry(projection=Linear(name="patches", inputs=self.input_rank or 0, outputs=width))
        if self.input_rank is None:
            return Entry(tables=(Table(name="token", rows=self.vocabulary, columns=width),))
        return Entry(
            tables=(Table(name="token", rows=self.vocabulary, columns=self.input_rank),),
            projection=Linear(name="up", inputs=self.input_rank, outputs=width),
        )

    def _head(self, width: int) -> tuple[Linear, ...]:
        if self.vocabulary is None:
            return ()
        if self.input_rank is None or not self.tied:
            return (Linear(name="output", inputs=width, outputs=self.vocabulary, tied=self.tied),)
        down = Linear(name="down", inputs=width, outputs=self.input_rank, tied=True)
        return (down, Linear(name="output", inputs=self.input_rank, outputs=self.vocabulary, tied=True))
