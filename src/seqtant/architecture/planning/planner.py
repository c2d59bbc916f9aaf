"""Turns a parameter budget into a band of depths and a few whole shapes: the depth law put to use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from seqtant.architecture import theory
from seqtant.architecture.counting.accounting import count_cache, count_flops, count_parameters
from seqtant.architecture.families.shape import Attention, Embedding, FeedForward, Layer, Linear, Shape, Stack, Table
from seqtant.errors import InputError


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
    head_dim: int = 64
    """Width of one head."""
    kv_heads: int | None = None
    """Key-value heads; None for as many as heads."""
    vocabulary: int | None = MODALITIES["text"].vocabulary
    """Token ids; None for continuous patches."""
    input_rank: int | None = None
    """Rank of the input embedding below vocabulary and width: factorized tables, patch dimension; None for none."""
    tied: bool = True
    """Whether the output head shares the table."""
    snap: int = 64
    """Widths are whole multiples of this."""

    @property
    def is_standard(self) -> bool:
        """Whether a layer has the 12 d^2 parameters of the networks behind the law."""
        return self.kv_heads is None and math.isclose(self.layer_parameters(1.0), 12.0)

    @property
    def rank_limit(self) -> float:
        """Rank that the input cannot exceed at any width; infinite where nothing limits it."""
        return min((limit for limit in (self.vocabulary, self.input_rank) if limit is not None), default=math.inf)

    def layer_parameters(self, width: float) -> float:
        """Counts the matrix entries of one layer, for a real width; biases and norms left out, as in 12 d^2."""
        # Queries and output d x d each, keys and values d x kv_inner each, two or three feed-forward matrices.
        kv_inner = width if self.kv_heads is None else min(width, float(self.kv_heads * self.head_dim))
        return 2 * width**2 + 2 * width * kv_inner + (3 if self.gated else 2) * self.d_ff_ratio * width**2

    def embedding_parameters(self, width: float) -> float:
        """Counts the parameters of input embedding and output head, for a real width."""
        if self.vocabulary is None:
            return (self.input_rank or 0) * width
        # Factorized tables are V x r and r x d; an untied head is V x d either way.
        table = self.vocabulary * width if self.input_rank is None else self.input_rank * (self.vocabulary + width)
        return table + (0 if self.tied else self.vocabulary * width)

    def head_sizes(self) -> list[int]:
        """Lists head widths from half to twice the one asked for, in steps of 8 where that is a multiple of 8."""
        unit = math.gcd(8, self.head_dim)
        return [size for size in range(unit, 2 * self.head_dim + 1, unit) if 2 * size >= self.head_dim]

    def heads(self, width: int) -> tuple[int, int] | None:
        """Chooses heads and their width: a divisor of the width near the head width asked for; None if there is none.

        Example:
            >>> [ShapeFamily(kv_heads=8).heads(width) for width in (1536, 1664, 1728)]
            [(24, 64), (16, 104), (24, 72)]
        """
        choices = [size for size in self.head_sizes() if width % (size * (self.kv_heads or 1)) == 0]
        best = min(choices, key=lambda size: abs(math.log(size / self.head_dim)), default=None)
        return None if best is None else (width // best, best)

    def nearest_width(self, width: float, side: Literal[-1, 0, 1]) -> int:
        """Rounds to a multiple of the snap that heads can divide: nearest (0), or nearest below (-1) or above (1)."""
        to_whole = {-1: math.floor, 0: round, 1: math.ceil}[side]
        # Widths that are multiples of both the snap and a head (or a group of heads that share keys).
        steps = {math.lcm(self.snap, size * (self.kv_heads or 1)) for size in self.head_sizes()}
        widths = (step * max(1, to_whole(width / step)) for step in steps)
        # Distance as a ratio: half the width and twice the width are equally far.
        return min(widths, key=lambda each: abs(math.log(each / width)))

    def shape(self, depth: int, width: int) -> Shape:
        """Builds a whole shape: root-mean-square norms, rotary positions, no biases."""
        heads, head_dim = self.heads(width) or (1, width)
        d_ff = self.snap * max(1, round(self.d_ff_ratio * width / self.snap))
        layer = Layer(
            attention=(Attention(width=width, heads=heads, kv_heads=self.kv_heads or heads, head_dim=head_dim),),
            feed_forward=FeedForward(width=width, inner=d_ff, gated=self.gated),
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


@dataclass(frozen=True)
class Band:
    """Depths worth considering, and why they end where they end."""

    low: int
    """Shallowest, layers."""
    high: int
    """Deepest, layers."""
    reason: str
    """What set the ends."""
    cap: theory.RankCap
    """What the rank of the input says about the upper end."""

    def place(self, depth: float) -> str:
        """Says where a depth lies."""
        if depth < self.low:
            return "shallower than the band"
        return "deeper than the band" if depth > self.high else "within the band"


def resolution(depth: float) -> float:
    """Half a step of the depths that the law was fitted on (6 layers apart up to 36, then 12).

    The law came from crossings of neighboring depths; which of the two is its L is not known here, so that it cannot
    place an optimum better than this.

    Example:
        >>> resolution(24), resolution(80)
        (3.0, 6.0)
    """
    return 3.0 if depth <= 36.0 else 6.0


def depth_band(size: float, family: ShapeFamily, best: theory.DepthRange) -> Band:
    """Advises depths: the law with its error and resolution; deeper where the rank of the input limits the width."""
    margin = best.margin + resolution(best.depth)
    deepest, cap = theory.rank_limited_depth(size, family.rank_limit, best, family.layer_parameters)
    if cap == "width not limited":
        low, high = max(1, math.ceil(best.depth - margin)), max(1, math.floor(best.depth + margin))
        return Band(low, max(low, high), "95 % of the fit's error and half a step of its depths on each side", cap)
    reason = {
        "width held at the rank": f"from the law to the depth whose width is the input's rank, {family.rank_limit:g}",
        "three times the law": "cut at three times the law's depth: filling the input's rank would be absurdly deep",
    }[cap]
    # Width that the rank cannot fill goes into depth: from the law on, deeper only.
    low = max(1, math.floor(best.depth))
    return Band(low, max(low, math.floor(best.depth + margin), math.floor(deepest)), reason, cap)


@dataclass(frozen=True)
class Candidate:
    """One whole shape and its exact counts."""

    depth: int
    width: int
    heads: int
    d_ff: int
    non_embedding: int
    """Parameters between embedding and head, norms included."""
    embedding: int
    """Parameters of embedding and head."""
    flops_per_token: float
    """Forward matrix products at the plan's context: two per parameter used, plus square attention."""
    cache_bytes_per_token: int
    """Key and value bytes that one more token of context takes."""


@dataclass(frozen=True)
class Plan:
    """A budget turned into advice."""

    size: float
    """Non-embedding parameters N."""
    family: ShapeFamily
    """What the shapes have in common."""
    best: theory.DepthRange
    """The law's optimum with its error."""
    band: Band
    """The advised depths."""
    candidates: tuple[Candidate, ...]
    """Whole shapes in and around the band, by depth."""

    @property
    def is_extrapolated(self) -> bool:
        """Whether the law is used outside the depths or sizes it was fitted on."""
        (shallow, deep), (small, large) = theory.FITTED_DEPTHS, theory.FITTED_SIZES
        return not (shallow <= self.best.depth <= deep and small <= self.size <= large)

    @property
    def effective_width(self) -> float:
        """The width that counts: the law's, or the rank of the input where that is smaller."""
        return min(self.best.width, self.family.rank_limit)

    def width_at(self, depth: float) -> float:
        """Real width of the plan's size at another depth."""
        return theory.width_of_family(self.size / depth, self.family.layer_parameters)


def make_plan(
    params: float,
    family: ShapeFamily | None = None,
    *,
    count: Literal["non-embedding", "total"] = "non-embedding",
    context: int = 2048,
    cache_dtype: str = "bfloat16",
) -> Plan:
    """Plans shapes for a parameter budget.

    Args:
        params: The budget, e.g. 1.3e9.
        family: What the shapes have in common; by default standard layers on 50257 tokens of text.
        count: Whether the budget leaves embeddings out, as the depth law does, or includes them.
        context: Tokens at which attention is counted.
        cache_dtype: Number format of the key-value cache.

    Raises:
        InputError: The budget is no finite number above 0, or includes embeddings that leave nothing for layers.

    Example:
        >>> plan = make_plan(1e9)
        >>> plan.band.low, plan.band.high
        (34, 46)
    """
    family = family or ShapeFamily()
    size = params
    if count == "total":
        # The non-embedding size whose optimum, with its embeddings, has the given total, by halving.
        # Size and its embeddings grow together, so the total has one solution.
        low, high = 0.0, params
        for _ in range(100):
            middle = (low + high) / 2
            if middle + family.embedding_parameters(_law(middle, family).width) > params:
                high = middle
            else:
                low = middle
        if low < 1e3:
            raise InputError(
                f"params is {params:g} in total: the embeddings alone take that much; "
                "give more, a smaller vocab, or --set count=non-embedding"
            )
        size = low
    best = _law(size, family)
    band = depth_band(size, family, best)
    # The width is snapped first, then the depth follows that keeps the size; around the optimum both neighbors.
    shapes: set[tuple[int, int]] = set()
    for depth in {best.depth / 2, float(band.low), best.depth, float(band.high), 2 * best.depth}:
        exact = theory.width_of_family(size / max(depth, 1.0), family.layer_parameters)
        for width in {family.nearest_width(exact, side) for side in ((-1, 1) if depth == best.depth else (0,))}:
            layer = family.shape(1, width).layers[0]
            entries = layer.attention[0].weights + layer.feed_forward.expert_weights
            shapes.add((max(1, round(size / entries)), width))
    candidates: list[Candidate] = []
    for depth, width in sorted(shapes):
        shape = family.shape(depth, width)
        counted, cache = count_parameters(shape), count_cache(shape, context, cache_dtype)
        layer = shape.layers[0]
        candidates.append(
            Candidate(
                depth=depth,
                width=width,
                heads=layer.attention[0].heads,
                d_ff=layer.feed_forward.inner,
                non_embedding=counted.non_embedding,
                embedding=counted.embedding + counted.head,
                flops_per_token=count_flops(shape, context).per_token,
                cache_bytes_per_token=cache.per_token if cache else 0,
            )
        )
    return Plan(size, family, best, band, tuple(candidates))


def _law(size: float, family: ShapeFamily) -> theory.DepthRange:
    """The law's optimum: Lambert's function for layers of 12 d^2 parameters, the family's own count otherwise."""
    if family.is_standard:
        return theory.optimal_depth(size)
    return theory.optimal_depth_of_family(size, family.layer_parameters)
