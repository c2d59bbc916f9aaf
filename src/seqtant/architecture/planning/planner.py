"""Turns a parameter budget into a band of depths and a few whole shapes: the depth law put to use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from seqtant.architecture import theory
from seqtant.architecture.counting.accounting import bytes_of, count_flops, count_parameters
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
    head_dim: int | None = None
    """Width of one head; None for 64, and from width 2048 on 128 where that makes whole groups."""
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
    def is_standard(self) -> bool:
        """Whether a layer has the 12 d^2 parameters of the networks behind the law."""
        return self.experts == 1 and self.kv_heads is None and math.isclose(self.layer_parameters(1.0), 12.0)

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
        router = width * (self.experts or 0) if self.experts != 1 else 0.0
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

        Sizes may be arrays of whole numbers, for many shapes at once: all counts are arrays then.
        """
        head_dim, step = self.head_size(width), self.width_step(width)
        heads = width // head_dim
        inner = step * np.maximum(1, np.rint(self.d_ff_ratio * width / self.granularity / step)).astype(int)
        kv_heads, norm = self.kv_heads or heads, 2 * head_dim * self.qk_norm
        attention = Attention(width=width, heads=heads, kv_heads=kv_heads, head_dim=head_dim, norm=norm)
        stored = self.experts or self.active_experts if experts is None else experts
        copies = {"experts": stored, "active": self.active_experts, "shared": self.shared_experts}
        feed_forward = FeedForward(width=width, inner=inner, gated=self.gated, **copies)
        layer = Layer(attention=(attention,), feed_forward=feed_forward, norm=2 * width, stored=depth, applied=depth)
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


TOLERANCE = 0.05
"""How far the exact count of a shape may lie from its budget, as a share of it."""
Counted = Literal["non-embedding", "total"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One whole shape and its exact counts: ``d_ff`` and ``experts`` of one layer, ``active`` of one token."""

    depth: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    d_ff: int
    experts: int
    budgeted: int
    """Of the kind that the budget counts: all or active ones, with or without embeddings."""
    total: int
    active: int
    non_embedding: int
    embedding: int
    flops_per_token: float
    """Forward matrix products at the plan's context, 2 N + 4 L d T: two per parameter used, plus square attention."""
    cache_bytes_per_token: int
    """Key and value bytes that one more token of context takes."""


@dataclass(frozen=True)
class Plan:
    """A budget turned into advice."""

    budget: float
    """The parameters asked for."""
    size: float
    """Non-embedding parameters N, of the kind that the budget counts."""
    family: ShapeFamily
    """What the shapes have in common."""
    best: theory.DepthRange
    """The law's optimum with its error."""
    band: Band
    """The advised depths."""
    candidates: tuple[Candidate, ...] = ()
    """Whole shapes in and around the band, by depth; each within 5 % of the budget."""
    choice: int = 0
    """Which candidate lies nearest to the law, in the band where any does."""

    @property
    def active_size(self) -> float:
        """Non-embedding parameters that a token passes through: the size of a dense network's layers otherwise."""
        of_mixture = self.best.depth * self.family.layer_parameters(self.best.width, active=True)
        return self.size if self.family.experts == 1 else of_mixture

    @property
    def is_extrapolated(self) -> bool:
        """Whether the law is used outside the depths or sizes it was fitted on."""
        (shallow, deep), (small, large) = theory.FITTED_DEPTHS, theory.FITTED_SIZES
        return not (shallow <= self.best.depth <= deep and small <= self.active_size <= large)

    def width_at(self, depth: float) -> float:
        """Real width of the plan's size at another depth."""
        return theory.width_of_family(self.size / depth, self.family.layer_parameters)


def make_plan(
    params: float,
    family: ShapeFamily | None = None,
    *,
    count: Counted = "non-embedding",
    active: float | None = None,
    context: int = 2048,
    cache_dtype: str = "bfloat16",
) -> Plan:
    """Plans shapes for a parameter budget; each candidate's exact count is within 5 % of it.

    Args:
        params: The budget, e.g. 1.3e9.
        family: What the shapes have in common; by default standard layers on 50257 tokens of text.
        count: Whether budgets leave embeddings out, as the depth law does, or include them.
        active: Budget of what a token passes through; the family's experts are then None, and fill ``params``.
        context: Tokens at which attention is counted.
        cache_dtype: Number format of the key-value cache.

    Raises:
        InputError: The budget is no finite number above 0, or no shape is within 5 % of it, e.g. for its embeddings.

    Example:
        >>> plan = make_plan(1e9)
        >>> plan.band.low, plan.band.high
        (34, 46)
    """
    family = family or ShapeFamily()
    plan = advise(active or params, family, count)
    grid, score = fit_shapes([plan], family, count, [params])
    best, low, high, depths = plan.best.depth, plan.band.low, plan.band.high, grid["depth"][0]
    # Around the optimum, at the ends of the band, and half and twice as deep: whatever fits the budget nearest by.
    chosen = {int(score[0].argmin())}
    for depth in (best / 2, low, best, math.sqrt(low * high), high, 2 * best):
        far = np.abs(np.log(depths / max(depth, 1.0))) + np.abs(np.log(grid["budgeted"][0] / plan.budget))
        chosen.add(int(np.where(np.isfinite(score[0]), far, np.inf).argmin()))
    order = sorted(chosen, key=lambda column: depths[column])
    counted = count_shapes(family, {name: each[0, order] for name, each in grid.items()}, context, cache_dtype)
    rows = zip(*(each.tolist() for each in counted.values()), strict=True)
    candidates = tuple(Candidate(**dict(zip(counted, row, strict=True))) for row in rows)
    return replace(plan, candidates=candidates, choice=order.index(int(score[0].argmin())))


def advise(params: float, family: ShapeFamily, count: Counted) -> Plan:
    """Says what the depth law advises for a budget, without candidates."""
    if family.is_standard and count == "non-embedding":
        best, size = theory.optimal_depth(params), params
    else:
        outside = family.embedding_parameters if count == "total" else lambda width: 0.0
        best = theory.optimal_depth_of_family(params, family.layer_parameters, outside=outside)
        size = params if count == "non-embedding" else best.depth * family.layer_parameters(best.width)
    return Plan(params, size, family, best, depth_band(size, family, best))


def fit_shapes(
    plans: Sequence[Plan], family: ShapeFamily, count: Counted, totals: Sequence[float]
) -> tuple[dict[str, Any], Any]:
    """Finds the depth at each width near the law's that fits the budget, in the band where that can be.

    Open experts fill ``totals``. Returns depth, width, experts and count budgeted, each (budgets, widths), and a score:
    distance from law and budget, 10 more outside of the band, infinite beyond 5 % of the budget.
    """
    given = ((p.budget, p.best.depth, p.best.width, p.band.low, p.band.high) for p in plans)
    budget, law, width, low, high = np.array(list(given)).T[:, :, None]
    group = math.lcm(family.kv_heads or 1, family.tensor) * (family.head_dim or 64)
    step = np.where(width < 3072, math.lcm(family.snap or 64, group), math.lcm(family.snap or 128, group))
    # From a third to three times the law's width, so nine times its depth to a ninth. Floats hold these counts exactly.
    widths = step * np.maximum(1.0, np.rint(width * np.geomspace(1 / 3, 3, 301) / step))
    whole = "total" if count == "total" else "non_embedding"
    kind = whole if family.experts else {"total": "active", "non_embedding": "active_non_embedding"}[whole]

    def counted(depth: Any, experts: Any = None, kind: str = kind) -> Any:
        return getattr(count_parameters(family.shape(depth, widths, experts)), kind)

    # Counts grow evenly with depth: two of them give all.
    none, stages = counted(np.zeros_like(widths)), family.pipeline
    layer = counted(np.ones_like(widths)) - none
    depth = stages * np.maximum(1.0, np.rint((budget - none) / layer / stages))
    inside = np.clip(depth, stages * np.ceil(low / stages), stages * np.maximum(1.0, high // stages))
    depth = np.where(np.abs(none + layer * inside - budget) <= TOLERANCE * budget, inside, depth)
    experts, fits = np.full_like(widths, family.experts or family.active_experts), True
    if family.experts is None:
        total = np.array(totals)[:, None]
        few = counted(depth, experts, whole)
        fill = experts + np.maximum(0.0, np.rint((total - few) / (counted(depth, experts + 1, whole) - few)))
        # Experts by eights lie evenly on devices, where the total allows it.
        eights = 8 * np.maximum(np.ceil(experts / 8), np.rint(fill / 8))
        allowed = np.abs(counted(depth, eights, whole) - total) <= TOLERANCE * total
        experts = np.where(allowed, eights, fill)
        fits = np.abs(counted(depth, experts, whole) - total) <= TOLERANCE * total
    found = counted(depth, experts)
    fits &= (np.abs(found - budget) <= TOLERANCE * budget) & (widths % family.width_step(widths) == 0)
    miss = np.abs(np.log(found / budget))
    score = np.where(fits, 10.0 * ((depth < low) | (depth > high)) + np.abs(np.log(depth / law)) + miss, np.inf)
    for row in np.flatnonzero(~fits.any(axis=1)).tolist():
        near = int(miss[row].argmin())
        raise InputError(
            f"no shape near the law is within 5 % of {plans[row].budget:g} parameters: widths come in steps of "
            f"{step[row, 0]}, and {depth[row, near]:.0f} x {widths[row, near]:.0f} has {found[row, near]:,.0f}; change "
            "the budget, kv_heads, head_dim, snap or the splits"
        )
    return {"depth": depth, "width": widths, "experts": experts, "budgeted": found}, score


def count_shapes(family: ShapeFamily, sizes: Mapping[str, Any], context: int, cache_dtype: str) -> dict[str, Any]:
    """Counts many shapes of :func:`fit_shapes` exactly at once: a column per field of :class:`Candidate`."""
    whole = {name: each.astype(int) for name, each in sizes.items()}
    shape = family.shape(whole["depth"], whole["width"], whole["experts"])
    counted, attention = count_parameters(shape), shape.layers[0].attention[0]
    # FLOPs of a whole context outgrow whole numbers of 64 bits, not floats.
    floats = family.shape(sizes["depth"], sizes["width"], sizes["experts"])
    columns = whole | {
        "heads": attention.heads,
        "kv_heads": attention.kv_heads,
        "head_dim": attention.head_dim,
        "d_ff": shape.layers[0].feed_forward.inner,
        "total": counted.total,
        "active": counted.active,
        "non_embedding": counted.non_embedding,
        "embedding": counted.embedding + counted.head,
        # FLOPs of a whole context outgrow whole numbers of 64 bits.
        "flops_per_token": count_flops(floats, context).per_token,
        "cache_bytes_per_token": 2 * attention.kv_inner * whole["depth"] * bytes_of(cache_dtype),
    }
    return {name: np.broadcast_to(values, whole["depth"].shape) for name, values in columns.items()}
