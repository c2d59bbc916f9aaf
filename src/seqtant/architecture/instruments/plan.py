"""Plans a shape: the depth law's band for a budget, whole candidates with exact counts, and what other rules say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from seqtant.architecture.config import PlanConfig
from seqtant.architecture.planning import costs, planner
from seqtant.architecture.planning.planner import MODALITIES, Plan, ShapeFamily, make_plan, resolution
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
    Every shape is within 5 % of the budget; formulas of costs are in :mod:`seqtant.architecture.planning.costs`.

    Returns:
        Optimal depth and width with the band, and the shape nearest to them with its costs; tables of candidate
        shapes, exact counts, training, memory per device, and the rules of practice.

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
        same = {name: getattr(config, name) for name in ("count", "active", "context", "cache_dtype")}
        found = make_plan(config.params, family_of(config), **same)
        best, band, chosen = found.best, found.band, dataclasses.asdict(found.candidates[found.choice])
        spent = costs_of(chosen, config)
        limit = found.family.rank_limit
        record.values(optimal_depth=best.depth, optimal_width=best.width, depth_error=best.error)
        record.values(depth_low=band.low, depth_high=band.high, aspect_ratio=best.width / best.depth)
        record.values(effective_width=min(best.width, limit), rank_limited=int(limit < best.width))
        record.values(
            parameters=found.size, active_parameters=found.active_size, extrapolated=int(found.is_extrapolated)
        )
        record.values(in_band=int(band.low <= chosen["depth"] <= band.high), **chosen, **spent)
        _record_depth_and_rank(record, found)
        if config.modality in (None, "text"):
            _record_vocabulary(record, found, is_chosen=config.vocab is not None)
        _record_shapes(record, found, config)
        _record_costs(record, config, chosen, spent)
        note = "Only rules made for sizes like this one: they contradict each other, and where they differ, the loss "
        note += "hardly does: speed and memory may decide. Unverified: recalled, never a published truth."
        headings = ("rule", "from", "to", "the band", "source")
        record.table("rules", "Depths that others advise for this budget", headings, rules(found), note)
        _record_curve(record, found)
    return record.result


def plan_table(params: Iterable[float | str], **settings: Any) -> dict[str, Any]:
    """Plans a shape for each of many budgets: the columns of a table, called as the values of :func:`plan`.

    Each row is the shape nearest to the law within 5 % of its budget, in the band where any is.

    Args:
        params: Parameter budgets, e.g. ``numpy.geomspace(1e8, 1e11, 1000)``.
        settings: The settings of :func:`plan`, the same for all.

    Raises:
        InputError: There is no budget, or no shape fits one; see :func:`plan`.

    Example:
        >>> table = plan_table(["350M", "1.3B"], kv_heads=4)
        >>> table["depth"].tolist(), table["width"].tolist(), table["in_band"].tolist()
        ([32, 39], [1024, 1792], [True, True])
    """
    configs = [PlanConfig(params=each, **settings) for each in params]  # type: ignore[arg-type]
    if not configs:
        raise InputError("params is empty: give at least one budget")
    config, family, budgets = configs[0], family_of(configs[0]), [each.params for each in configs]
    plans = [planner.advise(config.active or each, family, config.count) for each in budgets]
    grid, score = planner.fit_shapes(plans, family, config.count, budgets)
    sizes = {name: values[np.arange(len(plans)), score.argmin(axis=1)] for name, values in grid.items()}
    columns = planner.count_shapes(family, sizes, config.context, config.cache_dtype)
    law = np.array([(each.best.depth, each.band.low, each.band.high) for each in plans]).T
    advised = {"params": np.array(budgets), "optimal_depth": law[0], "depth_low": law[1], "depth_high": law[2]}
    advised["in_band"] = (law[1] <= columns["depth"]) & (columns["depth"] <= law[2])
    return advised | columns | costs_of(columns, config)


def costs_of(shapes: Mapping[str, Any], config: PlanConfig) -> dict[str, Any]:
    """Computes what shapes cost to train, hold and serve, from their counts: a number each, or columns."""
    family, flops, context = family_of(config), shapes["flops_per_token"], config.context
    spent = costs.training_cost(flops, shapes["active"], config.tokens, config.mfu * config.device_flops)
    spent["attention_share"] = 4.0 * shapes["depth"] * shapes["width"] * context / flops
    spent["cache_bytes"] = 1.0 * shapes["cache_bytes_per_token"] * context
    chosen, tokens = family.active_experts + family.shared_experts, config.batch * context
    spent["activation_bytes"] = costs.activation_bytes(shapes, chosen, tokens, context, config.tensor, config.recompute)
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


def _record_shapes(record: Recorder, plan: Plan, config: PlanConfig) -> None:
    """Records the candidates with their counts, and says where none lies in the band."""
    band, chosen, mixture = plan.band, plan.candidates[plan.choice], plan.family.experts != 1
    if band.place(chosen.depth) != "within the band":
        told = f"{band.low} to {band.high} layers; {chosen.depth} x {chosen.width} comes nearest. Fewer kv_heads, a "
        told += "smaller head_dim or snap, or fewer splits leave more widths"
        record.warn(f"no shape within 5 % of the budget has {told}")
    sizes = ["depth", "width", "heads", "head_dim", "d_ff", *(["experts"] if mixture else [])]
    rows: list[tuple[Cell, ...]] = []
    for each in plan.candidates:
        place = "chosen" if each is chosen else band.place(each.depth).split()[0]
        shares = f"{each.budgeted / plan.budget:.1%}", round(each.depth / plan.best.depth, 2)
        rows.append((*(getattr(each, name) for name in sizes), *shares, place))
    headings = (*(name.replace("_dim", " size") for name in sizes), "of budget", "depth / law", "the band")
    record.table("candidates", "Whole shapes in and around the band", headings, rows)
    keys = ["depth", "width", "non_embedding", "embedding", "flops_per_token", "cache_bytes_per_token"]
    keys += ["active"] if mixture else []
    names = {"non_embedding": "non-embedding", "flops_per_token": "FLOPs / token"}
    headings = tuple(names.get(key, key.replace("_per_", " / ").replace("_", " ")) for key in keys)
    rows = [tuple(getattr(each, key) for key in keys) for each in plan.candidates]
    note = f"FLOPs of a forward pass, 2 N + 4 L d T with square attention over T = {config.context} tokens, as of "
    note += f"writing a token there; cache in {config.cache_dtype}; root-mean-square norms, rotary positions, no "
    note += f"biases, {'tied' if plan.family.tied else 'untied'} head."
    record.table("costs", "What they cost, counted exactly", headings, rows, note)


def _record_costs(record: Recorder, config: PlanConfig, shape: Mapping[str, Any], spent: Mapping[str, Any]) -> None:
    """Records what the chosen shape takes to train, per device to hold, and what its tuned settings become."""
    name, active = f"{shape['depth']} x {shape['width']}", shape["active"]
    points = {"as asked": (config.tokens or 0.0) / active, "compute-optimal": costs.TOKENS_PER_PARAMETER}
    rows: list[tuple[Cell, ...]] = []
    for point, ratio in (points | {"over-trained (LLaMA-7B)": costs.OVERTRAINED}).items():
        each = costs.training_cost(shape["flops_per_token"], active, ratio * active, config.mfu * config.device_flops)
        if ratio:
            rows.append((point, each["tokens"], ratio, each["training_flops"], each["device_hours"]))
    note = f"6 N D + 12 L d T D, of which the second, square attention, is {spent['attention_share']:.0%}; "
    note += (
        f"{config.mfu:.0%} of {config.device_flops:.3g} FLOP/s a device. Ratios recalled: Hoffmann 2022; Touvron 2023."
    )
    headings = ("point", "tokens", "per parameter", "FLOPs", "device hours")
    record.table("training", f"What {name} takes to train", headings, rows, note)
    splits = {"data": config.data, "tensor": config.tensor, "pipeline": config.pipeline}
    held, rows = spent["activation_bytes"], []
    for zero in range(4 if config.data > 1 else 1):
        state = (*costs.state_bytes(shape["total"], zero, *splits.values()).values(), held)
        rows.append((zero, *(round(each / 1e9, 2) for each in (*state, sum(state)))))
    note = f"Mixed-precision Adam, 16 bytes per parameter; {', '.join(f'{key} {n}' for key, n in splits.items())}. "
    note += f"Activations of {config.batch} x {config.context} tokens: an estimate (Korthikanti et al. 2022), with "
    note += f"{config.recompute} recomputation. The cache of one context takes {spent['cache_bytes'] / 1e9:.3g} GB."
    title = f"Gigabytes (1e9) that {name} takes on each device of {math.prod(splits.values())}"
    headings = ("ZeRO stage", "weights", "gradients", "optimizer", "activations, about", "together")
    record.table("memory", title, headings, rows, note)
    if config.base_width:
        title = f"What settings tuned at {config.base_depth or shape['depth']} x {config.base_width} are multiplied by"
        note = "Adam; width by maximal update parametrization (attention scores over the head size), depth by "
        note += "1 / sqrt(L) branches, shown for blocks of one layer only. Embeddings and norms stay as they are."
        rows = [(key.replace("_", " "), spent[key]) for key in spent if key.endswith(("_hidden", "_multiplier"))]
        record.table("multipliers", title, ("setting", "times"), rows, note)


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
    """Records what the law says, and what the input's rank does to the width."""
    best, band, mixture, chosen = plan.best, plan.band, plan.family.experts != 1, plan.candidates[plan.choice]
    (shallow, deep), (small, large) = FITTED_DEPTHS, FITTED_SIZES
    inside, active = not plan.is_extrapolated, size_text(round(plan.active_size))
    counted = "12 d^2, by Lambert's function" if plan.family.is_standard else "the family's own count, solved for depth"
    method = "delta method on the fit's covariance"
    advice = "Take any depth in the band: neighboring shapes differ little in loss."
    if band.cap != "width not limited":
        advice = "Err on the deep side of the band, if a bound for networks without feed-forward parts persuades you."
    fitted = f"depth {shallow:g} to {deep:g}, {small:g} to {large:g} parameters"
    alike = "a mixture of experts" if mixture else f"layers counted as {counted}"
    here, status = f"depth {best.depth:.1f}, size {active}", "holds" if inside else "fails"
    told = f"{band.low} to {band.high} layers ({band.reason}); the law's center is {best.depth:.1f} layers of width "
    told += f"{best.width:.0f}; the nearest whole shape is {chosen.depth} x {chosen.width}. Nothing was trained here."
    if mixture:
        told = f"as large as what a token passes through, {active}, would get {told}"
        told = f"The law was fitted on dense networks and says nothing of mixtures of experts. A dense one {told}"
    record.finding(
        "depth",
        f"How deep should a network of {size_text(plan.size)} non-embedding parameters be?",
        "vacuous" if mixture else "inconclusive",
        told,
        predicted=Estimate(value=best.depth, low=best.low, high=best.high, method=method, unit="layers"),
        assumptions=(
            Assumption(statement=f"Where the law was fitted: {fitted}", status=status, how=here),
            Assumption(statement="A dense decoder, layers alike", status="fails" if mixture else "holds", how=alike),
            Assumption(statement="Text like that of the fit, trained until size limits it", how="nothing is trained"),
        ),
        advice=f"{advice} `seqtant architecture sweep` and `fit` find the law of your own data.",
    )
    if not inside:
        side = "below" if plan.active_size < small or best.depth < shallow else "above"
        small_one = ": a depth below 6 means nothing here" if best.depth < shallow else ""
        record.warn(f"extrapolated {side} the fitted range ({fitted}){small_one}")
    limit, told = plan.family.rank_limit, f"No: the input's rank is not below the law's width {best.width:.0f}."
    if limited := limit < best.width:
        told = f"Yes: the input's rank is at most {limit:g}, below the law's width {best.width:.0f}; width beyond it "
        told += "adds parameters but no separation rank."
    ends = plan.width_at(best.high), plan.width_at(max(best.low, 0.5 * best.depth))
    theorem = Assumption(statement="No softmax, normalization or feed-forward layers (its theorem)", status="fails")
    positions = Assumption(statement="Positions add no rank at the input", how="if rotary or within its span")
    record.finding(
        "rank",
        "Does the rank of the input limit what width can give?",
        "disagrees" if limited else "vacuous",
        told,
        predicted=Estimate.exact(limit, unit="effective width") if limited else None,
        measured=Estimate(value=best.width, low=ends[0], high=ends[1], method=method, unit="width of the law"),
        assumptions=(theorem, positions) if limited else (),
        advice="Spend further parameters on depth, or raise the rank of the input." if limited else "",
    )


def _record_vocabulary(record: Recorder, plan: Plan, *, is_chosen: bool) -> None:
    """Compares the planned vocabulary with Tao et al.'s rule for its size."""
    vocabulary = plan.family.vocabulary or 0
    low, high = sorted(vocabulary_parameters(plan.active_size, approach) / plan.best.width for approach in (1, 2))
    record.values(vocabulary_low=low, vocabulary_high=high)
    # Within a factor of two of the rule's two answers.
    near, middle = low / 2 <= vocabulary <= 2 * high, (low + high) / 2
    record.finding(
        "vocabulary",
        "Is the vocabulary of the size that this network wants?",
        ("agrees" if near else "disagrees") if is_chosen else "inconclusive",
        f"{vocabulary} tokens are {'planned' if is_chosen else 'assumed'}; "
        f"Tao et al. 2024 ask for {low:,.0f} to {high:,.0f}.",
        predicted=Estimate(value=middle, low=low, high=high, method="two approaches", unit="tokens"),
        measured=Estimate.exact(vocabulary, unit="tokens") if is_chosen else None,
        assumptions=(Assumption(statement="Subword text", status="holds", how="modality"),),
        advice="" if near else f"Consider a vocabulary of about {middle:,.0f}.",
    )


def rules(plan: Plan) -> list[tuple[Cell, ...]]:
    """Tabulates every rule that names a depth at this plan's size, the law first."""
    rows: list[tuple[Cell, ...]] = []
    for rule in (LAW, *RULES):
        if depths := rule.depths(plan):
            low, high = depths
            # Half a layer of tolerance: depths are whole, rules are not.
            ends = plan.band.low - 0.5, plan.band.high + 0.5
            place = "shallower" if high < ends[0] else "deeper" if low > ends[1] else "overlaps"
            place = "is the band" if rule is LAW else place
            rows.append((rule.name, round(low, 1), round(high, 1), place, rule.strength))
    return rows
