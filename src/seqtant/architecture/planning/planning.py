"""From a parameter budget to a band of depths and a few whole shapes: the depth law put to use."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqtant.architecture import theory
from seqtant.architecture.config import PlanConfig
from seqtant.architecture.counting.accounting import count_cache, count_flops, count_parameters
from seqtant.architecture.planning.layer_family import Family
from seqtant.errors import InputError


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
        """Where a depth lies.

        Example:
            >>> Band(10, 12, "", "width not limited").place(9)
            'shallower than the band'
        """
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


def depth_band(size: float, family: Family, best: theory.DepthRange) -> Band:
    """The advised depths: the law with its error and resolution; deeper where the rank of the input limits width."""
    margin = best.margin + resolution(best.depth)
    low, high = max(1, math.ceil(best.depth - margin)), max(1, math.floor(best.depth + margin))
    deepest, cap = theory.rank_limited_depth(size, family.rank_limit, best, family.layer_parameters)
    if cap == "width not limited":
        return Band(low, max(low, high), "95 % of the fit's error and half a step of its depths on each side", cap)
    reason = {
        "width held at the rank": f"from the law to the depth whose width is the input's rank, {family.rank_limit:g}",
        "three times the law": "cut at three times the law's depth: filling the input's rank would be absurdly deep",
    }[cap]
    low = max(1, math.floor(best.depth))
    return Band(low, max(low, high, math.floor(deepest)), reason, cap)


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
    family: Family
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


def make_plan(config: PlanConfig) -> Plan:
    """Plans shapes for a budget.

    Raises:
        InputError: The budget includes the embeddings and they leave nothing for layers.

    Example:
        >>> plan = make_plan(PlanConfig(params=1e9))
        >>> plan.band.low, plan.band.high
        (34, 46)
    """
    family = Family.of(config)
    size = config.params if config.count == "non-embedding" else _without_embeddings(config.params, family)
    best = law_of(size, family)
    band = depth_band(size, family, best)
    shapes = sorted(_whole_shapes(size, family, best, band))
    return Plan(size, family, best, band, tuple(_candidate(family, *shape, config) for shape in shapes))


def law_of(size: float, family: Family) -> theory.DepthRange:
    """The law's optimum: Lambert's function for layers of 12 d^2 parameters, the family's own count otherwise."""
    if family.is_standard:
        return theory.optimal_depth(size)
    return theory.optimal_depth_of_family(size, family.layer_parameters)


def _without_embeddings(total: float, family: Family) -> float:
    """The non-embedding size whose optimum, with its embeddings, has a given total: found by halving."""
    low, high = 0.0, total
    for _ in range(100):
        middle = (low + high) / 2
        if middle + family.input_parameters(law_of(middle, family).width) > total:
            high = middle
        else:
            low = middle
    if low < 1e3:
        raise InputError(
            f"params is {total:g} in total: the embeddings alone take that much; "
            "give more, a smaller vocab, or --set count=non-embedding"
        )
    return low


def _whole_shapes(size: float, family: Family, best: theory.DepthRange, band: Band) -> set[tuple[int, int]]:
    """Depths and whole widths in and around the band: the width snapped, then the depth that keeps the size."""
    targets = {best.depth / 2, float(band.low), best.depth, float(band.high), 2 * best.depth}
    widths = {
        _snapped(family, theory.width_of_family(size / max(depth, 1.0), family.layer_parameters), side)
        for depth in targets
        for side in ((-1, 1) if depth == best.depth else (0,))
    }
    return {(max(1, round(size / _matrix_entries(family, width))), width) for width in widths}


def _snapped(family: Family, width: float, side: int) -> int:
    """A multiple of the snap that heads can divide: the nearest (0), or the nearest below (-1) or above (1)."""
    to_whole = {-1: math.floor, 0: round, 1: math.ceil}[side]
    steps = {math.lcm(family.snap, size * (family.kv_heads or 1)) for size in family.head_sizes()}
    return min((step * max(1, to_whole(width / step)) for step in steps), key=lambda each: abs(math.log(each / width)))


def _matrix_entries(family: Family, width: int) -> int:
    layer = family.layer(width)
    attention = sum(part.query_weights + part.kv_weights for part in layer.attention)
    return attention + layer.feed_forward.expert_weights


def _candidate(family: Family, depth: int, width: int, config: PlanConfig) -> Candidate:
    shape = family.shape(depth, width)
    counted = count_parameters(shape)
    cache = count_cache(shape, config.context, config.cache_dtype)
    return Candidate(
        depth=depth,
        width=width,
        heads=shape.stacks[0].layers[0].attention[0].heads,
        d_ff=family.d_ff(width),
        non_embedding=counted.non_embedding,
        embedding=counted.embedding + counted.head,
        flops_per_token=count_flops(shape, config.context).per_token,
        cache_bytes_per_token=cache.per_token if cache else 0,
    )
