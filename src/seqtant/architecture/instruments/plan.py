"""Plans a shape: the depth law's band for a budget, whole candidates with exact counts, and what other rules say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from seqtant.architecture.config import PlanConfig
from seqtant.architecture.planning import costs
from seqtant.architecture.planning.family import MODALITIES, ShapeFamily
from seqtant.architecture.planning.planner import Plan, advise, count_shapes, fit_shapes, make_plan, resolution
from seqtant.architecture.planning.rules_of_thumb import BUILT, LAW, RULES, vocabulary_parameters
from seqtant.architecture.theory import FITTED_DEPTHS, FITTED_SIZES, optimal_depth
from seqtant.boundary import size_text
from seqtant.errors import InputError
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(PlanConfig)
def plan(config: PlanConfig, context: Context) -> Result:
    """Plans a network's shape for a parameter budget: the depth law's band, whole shapes, what they cost.

    The law's center solves N = 12 L d^2 on the fitted line ln d = a + b L, or the family's own count of parameters in
    place of 12 L d^2. The band is 95 % of the fit's error, cut where the rank of the input keeps width from paying.
    Every shape is within 5 % of the budget; formulas of what the one nearest to the law costs to train, hold and serve
    are in :mod:`seqtant.architecture.planning.costs`.

    Returns:
        Optimal depth and width with the band, and the chosen shape with its costs; tables of candidate shapes, their
        exact counts, training, memory per device, and the rules of practice.

    Raises:
        InputError: No shape fits the budget, e.g. because the embeddings alone exceed it.

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
        chosen = found.candidates[found.choice]
        columns = dataclasses.asdict(chosen)
        spent = costs_of(columns, config)
        record.values(in_band=int(found.band.low <= chosen.depth <= found.band.high), **columns, **spent)
        _record_depth_and_rank(record, found, is_asked=any((config.modality, config.vocab, config.embed_rank)))
        if config.modality in (None, "text"):
            _record_vocabulary(record, found, is_chosen=config.vocab is not None)
        rows = rules(found)
        overlapping = [str(row[0]) for row in rows[1:] if row[3] == "overlaps"]
        record.finding(
            "practice",
            "Do other rules agree with the band?",
            "inconclusive",
            f"{len(overlapping)} of {len(rows) - 1} rules that name a depth at this size overlap the band"
            + (": " + ", ".join(overlapping) if overlapping else "")
            + ". They contradict each other as well.",
            advice="Where rules differ, the loss between the shapes is small; speed and memory may decide.",
        )
        _record_shapes(record, found, config)
        _record_costs(record, config, columns, spent)
        record.table(
            "rules",
            "Depths that others advise for this budget",
            ("rule", "from", "to", "the band", "source"),
            rows,
            note="Only rules made for sizes like this one. Unverified: recalled, never a published truth. "
            "The page says what each rule says, and where.",
        )
        _record_curve(record, found)
    return record.result


def plan_table(params: Iterable[float | str], **settings: Any) -> dict[str, Any]:
    """Plans a shape for each of many budgets: columns of one number per budget, ready for ``pandas.DataFrame``.

    Each row is the shape nearest to the law within 5 % of its budget, in the band where any is; columns are called
    as the values of :func:`plan`.

    Args:
        params: Parameter budgets, e.g. ``numpy.geomspace(1e8, 1e11, 1000)``.
        settings: The settings of :func:`plan`, the same for all.

    Raises:
        InputError: There is no budget, or no shape fits one; see :func:`plan`.

    Example:
        >>> table = plan_table(["350M", "1.3B"], kv_heads=4)
        >>> table["depth"].tolist(), table["width"].tolist(), table["in_band"].tolist()
        ([36, 47], [1024, 1536], [True, True])
    """
    configs = [PlanConfig(params=each, **settings) for each in params]  # type: ignore[arg-type]
    if not configs:
        raise InputError("params is empty: give at least one budget")
    config, family = configs[0], family_of(configs[0])
    plans = [advise(each.active or each.params, family, each.count) for each in configs]
    grid, score = fit_shapes(plans, family, config.count, [each.params for each in configs])
    rows = np.arange(len(plans)), score.argmin(axis=1)
    sizes = {name: values[rows] for name, values in grid.items()}
    columns = count_shapes(family, sizes, config.context, config.cache_dtype)
    law = [(each.params, p.best.depth, p.band.low, p.band.high) for each, p in zip(configs, plans, strict=True)]
    names = ("params", "optimal_depth", "depth_low", "depth_high")
    advised = dict(zip(names, np.array(law).T, strict=True))
    inside = (advised["depth_low"] <= columns["depth"]) & (columns["depth"] <= advised["depth_high"])
    return advised | {"in_band": inside} | columns | costs_of(columns, config)


def costs_of(shapes: Mapping[str, Any], config: PlanConfig) -> dict[str, Any]:
    """Computes what shapes cost to train, hold and serve, from their counts: a number each, or columns."""
    family, flops, cache = family_of(config), shapes["flops_per_token"], shapes["cache_bytes_per_token"]
    spent = costs.training_cost(flops, shapes["active"], config.tokens, config.mfu * config.device_flops)
    spent["attention_share"] = 4.0 * shapes["depth"] * shapes["width"] * config.context / flops
    spent["cache_bytes"] = 1.0 * cache * config.context
    chosen = family.active_experts + family.shared_experts
    tokens = config.batch * config.context
    spent["activation_bytes"] = costs.activation_bytes(
        shapes, chosen, tokens, config.context, config.tensor, config.recompute
    )
    for zero in range(4):
        states = costs.state_bytes(shapes["total"], zero, config.data, config.tensor, config.pipeline)
        spent[f"state_bytes_zero{zero}"] = sum(states.values())
    if config.base_width:
        base = config.base_width, config.base_depth or shapes["depth"]
        spent |= costs.transfer_multipliers(shapes["width"], shapes["depth"], *base)
    return spent


def family_of(config: PlanConfig) -> ShapeFamily:
    """Reads what all shapes have in common off a configuration, vocabulary and rank of the modality where not given."""
    kind, mixture = MODALITIES[config.modality or "text"], bool(config.experts or config.active)
    active, shared = (config.experts_per_token, config.shared_experts) if mixture else (1, 0)
    same = ("head_dim", "kv_heads", "tied", "snap", "qk_norm", "tensor", "pipeline")
    return ShapeFamily(
        d_ff_ratio=config.d_ff_ratio or (8 / 3 if config.glu else 4.0),
        gated=config.glu,
        vocabulary=kind.vocabulary if config.vocab is None else config.vocab,
        input_rank=kind.rank if config.embed_rank is None else config.embed_rank,
        experts=config.experts if mixture else 1,
        active_experts=active,
        shared_experts=shared,
        granularity=(config.granularity or active + shared) if mixture else 1.0,
        **{name: getattr(config, name) for name in same},
    )


def plan_of(config: PlanConfig) -> Plan:
    """Makes the plan that a configuration asks for."""
    same = {name: getattr(config, name) for name in ("count", "active", "context", "cache_dtype")}
    return make_plan(config.params, family_of(config), **same)


def _record_shapes(record: Recorder, plan: Plan, config: PlanConfig) -> None:
    """Records the candidates with their counts, and says where none lies in the band."""
    band, chosen, mixture = plan.band, plan.candidates[plan.choice], plan.family.is_mixture
    if band.place(chosen.depth) != "within the band":
        record.warn(
            f"no shape within 5 % of the budget has {band.low} to {band.high} layers; {chosen.depth} x {chosen.width} "
            f"comes nearest. Fewer kv_heads, a smaller head_dim or snap, or fewer splits leave more widths"
        )
    sizes = ["depth", "width", "heads", "head_dim", "d_ff", *(["experts"] if mixture else [])]
    rows = [
        (
            *(getattr(each, name) for name in sizes),
            f"{each.budgeted / plan.budget:.1%}",
            round(each.depth / plan.best.depth, 2),
            "chosen" if each is chosen else band.place(each.depth).split()[0],
        )
        for each in plan.candidates
    ]
    headings = (*(name.replace("_dim", " size") for name in sizes), "of budget", "depth / law", "the band")
    record.table("candidates", "Whole shapes in and around the band", headings, rows)
    keys = ["depth", "width", "non_embedding", "embedding", "flops_per_token", "cache_bytes_per_token"]
    keys += ["active"] if mixture else []
    record.table(
        "costs",
        "What they cost, counted exactly",
        tuple(key.replace("_per_", " / ").replace("flops", "FLOPs").replace("_", " ") for key in keys),
        [tuple(getattr(each, key) for key in keys) for each in plan.candidates],
        note=f"FLOPs of a forward pass, 2 N + 4 L d T with square attention over T = {config.context} tokens: as many as "
        f"writing a token there takes; cache in {config.cache_dtype}; root-mean-square norms, rotary positions, no "
        f"biases, {'tied' if plan.family.tied else 'untied'} head.",
    )


def _record_costs(record: Recorder, config: PlanConfig, shape: Mapping[str, Any], spent: Mapping[str, Any]) -> None:
    """Records what the chosen shape takes to train, per device to hold, and what its tuned settings become."""
    name, rows = f"{shape['depth']} x {shape['width']}", []
    for point, ratio in (
        ("as asked", (config.tokens or 0.0) / shape["active"]),
        ("compute-optimal (Hoffmann 2022)", costs.TOKENS_PER_PARAMETER),
        ("over-trained (LLaMA-7B)", costs.OVERTRAINED),
    ):
        flops, rate = shape["flops_per_token"], config.mfu * config.device_flops
        each = costs.training_cost(flops, shape["active"], ratio * shape["active"], rate)
        rows.append((point, each["tokens"], ratio, float(each["training_flops"]), each["device_hours"]))
    record.table(
        "training",
        f"What {name} takes to train",
        ("point", "tokens", "of each parameter", "FLOPs", "device hours"),
        rows[0 if config.tokens else 1 :],
        note=f"6 N D + 12 L d T D, of which the second, square attention, is {spent['attention_share']:.0%}; "
        f"{config.mfu:.0%} of {config.device_flops:.3g} FLOP/s a device. Of experts those of a token count.",
    )
    splits = {"data": config.data, "tensor": config.tensor, "pipeline": config.pipeline}
    held, rows = spent["activation_bytes"], []
    for zero in range(4 if config.data > 1 else 1):
        state = (*costs.state_bytes(shape["total"], zero, *splits.values()).values(), held)
        rows.append((zero, *(round(float(each) / 1e9, 2) for each in (*state, sum(state)))))
    record.table(
        "memory",
        f"Gigabytes (1e9) that {name} takes on each device of {math.prod(splits.values())}",
        ("ZeRO stage", "weights", "gradients", "optimizer", "activations, about", "together"),
        rows,
        note="Mixed-precision Adam, 16 bytes per parameter; splits: "
        + ", ".join(f"{key} {number}" for key, number in splits.items())
        + f". Activations of {config.batch} x {config.context} tokens by Korthikanti et al. 2022, recomputation "
        f"{config.recompute}: an estimate. The cache of one context takes {spent['cache_bytes'] / 1e9:.3g} GB.",
    )
    if config.base_width:
        names = ("learning_rate_hidden", "init_std_hidden", "output_multiplier", "residual_multiplier")
        record.table(
            "multipliers",
            f"What settings tuned at {config.base_depth or shape['depth']} x {config.base_width} are multiplied by",
            ("setting", "times"),
            [(each.replace("_", " "), float(spent[each])) for each in names],
            note="Adam; width by maximal update parametrization (attention scores over the head size), depth by "
            "1 / sqrt(L) branches, shown for blocks of one layer only. Embeddings and norms stay as they are.",
        )


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


def _record_depth_and_rank(record: Recorder, plan: Plan, *, is_asked: bool) -> None:
    """Records what the law says, and what the input's rank does where it limits the width or was asked about."""
    best, band = plan.best, plan.band
    (shallow, deep), (small, large) = FITTED_DEPTHS, FITTED_SIZES
    inside = not plan.is_extrapolated
    mixture, chosen = plan.family.is_mixture, plan.candidates[plan.choice]
    counted = "12 d^2, by Lambert's function" if plan.family.is_standard else "the family's own count, solved for depth"
    record.finding(
        "depth",
        f"How deep should a network of {size_text(plan.size)} non-embedding parameters be?",
        "vacuous" if mixture else "inconclusive",
        (
            "The law was fitted on dense networks and says nothing of mixtures of experts. A dense one as large as "
            f"what a token passes through, {size_text(round(plan.active_size))}, would get "
            if mixture
            else ""
        )
        + f"{band.low} to {band.high} layers ({band.reason}); the law's center is {best.depth:.1f} layers of width "
        f"{best.width:.0f}; nearest to it and to the budget is {chosen.depth} x {chosen.width}. Nothing was trained "
        "here.",
        predicted=Estimate(
            value=best.depth, low=best.low, high=best.high, method="delta method on the fit's covariance", unit="layers"
        ),
        assumptions=(
            Assumption(
                statement=f"Depth {shallow:g} to {deep:g} and size {small:g} to {large:g}, where the law was fitted",
                status="holds" if inside else "fails",
                how=f"depth {best.depth:.1f}, size {size_text(round(plan.active_size))}",
            ),
            Assumption(
                statement="A dense decoder whose layers are alike",
                status="fails" if mixture else "holds",
                how="a mixture of experts" if mixture else f"layers counted as {counted}",
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
        side = "below" if plan.active_size < small or best.depth < shallow else "above"
        record.warn(
            f"extrapolated {side} the fitted range (depth {shallow:g} to {deep:g}, {small:g} to {large:g} parameters)"
            + (": a depth below 6 means nothing here" if best.depth < shallow else "")
        )
    limit = plan.family.rank_limit
    limited = limit < best.width
    if not limited and not is_asked:
        return
    record.finding(
        "rank",
        "Does the rank of the input limit what width can give?",
        "disagrees" if limited else "vacuous",
        f"Yes: the input's rank is at most {limit:g}, below the law's width {best.width:.0f}; width beyond it adds "
        "parameters but no separation rank."
        if limited
        else f"No: the input's rank is not below the law's width {best.width:.0f}.",
        predicted=Estimate.exact(plan.effective_width, unit="effective width") if limited else None,
        measured=Estimate(
            value=best.width,
            low=plan.width_at(best.high),
            high=plan.width_at(max(best.low, 0.5 * best.depth)),
            method="delta method on the fit's covariance",
            unit="width of the law",
        )
        if limited
        else None,
        assumptions=(
            Assumption(
                statement="No softmax, normalization or feed-forward layers, as in the theorem behind it",
                status="fails" if limited else "not checked",
                how="real networks have them, and a feed-forward part can use width beyond the rank",
            ),
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
    low, high = sorted(vocabulary_parameters(plan.active_size, approach) / plan.best.width for approach in (1, 2))
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
        measured=Estimate.exact(vocabulary, unit="tokens") if is_chosen else None,
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
        rows.append((rule.name, *asked, against, rule.strength))
    return rows
