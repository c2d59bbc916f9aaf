"""Plans a shape: the depth law's band for a budget, whole candidates with exact counts, and what other rules say."""

from __future__ import annotations

from seqtant.architecture.config import PlanConfig
from seqtant.architecture.planning.planning import Plan, make_plan
from seqtant.architecture.planning.rules_of_thumb import LAW, RULES, vocabulary_parameters
from seqtant.architecture.theory import FITTED_DEPTHS, FITTED_SIZES, width_of_family
from seqtant.boundary import size_text
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


def run(config: PlanConfig, context: Context) -> Result:
    """Plans shapes for a parameter budget."""
    with Recorder(
        "architecture.plan", f"Shapes for {size_text(config.params)} parameters", config, context, papers=(7, 8)
    ) as record:
        plan = make_plan(config)
        _record_values(record, plan)
        _record_depth(record, plan)
        _record_rank(record, plan)
        if config.modality in (None, "text"):
            _record_vocabulary(record, plan, is_chosen=config.vocab is not None)
        rows = rules(plan)
        _record_practice(record, plan, rows)
        _tabulate_candidates(record, plan, config)
        _tabulate_rules(record, rows)
    return record.result


def _record_values(record: Recorder, plan: Plan) -> None:
    best = plan.best
    for name, number in {
        "optimal_depth": best.depth,
        "optimal_width": best.width,
        "depth_error": best.error,
        "depth_low": plan.band.low,
        "depth_high": plan.band.high,
        "parameters": plan.size,
        "aspect_ratio": best.width / best.depth,
        "effective_width": plan.effective_width,
        "rank_limited": int(plan.effective_width < best.width),
        "extrapolated": int(plan.is_extrapolated),
    }.items():
        record.value(name, number)


def _record_depth(record: Recorder, plan: Plan) -> None:
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
            value=best.depth,
            low=best.low,
            high=best.high,
            method="delta method on the fit's covariance",
            unit="layers",
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


def _record_rank(record: Recorder, plan: Plan) -> None:
    limit, best = plan.family.rank_limit, plan.best
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
            low=_width_at(plan, best.high),
            high=_width_at(plan, max(best.low, 0.5 * best.depth)),
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
    """Tao et al.'s rule for the size of a text vocabulary, with the planned one beside it."""
    vocabulary = plan.family.vocabulary or 0
    low, high = sorted(vocabulary_parameters(plan.size, approach) / plan.best.width for approach in (1, 2))
    record.value("vocabulary_low", low)
    record.value("vocabulary_high", high)
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


def _record_practice(record: Recorder, plan: Plan, rows: list[tuple[Cell, ...]]) -> None:
    ranges = rows[1:]
    overlapping = [row for row in ranges if row[5] == "overlaps"]
    record.finding(
        "practice",
        "Do other rules agree with the band?",
        "inconclusive",
        f"{len(overlapping)} of {len(ranges)} rules that name a depth at this size overlap the band"
        + (": " + ", ".join(str(row[0]) for row in overlapping) if overlapping else "")
        + ". They contradict each other as well.",
        advice="Where rules differ, the loss between the shapes is small; speed and memory may decide.",
    )


def rules(plan: Plan) -> list[tuple[Cell, ...]]:
    """One row per rule that names a depth at this plan's size, the law first."""
    ends = (plan.band.low, plan.band.high, *_widths(plan, plan.band.low, plan.band.high))
    rows: list[tuple[Cell, ...]] = [(LAW.name, *ends, "is the band", LAW.strength)]
    for rule in RULES:
        depths = rule.depths(plan)
        if depths is not None:
            low, high = depths
            asked = (round(low, 1), round(high, 1), *_widths(plan, low, high))
            rows.append((rule.name, *asked, _against(plan, low, high), rule.strength))
    return rows


def _against(plan: Plan, low: float, high: float) -> str:
    if high < plan.band.low - 0.5:
        return "shallower"
    return "deeper" if low > plan.band.high + 0.5 else "overlaps"


def _widths(plan: Plan, low: float, high: float) -> tuple[int, int]:
    return round(_width_at(plan, high)), round(_width_at(plan, low))


def _width_at(plan: Plan, depth: float) -> float:
    return width_of_family(plan.size / depth, plan.family.layer_parameters)


def _tabulate_rules(record: Recorder, rows: list[tuple[Cell, ...]]) -> None:
    record.table(
        "rules",
        "What others advise for this budget",
        ("rule", "depth from", "depth to", "width from", "width to", "against the band", "source"),
        rows,
        note="Only rules made for sizes like this one. Unverified: recalled, never a published truth. "
        "The page says what each rule says, and where.",
    )


def _tabulate_candidates(record: Recorder, plan: Plan, config: PlanConfig) -> None:
    record.table(
        "candidates",
        "Whole shapes in and around the band",
        ("depth", "width", "heads", "d_ff", "depth / law", "place"),
        [
            (
                shape.depth,
                shape.width,
                shape.heads,
                shape.d_ff,
                round(shape.depth / plan.best.depth, 2),
                plan.band.place(shape.depth),
            )
            for shape in plan.candidates
        ],
    )
    record.table(
        "costs",
        "What they cost, counted exactly",
        ("depth", "width", "non-embedding", "embedding", "FLOPs / token", "cache bytes / token"),
        [
            (
                shape.depth,
                shape.width,
                shape.non_embedding,
                shape.embedding,
                shape.flops_per_token,
                shape.cache_bytes_per_token,
            )
            for shape in plan.candidates
        ],
        note=f"Forward FLOPs of the matrix products with square attention over {config.context} tokens; "
        f"cache in {config.cache_dtype}; root-mean-square norms, rotary positions, no biases, "
        f"{'tied' if plan.family.tied else 'untied'} head.",
    )
