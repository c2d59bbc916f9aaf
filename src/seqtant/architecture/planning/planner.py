"""Turns a parameter budget into a band of depths and a few whole shapes: the depth law put to use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from seqtant.architecture import theory
from seqtant.architecture.counting.accounting import bytes_of, count_flops, count_parameters
from seqtant.architecture.planning.family import ShapeFamily
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


@dataclass(frozen=True)
class Candidate:
    """One whole shape and its exact counts."""

    depth: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    d_ff: int
    """Feed-forward width, of one expert where there are several."""
    experts: int
    """Routed experts stored in a layer; 1 for dense layers."""
    budgeted: int
    """Parameters of the kind that the budget counts: all or active ones, with or without embeddings."""
    total: int
    """All parameters."""
    active: int
    """Parameters that a token passes through, embedding and head included."""
    non_embedding: int
    """Parameters between embedding and head, norms included."""
    embedding: int
    """Parameters of embedding and head."""
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
        return self.best.depth * self.family.layer_parameters(self.best.width, active=True)

    @property
    def is_extrapolated(self) -> bool:
        """Whether the law is used outside the depths or sizes it was fitted on."""
        (shallow, deep), (small, large) = theory.FITTED_DEPTHS, theory.FITTED_SIZES
        return not (shallow <= self.best.depth <= deep and small <= self.active_size <= large)

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
        InputError: The budget is no finite number above 0, includes embeddings that leave nothing for layers, or no
            shape of the family is within 5 % of it.

    Example:
        >>> plan = make_plan(1e9)
        >>> plan.band.low, plan.band.high
        (34, 46)
        >>> max(abs(each.non_embedding / 1e9 - 1) for each in plan.candidates) <= 0.05
        True
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
    order = sorted(chosen, key=lambda column: (depths[column], -grid["width"][0, column]))
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

    Args:
        plans: One per budget B, of :func:`advise`.
        family: What the shapes have in common.
        count: What the budgets count.
        totals: Budgets of all parameters: where the family leaves its experts open, they fill these.

    Returns:
        ``depth``, ``width``, ``experts``, ``budgeted`` of shape (B, widths); and as a score of that shape the distance
        from the law and the budget, 10 more outside of the band, infinite beyond 5 % of the budget.

    Raises:
        InputError: For some budget no width fits.
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
    for row in np.flatnonzero(~fits.any(axis=1)):
        near = int(miss[row].argmin())
        raise InputError(
            f"no shape near the law is within 5 % of params {plans[row].budget:g}: widths come in steps of "
            f"{step[row, 0]}, and {depth[row, near]:.0f} x {widths[row, near]:.0f} has {found[row, near]:,.0f}; give "
            "another budget, fewer kv_heads, a smaller head_dim or snap, or fewer splits"
        )
    return {"depth": depth, "width": widths, "experts": experts, "budgeted": found}, score


def count_shapes(family: ShapeFamily, sizes: Mapping[str, Any], context: int, cache_dtype: str) -> dict[str, Any]:
    """Counts many shapes of :func:`fit_shapes` exactly at once: a column per field of :class:`Candidate`."""
    whole = {name: each.astype(int) for name, each in sizes.items()}
    shape = family.shape(whole["depth"], whole["width"], whole["experts"])
    counted, attention = count_parameters(shape), shape.layers[0].attention[0]
    # FLOPs of a whole context outgrow whole numbers of 64 bits.
    floats = (sizes[name] for name in ("depth", "width", "experts"))
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
        "flops_per_token": count_flops(
            family.shape(sizes["depth"], sizes["width"], sizes["experts"]), context
        ).per_token,
        "cache_bytes_per_token": 2 * attention.kv_inner * whole["depth"] * bytes_of(cache_dtype),
    }
    return {name: np.broadcast_to(values, whole["depth"].shape) for name, values in columns.items()}
