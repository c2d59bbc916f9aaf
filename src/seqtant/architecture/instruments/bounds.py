"""Bounds the separation rank of one shape: both theorems, the bound behind them, the exact forms, and the regime."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqtant.architecture.config import BoundsConfig
from seqtant.architecture.separation import closed_forms
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.runs.verb import verb


@dataclass(frozen=True)
class Bounds:
    """All that is known about the separation rank of one shape, as logarithms to base 3."""

    theorem1: tuple[float, float]
    """Lower and upper side of Theorem 1, below the transition."""
    theorem2: tuple[float, float]
    """Lower and upper side of Theorem 2, above the transition."""
    multiset: float
    """The lower bound behind both, valid at any depth of at least 2."""
    two_token: float
    """Exact, one vector per half."""
    many_token: float
    """Upper bound, exact for one head, with as many vectors per half as the effective width."""
    is_efficient: bool
    """Whether the depth is below the transition, where Theorem 1 speaks."""

    @property
    def lower(self) -> float:
        """Best valid lower bound; 0 where none says anything."""
        theorem = self.theorem1[0] if self.is_efficient else self.theorem2[0]
        return max(0.0, theorem, self.multiset)

    @property
    def upper(self) -> float:
        """Best valid upper bound as stated by the theorems."""
        # Theorem 1's upper side is proved at any depth; Theorem 2's may be tighter above the transition.
        proved = self.theorem1[1]
        return proved if self.is_efficient else max(0.0, min(proved, self.theorem2[1]))


def bounds_of(depth: int, width: int, heads: int) -> Bounds:
    """Computes all bounds for an (effective) width.

    Example:
        >>> known = bounds_of(6, 768, 12)
        >>> known.is_efficient, known.lower < known.two_token < known.upper
        (True, True)
    """
    return Bounds(
        theorem1=(closed_forms.theorem1_lower(depth, width, heads), closed_forms.theorem1_upper(depth, width, heads)),
        theorem2=(closed_forms.theorem2_lower(depth, width, heads), closed_forms.theorem2_upper(depth, width)),
        multiset=closed_forms.multiset_lower(depth, width, heads),
        two_token=closed_forms.log3_two_token_rank(depth, width),
        many_token=closed_forms.log3_many_token_rank(depth, width),
        is_efficient=depth < closed_forms.transition_depth(width),
    )


@verb(BoundsConfig)
def bounds(config: BoundsConfig, context: Context) -> Result:
    """Bounds the separation rank of an attention network: both theorems, the exact two-token value, the regime.

    All are logarithms to base 3. Below the transition at log_3(width) layers every layer triples the logarithm; above
    it depth and width add alike. The input's rank stands in for the width where it is smaller.

    Returns:
        Lower and upper bounds, the exact forms for one and for many vectors per half, the transition depth.

    Raises:
        InputError: The heads do not divide the width, or a number lies outside its range.

    Example:
        >>> from seqtant import architecture
        >>> result = architecture.bounds(depth=6, width=768, heads=12)
        >>> round(result.values["transition_depth"], 2), result.values["depth_efficient"]
        (6.05, 1)
    """
    width = config.width if config.embed_rank is None else min(config.width, config.embed_rank)
    transition = closed_forms.transition_depth(width)
    title = f"Separation rank of {config.depth} layers of width {config.width}, {config.heads} heads"
    with Recorder("architecture.bounds", title, config, context, papers=(7, 8)) as record:
        known = bounds_of(config.depth, width, config.heads)
        for name, number in {
            "lower_log3": known.lower,
            "upper_log3": known.upper,
            "two_token_log3": known.two_token,
            "many_token_log3": known.many_token,
            "multiset_lower_log3": known.multiset,
            "theorem1_lower_log3": known.theorem1[0],
            "theorem1_upper_log3": known.theorem1[1],
            "theorem2_lower_log3": known.theorem2[0],
            "theorem2_upper_log3": known.theorem2[1],
            "transition_depth": transition,
            "effective_width": width,
            "depth_efficient": int(known.is_efficient),
        }.items():
            record.value(name, _finite(number))
        _record_findings(record, config, known, transition, width)
        stated = "stated; recalled, not read"
        proved = "proved above; equality measured for one head"
        rows: list[tuple[Cell, ...]] = [
            ("Theorem 1 (depth below the transition)", *map(_finite, known.theorem1), known.is_efficient, stated),
            ("Theorem 2 (depth above the transition)", *map(_finite, known.theorem2), not known.is_efficient, stated),
            (
                "multiset count, lower",
                _finite(known.multiset),
                None,
                math.isfinite(known.multiset),
                "behind both lower sides",
            ),
            ("one vector per half", *[_finite(known.two_token)] * 2, True, "proved above, equality measured"),
            ("many vectors per half", None, _finite(known.many_token), True, proved),
        ]
        record.table(
            "bounds",
            "Logarithms of the separation rank to base 3",
            ("bound", "lower", "upper", "applies", "status"),
            rows,
            f"Transition at depth {transition:.2f}; negative bounds say nothing.",
        )
        # The curves of the figure: from one layer to twice the transition and a little beyond the depth asked for.
        last = max(config.depth + 2, 2 * math.ceil(transition) + 2, 6)
        for depth in sorted({*range(1, last + 1, max(1, last // 40)), config.depth}):
            at = bounds_of(depth, width, config.heads)
            for key in ("lower", "upper", "two_token", "many_token"):
                record.measure(key, getattr(at, key), unit="log3", step=depth)
    return record.result


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _record_findings(record: Recorder, config: BoundsConfig, known: Bounds, transition: float, width: int) -> None:
    regime = "depth-efficient" if known.is_efficient else "depth-inefficient"
    # Closed forms in float64 may lie beyond a bound that they meet exactly.
    inside = known.lower <= known.two_token * (1 + 1e-9) and known.two_token <= known.upper * (1 + 1e-9)
    record.finding(
        "bounds",
        "Does the exact value with one vector per half lie between the theorems' bounds?",
        ("agrees" if inside else "disagrees") if known.lower > 0 else "vacuous",
        f"{regime}: {config.depth} layers against a transition at log_3({width}) = {transition:.2f}. "
        f"log3 of the rank is {known.two_token:.4g}, bounds {known.lower:.4g} to {known.upper:.4g}"
        + ("." if known.lower > 0 else "; the lower bounds say nothing here."),
        predicted=Estimate(value=known.two_token, low=known.lower, high=known.upper, method="bounds of the theorems"),
        measured=Estimate.exact(known.two_token, unit="log3", method="closed form, one vector per half"),
        assumptions=(
            Assumption(
                statement="No softmax, normalization or feed-forward layers",
                status="fails",
                how="real networks have them",
            ),
            Assumption(statement="Generic weights (all but a set of measure zero)", how="not a property of the shape"),
            Assumption(
                statement="The theorems' constants, recalled from memory",
                how="consistent with the exact forms; not read",
            ),
        ),
        advice="The theory gives the shape of the law (exponential in depth), not its numbers: "
        "use `seqtant architecture plan` for advice.",
    )
    if config.width % 2 == 0 and config.embed_rank is not None and config.embed_rank < config.width:
        record.warn(f"the input's rank {config.embed_rank} stands in for the width {config.width} in every bound")
    if not known.is_efficient and known.many_token > known.upper:
        record.warn(
            "with many vectors per half the closed form exceeds the upper side of Theorem 2: "
            "do not rely on that constant beyond one vector per half"
        )
