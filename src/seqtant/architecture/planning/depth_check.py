"""Checks the depth of an existing network against the law, and where the law says nothing."""

from __future__ import annotations

from dataclasses import dataclass

from seqtant.architecture import theory
from seqtant.architecture.counting.accounting import Parameters
from seqtant.architecture.counting.bottlenecks import input_rank
from seqtant.architecture.families.shape import Shape
from seqtant.architecture.planning.planner import Band, ShapeFamily, depth_band
from seqtant.findings import Verdict


@dataclass(frozen=True, kw_only=True)
class DepthCheck:
    """What the depth law says about a shape."""

    size: int
    """Non-embedding parameters, the N of the law."""
    depth: int
    """Layers that a token passes through."""
    layer_cost: float
    """Parameters of a layer over the square of the width; 12 in the networks behind the law."""
    not_applicable: str = ""
    """Why the law says nothing here; empty where it speaks."""
    best: theory.DepthRange | None = None
    """The law's optimum; None where it says nothing."""
    band: Band | None = None
    """The advised depths; None where it says nothing."""
    outside: str = ""
    """How the shape lies outside what the law was fitted on; empty where it lies inside."""
    untested: str = ""
    """An assumption of the fit that this network breaks without changing what is counted; empty if none."""

    @property
    def place(self) -> str:
        """``shallower than the band``, ``within the band`` or ``deeper than the band``."""
        return self.band.place(self.depth) if self.band else ""

    @property
    def verdict(self) -> Verdict:
        """Agrees within the band, vacuous where the law is silent or far below its range, inconclusive if untested."""
        if self.best is None or self.best.depth < theory.FITTED_DEPTHS[0]:
            return "vacuous"
        if self.untested:
            return "inconclusive"
        return "agrees" if self.place == "within the band" else "disagrees"


def check_depth(shape: Shape, counted: Parameters) -> DepthCheck:
    """Compares a shape with the depth law, with its exact non-embedding parameters as N.

    Example:
        >>> from seqtant.architecture.counting.accounting import count_parameters
        >>> from seqtant.architecture.families.loading import describe
        >>> gpt2 = describe({"model_type": "gpt2"})
        >>> check = check_depth(gpt2, count_parameters(gpt2))
        >>> check.place, round(check.depth / check.best.depth, 2)
        ('shallower than the band', 0.52)
    """
    size, depth = counted.non_embedding, shape.depth
    # c with N = c L d^2
    cost = size / (depth * shape.width**2)
    reason = ""
    if len(shape.stacks) > 1:
        reason = "it was fitted on single stacks, and this is an encoder with a decoder"
    elif any(layer.feed_forward.experts > 1 for layer in shape.layers):
        reason = "it was fitted on dense networks, and this is a mixture of experts"
    elif any(layer.stored != layer.applied for layer in shape.layers):
        reason = "it was fitted on layers with weights of their own, and here layers share them"
    if reason:
        return DepthCheck(size=size, depth=depth, layer_cost=cost, not_applicable=reason)

    # The exact size is put in for 12 L d^2, whatever the layers are made of.
    best = theory.optimal_depth(size)
    (shallow, deep), (small, large) = theory.FITTED_DEPTHS, theory.FITTED_SIZES
    outside = ""
    if size < small or best.depth < shallow:
        outside = f"extrapolated below the fitted range ({small:g} parameters, {shallow:g} layers)"
    elif size > large or best.depth > deep:
        outside = f"extrapolated above the fitted range ({large:g} parameters, {deep:g} layers)"
    untested = ""
    if shape.vocabulary is None:
        untested = "it was fitted on text, and this network reads images"
    elif any(stack.name == "encoder" for stack in shape.stacks):
        untested = "it was fitted on decoders that predict the next token, and this is an encoder"

    # What a plan of this shape's kind has in common: proportions, heads, rank of the input.
    attention, feed_forward = shape.layers[0].attention[0], shape.layers[0].feed_forward
    rank = input_rank(shape)
    family = ShapeFamily(
        d_ff_ratio=feed_forward.inner / shape.width,
        gated=feed_forward.gated,
        head_dim=attention.head_dim,
        kv_heads=None if attention.kv_heads == attention.heads else attention.kv_heads,
        vocabulary=shape.vocabulary,
        input_rank=rank.rank if rank.kind in ("factorized embedding", "patch dimension") else None,
        tied=shape.is_tied,
        snap=1,
    )
    return DepthCheck(
        size=size,
        depth=depth,
        layer_cost=cost,
        best=best,
        band=depth_band(size, family, best),
        outside=outside,
        untested=untested,
    )
