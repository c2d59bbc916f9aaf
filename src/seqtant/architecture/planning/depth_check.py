"""An existing shape against the depth law: where the law speaks about it, its optimum, band and verdict."""

from __future__ import annotations

from dataclasses import dataclass

from seqtant.architecture import theory
from seqtant.architecture.counting.accounting import Parameters
from seqtant.architecture.counting.bottlenecks import input_rank
from seqtant.architecture.families.shape import Shape
from seqtant.architecture.planning.planning import Band, Family, depth_band
from seqtant.findings import Assumption, AssumptionStatus, Estimate, Verdict
from seqtant.runs.recorder import Recorder


@dataclass(frozen=True)
class DepthCheck:
    """What the depth law says about a shape."""

    size: int
    """Non-embedding parameters, the N of the law."""
    depth: int
    """Layers that a token passes through."""
    layer_cost: float
    """Parameters of a layer over the square of the width; 12 in the networks behind the law."""
    silence: str
    """Why the law says nothing here; empty where it speaks."""
    best: theory.DepthRange | None
    """The law's optimum; None where it says nothing."""
    band: Band | None
    """The advised depths; None where it says nothing."""
    outside: str
    """How the shape lies outside what the law was fitted on; empty where it lies inside."""
    untested: str
    """An assumption of the fit that this network breaks without changing what is counted; empty if none."""

    @property
    def ratio(self) -> float | None:
        """Depth over the law's depth."""
        return self.depth / self.best.depth if self.best else None

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
    """Holds a shape against the depth law, with its exact non-embedding parameters as N.

    Example:
        >>> from seqtant.architecture.counting.accounting import count_parameters
        >>> from seqtant.architecture.families.reading import describe
        >>> gpt2 = describe({"model_type": "gpt2"})
        >>> check = check_depth(gpt2, count_parameters(gpt2))
        >>> check.place, round(check.ratio, 2)
        ('shallower than the band', 0.52)
    """
    size = counted.non_embedding
    cost = size / (shape.depth * shape.width**2)
    silence = _silence(shape)
    if silence:
        return DepthCheck(size, shape.depth, cost, silence, None, None, "", "")
    best = theory.optimal_depth(size)
    band = depth_band(size, _family(shape), best)
    return DepthCheck(size, shape.depth, cost, "", best, band, _outside(size, best.depth), _untested(shape))


def _silence(shape: Shape) -> str:
    layers = [layer for stack in shape.stacks for layer in stack.layers]
    if len(shape.stacks) > 1:
        return "it was fitted on single stacks, and this is an encoder with a decoder"
    if any(layer.feed_forward.experts > 1 for layer in layers):
        return "it was fitted on dense networks, and this is a mixture of experts"
    if any(layer.stored != layer.applied for layer in layers):
        return "it was fitted on layers with weights of their own, and here layers share them"
    return ""


def _untested(shape: Shape) -> str:
    if shape.vocabulary is None:
        return "it was fitted on text, and this network reads images"
    if shape.stacks[0].name == "encoder":
        return "it was fitted on decoders that predict the next token, and this is an encoder"
    return ""


def _outside(size: float, depth: float) -> str:
    (shallow, deep), (small, large) = theory.FITTED_DEPTHS, theory.FITTED_SIZES
    if size < small or depth < shallow:
        return f"extrapolated below the fitted range ({small:g} parameters, {shallow:g} layers)"
    if size > large or depth > deep:
        return f"extrapolated above the fitted range ({large:g} parameters, {deep:g} layers)"
    return ""


def _family(shape: Shape) -> Family:
    """What a plan of this shape's kind has in common: proportions, heads, rank of the input."""
    layer = shape.stacks[0].layers[0]
    attention, feed_forward = layer.attention[0], layer.feed_forward
    rank = input_rank(shape)
    return Family(
        d_ff_ratio=feed_forward.inner / shape.width,
        gated=feed_forward.gated,
        head_dim=attention.head_dim,
        kv_heads=None if attention.kv_heads == attention.heads else attention.kv_heads,
        vocabulary=shape.vocabulary,
        input_rank=rank.rank if rank.kind in ("factorized embedding", "patch dimension") else None,
        tied=shape.is_tied,
        snap=1,
    )


def record_depth(record: Recorder, check: DepthCheck) -> None:
    """Records what the law says: values, the finding, a warning where the law is drawn out."""
    best, band = check.best, check.band
    for name, number in {
        "optimal_depth": best.depth if best else None,
        "optimal_width": best.width if best else None,
        "depth_error": best.error if best else None,
        "depth_low": band.low if band else None,
        "depth_high": band.high if band else None,
        "depth_ratio": check.ratio,
        "extrapolated": int(bool(check.outside)) if best else None,
    }.items():
        record.value(name, number)
    question = f"Do {check.depth} layers suit {check.size:,} non-embedding parameters?"
    if best is None or band is None:
        summary = f"The depth law says nothing here: {check.silence}."
        record.finding("depth", question, "vacuous", summary, measured=Estimate.exact(check.depth, unit="layers"))
        return
    if check.outside:
        record.warn(check.outside)
    record.finding(
        "depth",
        question,
        check.verdict,
        _depth_summary(check),
        predicted=Estimate(
            value=best.depth,
            low=best.low,
            high=best.high,
            method="delta method on the fit's covariance",
            unit="layers",
        ),
        measured=Estimate.exact(check.depth, unit="layers"),
        assumptions=_depth_assumptions(check),
        advice=_depth_advice(check),
    )


def _depth_summary(check: DepthCheck) -> str:
    assert check.best is not None
    assert check.band is not None
    where = {
        "shallower than the band": "Too shallow",
        "within the band": "In the band",
        "deeper than the band": "Too deep",
    }[check.place]
    law = f"the law asks for {check.band.low} to {check.band.high} layers, about {check.best.depth:.1f}"
    text = f"{where}: {law}; depth is {check.ratio:.2f} times that."
    if check.verdict == "vacuous":
        return f"The law says nothing this far below its range; drawn out to here it asks for {check.best.depth:.1f}."
    return f"{text} But {check.untested}." if check.untested else text


def _depth_assumptions(check: DepthCheck) -> tuple[Assumption, ...]:
    (shallow, deep), (small, large) = theory.FITTED_DEPTHS, theory.FITTED_SIZES
    within: AssumptionStatus = "fails" if check.outside else "holds"
    alike: AssumptionStatus = "fails" if check.untested else "holds"
    return (
        Assumption(
            statement=f"{shallow:g} to {deep:g} layers and {small:g} to {large:g} parameters, where the law was fitted",
            status=within,
            how=check.outside or "inside",
        ),
        Assumption(statement="A dense decoder of text", status=alike, how=check.untested or "read from config.json"),
        Assumption(
            statement="Layers of 12 d^2 parameters, within a quarter",
            status="holds" if abs(check.layer_cost - 12.0) <= 3.0 else "fails",
            how=f"{check.layer_cost:.1f} d^2; the exact size is put in for N",
        ),
        Assumption(statement="Trained until size is what limits it", how="a configuration does not say"),
    )


def _depth_advice(check: DepthCheck) -> str:
    if check.verdict != "disagrees" or check.best is None:
        return ""
    deeper = check.place == "shallower than the band"
    return (
        f"At equal size, {'more layers of less width' if deeper else 'fewer layers of more width'} "
        f"(about {check.best.depth:.0f} x {check.best.width:.0f}) should do at least as well; neighboring shapes "
        "differ little in loss, and shallow nets run faster."
    )
