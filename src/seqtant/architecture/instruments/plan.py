"""Plans a shape: the depth law's band for a budget, whole candidates with exact counts, and what other rules say."""

from __future__ import annotations

import math

from seqtant.architecture.config import PlanConfig
from seqtant.architecture.planning.planner import MODALITIES, Plan, ShapeFamily, make_plan, resolution
from seqtant.architecture.planning.rules_of_thumb import BUILT, LAW, RULES, vocabulary_parameters
from seqtant.architecture.theory import FITTED_DEPTHS, FITTED_SIZES, optimal_depth
from seqtant.boundary import size_text
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(PlanConfig)
def plan(config: PlanConfig, context: Context) -> Result:
    """Plans a network's shape for a parameter budget: the depth law's band, whole candidates, what other rules say.

    The law's center solves N = 12 L d^2 on the fitted line ln d = a + b L, or the family's own count of parameters in
    place of 12 L d^2. The band is 95 % of the fit's error, cut where the rank of the input keeps width from paying.

    Returns:
        Optimal depth and width with the band; tables of candidate shapes, their exact costs, and the rules of practice.

    Raises:
        InputError: The budget makes no network, e.g. because the embeddings alone exceed it.

    Example:
        >>> from seqtant import architecture
        >>> result = architecture.plan(params="1.3B")
        >>> result.values["depth_low"], result.values["depth_high"]
        (36, 48)
    """
    title = f"Shapes for {size_text(config.params)} parameters"
    with Recorder("architecture.plan", title, config, context, papers=(7, 8)) as record:
        found = plan_of(config)
        best = found.best
        for name, number in {
            "optimal_depth": best.depth,
            "optimal_width": best.width,
            "depth_error": best.error,
            "depth_low": found.band.low,
            "depth_high": found.band.high,
            "parameters": found.size,
            "aspect_ratio": best.width / best.depth,
            "effective_width": found.effective_width,
            "rank_limited": int(found.effective_width < best.width),
            "extrapolated": int(found.is_extrapolated),
        }.items():
            record.value(name, number)
        _record_depth_and_rank(record, found)
        if config.modality in (None, "text"):
            _record_vocabulary(record, found, is_chosen=config.vocab is not None)
        rows = rules(found)
        overlapping = [str(row[0]) for row in rows[1:] if row[5] == "overlaps"]
        record.finding(
            "practice",
            "Do other rules agree with the band?",
            "inconclusive",
            f"{len(overlapping)} of {len(rows) - 1} rules that name a depth at this size overlap the band"
            + (": " + ", ".join(overlapping) if overlapping else "")
            + ". They contradict each other as well.",
            advice="Where rules differ, the loss between the shapes is small; speed and memory may decide.",
        )
        law, band = found.best.depth, found.band
        record.table(
            "candidates",
            "Whole shapes in and around the band",
            ("depth", "width", "heads", "d_ff", "depth / law", "place"),
            [
                (each.depth, each.width, each.heads, each.d_ff, round(each.depth / law, 2), band.place(each.depth))
                for each in found.candidates
            ],
        )
        keys = ("depth", "width", "non_embedding", "embedding", "flops_per_token", "cache_bytes_per_token")
        record.table(
            "costs",
            "What they cost, counted exactly",
            ("depth", "width", "non-embedding", "embedding", "FLOPs / token", "cache bytes / token"),
            [tuple(getattr(each, key) for key in keys) for each in found.candidates],
            note=f"Forward FLOPs of the matrix products with square attention over {config.context} tokens; "
            f"cache in {config.cache_dtype}; root-mean-square norms, rotary positions, no biases, "
            f"{'tied' if found.family.tied else 'untied'} head.",
        )
        record.table(
            "rules",
            "What others advise for this budget",
            ("rule", "depth from", "depth to", "width from", "width to", "against the band", "source"),
            rows,
            note="Only rules made for sizes like this one. Unverified: recalled, never a published truth. "
            "The page says what each rule says, and where.",
        )
        _record_curve(record, found)
    return record.result


def plan_of(config: PlanConfig) -> Plan:
    """Makes the plan that a configuration asks for, with the modality's vocabulary and rank where none is given."""
    kind = MODALITIES[config.modality or "text"]
    family = ShapeFamily(
        d_ff_ratio=config.d_ff_ratio or (8 / 3 if config.glu else 4.0),
        gated=config.glu,
        head_dim=config.head_dim,
        kv_heads=config.kv_heads,
        vocabulary=kind.vocabulary if config.vocab is None else config.vocab,
        input_rank=kind.rank if config.embed_rank is None else config.embed_rank,
        tied=config.tied,
        snap=config.snap,
    )
    return make_plan(config.params, family, count=config.count, context=config.context, cache_dtype=config.cache_dtype)


def _record_curve(record: Recorder, plan: Plan) -> None:
    """Records the figure's curve, the law with its band over sizes, and the published networks beside it."""
    first, last = math.log10(min(plan.size, 1e6)), math.log10(max(plan.size, 2e12))
    for size in (10 ** (first + (last - first) * step / 80) for step in range(81)):
        law = optimal_depth(size)
        margin = law.margin + resolution(law.depth)
        record.measure("law_depth", law.depth, unit="layers", step=size)
        record.measure("law_depth_low", max(0.0, law.depth - margin), unit="layers", step=size)
        record.measure("law_depth_high", law.depth + margin, unit="layers", step=size)
    for name, (depth, width) in BUILT.items():
        record.measure("built_depth", depth, unit="layers", step=12 * depth * width**2, group=name)
        record.measure("built_width", width, step=12 * depth * width**2, group=name)


def _record_depth_and_rank(record: Recorder, plan: Plan) -> None:
    best, band = plan.best, plan.band
    (shallow, deep), (small, large) = FITTED_DEPTHS, FITTED_SIZES
    inside = not plan.is_extrapolated
    counted = "12 d^2, by Lambert's function" if plan.family.is_standard else "the family's own count, solved for depth"
    record.finding(
        "depth",
        f"How deep should a network of {size_text(plan.size)} non-embedding parameters be?",
        "inconclusive",
        f"{band.low} to {band.high} layers ({band.reason}); the law's center is {best.depth:.1f} layers of width "
        f"{best.width:.0f}. Nothing was trained here.",
        predicted=Estimate(
            value=best.depth, low=best.low, high=best.high, method="delta method on the fit's covariance", unit="layers"
        ),
        assumptions=(
            Assumption(
                statement=f"Depth {shallow:g} to {deep:g} and size {small:g} to {large:g}, where the law was fitted",
                status="holds" if inside else "fails",
                how=f"depth {best.depth:.1f}, size {size_text(plan.size)}",
            ),
            Assumption(
                statement="A dense decoder whose layers are alike", status="holds", how=f"layers counted as {counted}"
            ),
            Assumption(
                statement="Text like that of the fit, trained until size is what limits it", how="nothing is trained"
            ),
        ),
        advice=(
            "Take any depth in the band: neighboring shapes differ little in loss. "
            if band.cap == "width not limited"
            else "Err on the deep side of the band: the rank of the input keeps further width from paying. "
        )
        + "`seqtant architecture sweep` and `fit` find the law of your own data.",
    )
    if not inside:
        side = "below" if plan.size < small or best.depth < shallow else "above"
        record.warn(
            f"extrapolated {side} the fitted range (depth {shallow:g} to {deep:g}, {small:g} to {large:g} parameters)"
            + (": a depth below 6 means nothing here" if best.depth < shallow else "")
        )
    limit = plan.family.rank_limit
    limited = limit < best.width
    record.finding(
        "rank",
        "Does the rank of the input limit what width can give?",
        "disagrees" if limited else "vacuous",
        f"Yes: the input's rank is at most {limit:g}, below the law's width {best.width:.0f}; width beyond it adds "
        "parameters but no separation rank."
        if limited
        else f"No: the input's rank is not below the law's width {best.width:.0f}.",
        predicted=Estimate.exact(plan.effective_width, unit="effective width"),
        measured=Estimate(
            value=best.width,
            low=plan.width_at(best.high),
            high=plan.width_at(max(best.low, 0.5 * best.depth)),
            method="delta method on the fit's covariance",
            unit="width of the law",
        ),
        assumptions=(
            Assumption(statement="Positions add no rank at the input (rotary or within the span)", how="not asked for"),
            Assumption(
                statement="The rank of the input is min(vocabulary, factorized rank, width)",
                status="holds",
                how="counted",
            ),
        ),
        advice="Spend further parameters on depth, or raise the rank of the input." if limited else "",
    )


def _record_vocabulary(record: Recorder, plan: Plan, *, is_chosen: bool) -> None:
    """Compares the planned vocabulary with Tao et al.'s rule for its size."""
    vocabulary = plan.family.vocabulary or 0
    low, high = sorted(vocabulary_parameters(plan.size, approach) / plan.best.width for approach in (1, 2))
    record.value("vocabulary_low", low)
    record.value("vocabulary_high", high)
    # Within a factor of two of the rule's two answers.
    near = low / 2 <= vocabulary <= 2 * high
    record.finding(
        "vocabulary",
        "Is the vocabulary of the size that this network wants?",
        ("agrees" if near else "disagrees") if is_chosen else "inconclusive",
        f"{vocabulary} tokens are {'planned' if is_chosen else 'assumed'}; "
        f"Tao et al. 2024 ask for {low:,.0f} to {high:,.0f}.",
        predicted=Estimate(value=(low + high) / 2, low=low, high=high, method="two approaches", unit="tokens"),
        measured=Estimate.exact(vocabulary, unit="tokens"),
        assumptions=(Assumption(statement="Subword text", status="holds", how="modality"),),
        advice="" if near else f"Consider a vocabulary of about {(low + high) / 2:,.0f}.",
    )


def rules(plan: Plan) -> list[tuple[Cell, ...]]:
    """Tabulates every rule that names a depth at this plan's size, the law first."""
    rows: list[tuple[Cell, ...]] = []
    for rule in (LAW, *RULES):
        depths = rule.depths(plan)
        if depths is None:
            continue
        low, high = depths
        # Half a layer of tolerance: depths are whole, rules are not.
        against = "overlaps"
        if rule is LAW:
            against = "is the band"
        elif high < plan.band.low - 0.5:
            against = "shallower"
        elif low > plan.band.high + 0.5:
            against = "deeper"
        asked = (plan.band.low, plan.band.high) if rule is LAW else (round(low, 1), round(high, 1))
        # The deepest network is the narrowest.
        widths = (round(plan.width_at(high)), round(plan.width_at(low)))
        rows.append((rule.name, *asked, *widths, against, rule.strength))
    return rows
