"""What all shapes of one plan have in common: kind of data, proportions, heads, experts, how tokens enter and leave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqtant.architecture.families.shape import Attention, Embedding, FeedForward, Layer, Linear, Shape, Stack, Table


@dataclass(frozen=True)
class Modality:
    """A kind of data, and the rank it allows the input: what paper 7 says decides how much width is worth."""

    vocabulary: int | None
    """Usual number of token ids; None for continuous input."""
    rank: int | None
    """Rank of the input where it is below the vocabulary, or dimension of a continuous input."""


MODALITIES: dict[str, Modality] = {
    "text": Modality(50257, None),  # subword text; vocabularies of 30K to 256K never limit the width
    "bytes": Modality(257, None),  # bytes and one end mark
    "image-tokens": Modality(512, None),  # 512 color clusters, as in iGPT
    "pixels": Modality(256, None),  # intensities 0 to 255 per channel
    "amino-acids": Modality(33, None),  # protein residues with special tokens (20 to 33)
    "dna": Modality(12, None),  # nucleotides with ambiguity codes and special tokens (4 to 12)
    "patches": Modality(None, 768),  # continuous patches of 16 x 16 pixels in 3 colors
}
"""Name -> kind of data; ``--vocab`` and ``--set embed_rank=...`` replace the numbers."""


@dataclass(frozen=True, kw_only=True)
class ShapeFamily:
    """What all shapes of one plan have in common: proportions, heads, how tokens enter and leave.

    Example:
        >>> ShapeFamily().layer_parameters(768) == 12 * 768**2
        True
    """

    d_ff_ratio: float = 4.0
    """Feed-forward width over model width."""
    gated: bool = False
    """Three feed-forward matrices instead of two."""
    head_dim: int | None = None
    """Width of one head; None for 64, and 128 where the width is at least 2048 and 128 divides it into whole groups."""
    kv_heads: int | None = None
    """Key-value heads; None for as many as heads."""
    vocabulary: int | None = MODALITIES["text"].vocabulary
    """Token ids; None for continuous patches."""
    input_rank: int | None = None
    """Rank of the input embedding below vocabulary and width: factorized tables, patch dimension; None for none."""
    tied: bool = True
    """Whether the output head shares the table."""
    snap: int | None = None
    """Widths are whole multiples of this; None for 64, and 128 from width 1024 on."""
    experts: int | None = 1
    """Routed experts of a layer; 1 for dense layers, None for as many as fill a total beside an active budget."""
    active_experts: int = 1
    """Routed experts that a token passes through."""
    shared_experts: int = 0
    """Experts besides that every token passes through."""
    granularity: float = 1.0
    """Width of a dense feed-forward layer over that of one expert."""
    qk_norm: bool = False
    """A norm of head width each on queries and keys, as in Qwen3."""
    tensor: int = 1
    """Tensor-parallel splits: they divide the heads."""
    pipeline: int = 1
    """Pipeline stages: they divide the depth."""

    @property
    def is_mixture(self) -> bool:
        """Whether a router chooses among experts."""
        return self.experts != 1

    @property
    def is_standard(self) -> bool:
        """Whether a layer has the 12 d^2 parameters of the networks behind the law."""
        return not self.is_mixture and self.kv_heads is None and math.isclose(self.layer_parameters(1.0), 12.0)

    @property
    def rank_limit(self) -> float:
        """Rank that the input cannot exceed at any width; infinite where nothing limits it."""
        return min((limit for limit in (self.vocabulary, self.input_rank) if limit is not None), default=math.inf)

    def layer_parameters(self, width: float, *, active: bool = False) -> float:
        """Counts the matrix entries of one layer, for a real width; biases and norms left out, as in 12 d^2.

        Of experts it counts those stored, or with ``active`` (or where only they are known) those of one token.
        """
        # Queries and output d x d each, keys and values d x kv_inner each, two or three feed-forward matrices. A head
        # size that is left open grows evenly from 64 to 128 here, since the law's equation needs a count without jumps.
        head_dim = self.head_dim or min(max(width / 16.0, 64.0), 128.0)
        kv_inner = width if self.kv_heads is None else min(width, self.kv_heads * head_dim)
        experts = (self.active_experts if active or self.experts is None else self.experts) + self.shared_experts
        one = (3 if self.gated else 2) * self.d_ff_ratio * width**2 / self.granularity
        router = width * (self.experts or 0) if self.is_mixture else 0.0
        return 2 * width**2 + 2 * width * kv_inner + experts * one + router

    def embedding_parameters(self, width: float) -> float:
        """Counts the parameters of input embedding and output head, for a real width."""
        if self.vocabulary is None:
            return (self.input_rank or 0) * width
        # Factorized tables are V x r and r x d; an untied head is V x d either way.
        table = self.vocabulary * width if self.input_rank is None else self.input_rank * (self.vocabulary + width)
        return table + (0 if self.tied else self.vocabulary * width)

    def head_size(self, width: Any) -> Any:
        """Chooses the width of one head; heads are then a multiple of the key-value heads and of the tensor splits.

        Example:
            >>> ShapeFamily(kv_heads=8).head_size(np.array([1536, 2048, 2560, 3072]))
            array([ 64, 128,  64, 128])
        """
        wide = (width >= 2048) & (width % (128 * math.lcm(self.kv_heads or 1, self.tensor)) == 0)
        return self.head_dim or np.where(wide, 128, 64)

    def width_step(self, width: Any) -> Any:
        """What widths and feed-forward widths are multiples of."""
        return self.snap or np.where(width < 1024, 64, 128)

    def shape(self, depth: Any, width: Any, experts: Any = None) -> Shape:
        """Builds a whole shape: root-mean-square norms, rotary positions, no biases.

        Sizes are whole numbers, or arrays of them for many shapes at once: the counts of
        :mod:`seqtant.architecture.counting.accounting` are arrays then. ``experts`` replaces those of the family.
        """
        head_dim, step = self.head_size(width), self.width_step(width)
        heads = width // head_dim
        inner = step * np.maximum(1, np.rint(self.d_ff_ratio * width / self.granularity / step)).astype(int)
        layer = Layer(
            attention=(
                Attention(
                    width=width,
                    heads=heads,
                    kv_heads=self.kv_heads or heads,
                    head_dim=head_dim,
                    norm=2 * head_dim * self.qk_norm,
                ),
            ),
            feed_forward=FeedForward(
                width=width,
                inner=inner,
                gated=self.gated,
                experts=self.experts or self.active_experts if experts is None else experts,
                active=self.active_experts,
                shared=self.shared_experts,
            ),
            norm=2 * width,
            stored=depth,
            applied=depth,
        )
        vocabulary, rank = self.vocabulary, self.input_rank
        head: tuple[Linear, ...] = ()
        if vocabulary is None:
            embedding = Embedding(projection=Linear(name="patches", inputs=rank or 0, outputs=width))
        else:
            embedding = Embedding(
                tables=(Table(name="token", rows=vocabulary, columns=rank or width),),
                projection=None if rank is None else Linear(name="up", inputs=rank, outputs=width),
            )
            head = (Linear(name="output", inputs=width, outputs=vocabulary, tied=self.tied),)
            if rank is not None and self.tied:
                # A tied head goes down to the narrow table through the same projection.
                down = Linear(name="down", inputs=width, outputs=rank, tied=True)
                head = (down, Linear(name="output", inputs=rank, outputs=vocabulary, tied=True))
        return Shape(
            family="planned",
            counted_as="planned",
            width=width,
            embedding=embedding,
            stacks=(Stack(name="decoder", layers=(layer,), norm=width),),
            head=head,
            vocabulary=vocabulary,
        )
