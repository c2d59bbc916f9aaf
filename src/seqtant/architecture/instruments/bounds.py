"""Bounds the separation rank of one shape: both theorems, the bound behind them, the exact forms, and the regime."""

from __future__ import annotations

import math

from seqtant.architecture.config import BoundsConfig
from seqtant.architecture.separation import closed_forms
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


def bounds_of(depth: int, width: int, heads: int) -> dict[str, float]:
    """Computes all bounds for an (effective) width, as logarithms to base 3; the best of them come first.

    Example:
        >>> known = bounds_of(6, 768, 12)
        >>> known["lower"] < known["two_token"] < known["upper"]
        True
    """
    theorem1 = closed_forms.theorem1_lower(depth, width, heads), closed_forms.theorem1_upper(depth, width, heads)
    theorem2 = closed_forms.theorem2_lower(depth, width, heads), closed_forms.theorem2_upper(depth, width)
    multiset = closed_forms.multiset_lower(depth, width, heads)
    efficient = depth < closed_forms.transition_depth(width)
    return {
        "lower": max(0.0, (theorem1 if efficient else theorem2)[0], multiset),
        # Theorem 1's upper side is proved at any depth; Theorem 2's may be tighter above the transition.
        "upper": theorem1[1] if efficient else max(0.0, min(theorem1[1], theorem2[1])),
        # Exact, one vector per half.
        "two_token": closed_forms.log3_two_token_rank(depth, width),
        # An upper bound, exact for one head, with as many vectors per half as the effective width.
        "many_token": closed_forms.log3_many_token_rank(depth, width),
        "multiset_lower": multiset,
        "theorem1_lower": theorem1[0],
        "theorem1_upper": theorem1[1],
        "theorem2_lower": theorem2[0],
        "theorem2_upper": theorem2[1],
    }


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
        found, efficient = bounds_of(config.depth, width, config.heads), config.depth < transition
        known = {name: number if math.isfinite(number) else None for name, number in found.items()}
        for name, number in known.items():
            record.value(f"{name}_log3", number)
        record.value("transition_depth", transition)
        record.value("effective_width", width)
        record.value("depth_efficient", int(efficient))
        _record_findings(record, config, found, transition, width)
        stated = "stated; recalled, not read"
        proved = "proved above; equality measured for one head"
        rows: list[tuple[Cell, ...]] = [
            (
                "Theorem 1 (depth below the transition)",
                known["theorem1_lower"],
                known["theorem1_upper"],
                efficient,
                stated,
            ),
            (
                "Theorem 2 (depth above the transition)",
                known["theorem2_lower"],
                known["theorem2_upper"],
                not efficient,
                stated,
            ),
            (
                "multiset count, lower",
                known["multiset_lower"],
                None,
                known["multiset_lower"] is not None,
                "behind both lower sides",
            ),
            ("one vector per half", *[known["two_token"]] * 2, True, "proved above, equality measured"),
            ("many vectors per half", None, known["many_token"], True, proved),
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
                record.measure(key, at[key], unit="log3", step=depth)
    return record.result


def _record_findings(
    record: Recorder, config: BoundsConfig, known: dict[str, float], transition: float, width: int
) -> None:
    regime = "depth-efficient" if config.depth < transition else "depth-inefficient"
    lower, two_token, upper = known["lower"], known["two_token"], known["upper"]
    # Closed forms in float64 may lie beyond a bound that they meet exactly.
    inside = lower <= two_token * (1 + 1e-9) and two_token <= upper * (1 + 1e-9)
    record.finding(
        "bounds",
        "Does the exact value with one vector per half lie between the theorems' bounds?",
        ("agrees" if inside else "disagrees") if lower > 0 else "vacuous",
        f"{regime}: {config.depth} layers against a transition at log_3({width}) = {transition:.2f}. "
        f"log3 of the rank is {two_token:.4g}, bounds {lower:.4g} to {upper:.4g}"
        + ("." if lower > 0 else "; the lower bounds say nothing here."),
        predicted=Estimate(value=two_token, low=lower, high=upper, method="bounds of the theorems"),
        measured=Estimate.exact(two_token, unit="log3", method="closed form, one vector per half"),
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
    if config.depth >= transition and known["many_token"] > upper:
        record.warn(
            "with many vectors per half the closed form exceeds the upper side of Theorem 2: "
            "do not rely on that constant beyond one vector per half"
        )
