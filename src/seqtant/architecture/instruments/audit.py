"""Audits a model's shape: exact parameters, FLOPs and cache, its depth against the law, its bottlenecks."""

from __future__ import annotations

from collections.abc import Mapping

from seqtant.architecture.config import AuditConfig
from seqtant.architecture.counting.accounting import Parameters, count_cache, count_flops, count_parameters
from seqtant.architecture.counting.bottlenecks import (
    Bottleneck,
    Kind,
    find_bottlenecks,
    input_rank,
    redundant_parameters,
    scores_rank,
)
from seqtant.architecture.counting.checkpoint import mismatch, parameters_on_disk, read_headers
from seqtant.architecture.families.loading import ModelFiles, describe, find_model
from seqtant.architecture.families.shape import Shape
from seqtant.architecture.planning.depth_check import DepthCheck, check_depth
from seqtant.architecture.theory import FITTED_DEPTHS, FITTED_SIZES, optimal_depth
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.runs.verb import verb

USUAL_LENGTH = 2048
"""Longest sequence at which attention is counted unless another is asked for."""


@verb(AuditConfig)
def audit(config: AuditConfig, context: Context) -> Result:
    """Audits a model's shape: exact parameters, FLOPs and cache, its depth against the law, its bottlenecks.

    Counts what the class of transformers that the configuration names would build, tensor by tensor, and compares with
    the sizes of the weights where they are at hand. No weights are loaded. The model is a folder, a ``config.json``
    or a hub name; or, in memory, a transformers model or its configuration alone.

    Returns:
        Counts, the law's band of depths, narrow places with the parameters that they leave idle.

    Raises:
        InputError: The model's configuration or weights files cannot be read, or its family is not known.

    Example:
        >>> from seqtant import architecture
        >>> from transformers import GPT2Config
        >>> result = architecture.audit(GPT2Config())
        >>> result.values["parameters"], result.values["depth"]
        (124439808, 12)
    """
    model = find_model(config.model)
    shape = describe(model.config, model.config_path)
    title = f"Shape of {model.name}: {shape.depth} layers of width {shape.width}"
    with Recorder("architecture.audit", title, config, context, papers=(7, 8)) as record:
        length = config.length or shape.fixed_tokens or min(shape.context or USUAL_LENGTH, USUAL_LENGTH)
        counted = count_parameters(shape)
        _record_counts(record, shape, counted, length, config.dtype or shape.dtype)
        depth = check_depth(shape, counted)
        _record_depth(record, depth)
        # Where filling the input's rank would be absurdly deep, the advice to go deeper stops at the band's end.
        cut = depth.band.high if depth.band and depth.band.cap == "three times the law" else None
        _record_bottlenecks(record, shape, find_bottlenecks(shape, deepest=cut))
        if model.weights:
            _record_weights(record, model, shape, counted)
        rank = scores_rank(shape)
        if rank is not None and shape.vocabulary is not None:
            shared = "shares the token table" if shape.is_tied else "has a table of its own"
            record.value("scores_rank", rank)
            record.finding(
                "scores",
                "What rank can the output scores have?",
                "vacuous",
                f"At most {rank} over {shape.vocabulary:,} tokens; the head {shared}. This softmax bottleneck is "
                "another matter: the theory of separation rank says nothing about it.",
                measured=Estimate.exact(rank, unit="rank"),
            )
        for note in shape.notes:
            record.warn(note)
    return record.result


def _record_counts(record: Recorder, shape: Shape, counted: Parameters, length: int, dtype: str) -> None:
    flops, cache = count_flops(shape, length), count_cache(shape, length, dtype)
    for name, number in {
        "parameters": counted.total,
        "embedding_parameters": counted.embedding,
        "head_parameters": counted.head,
        "non_embedding_parameters": counted.non_embedding,
        "active_parameters": counted.active,
        "length": flops.tokens,
        "flops_per_token": flops.per_token,
        "kv_bytes_per_token": cache.per_token if cache else None,
        "kv_bytes_at_length": cache.at_length if cache else None,
        "depth": shape.depth,
        "width": shape.width,
        "vocabulary": shape.vocabulary,
        "tied": int(shape.is_tied),
        "flops_per_token_masked": count_flops(shape, length, pairs="masked").per_token,
    }.items():
        record.value(name, number)
    components = counted.components | {"total": counted.total}
    record.table(
        "parameters",
        f"Parameters, counted as {shape.counted_as}",
        ("component", "parameters", "share"),
        [(name, count, f"{count / counted.total:.1%}") for name, count in components.items()],
        note="Tied and shared weights count once. Embedding and head are no part of the non-embedding size.",
    )
    record.table(
        "flops",
        f"FLOPs of a forward pass over {flops.tokens} tokens",
        ("component", "per token", "share"),
        [(name, count / flops.tokens, f"{count / flops.total:.1%}") for name, count in flops.components.items()],
        note="Two FLOPs per multiply-add of matrix products; attention counts every query against every key, "
        "masked or not; scores for every token.",
    )
    rows: list[tuple[Cell, ...]] = []
    for stack in shape.stacks:
        for layer in stack.layers:
            own, part = layer.attention[0], layer.feed_forward
            shared = "" if layer.stored == layer.applied else f" ({layer.stored} stored)"
            groups = "" if own.kv_heads == own.heads else f", {own.kv_heads} of keys"
            cross = " and cross-attention" if len(layer.attention) > 1 else ""
            experts = f", {part.active} of {part.experts} experts" if part.experts > 1 else ""
            attention = f"{own.heads} heads of {own.head_dim}{groups}{cross}"
            feed_forward = f"{part.inner}{' gated' if part.gated else ''}{experts}"
            rows.append((stack.name, f"{layer.applied}{shared}", attention, own.window or "all", feed_forward))
    record.table("layers", "Layers", ("stack", "layers", "attention", "sees", "feed-forward"), rows)


def _record_depth(record: Recorder, check: DepthCheck) -> None:
    """Records what the law says: values, its curve, the finding, a warning where the law is extrapolated."""
    best, band = check.best, check.band
    for name, number in {
        "optimal_depth": best.depth if best else None,
        "optimal_width": best.width if best else None,
        "depth_error": best.error if best else None,
        "depth_low": band.low if band else None,
        "depth_high": band.high if band else None,
        "depth_ratio": check.depth / best.depth if best else None,
        "extrapolated": int(bool(check.outside)) if best else None,
    }.items():
        record.value(name, number)
    question = f"Do {check.depth} layers suit {check.size:,} non-embedding parameters?"
    if best is None or band is None:
        summary = f"The depth law says nothing here: {check.not_applicable}."
        record.finding("depth", question, "vacuous", summary, measured=Estimate.exact(check.depth, unit="layers"))
        return
    if check.outside:
        record.warn(check.outside)
    # The curve of the figure.
    first, last = min(float(check.size), 1e6), max(float(check.size), 1e12)
    for size in (first * (last / first) ** (step / 60) for step in range(61)):
        law = optimal_depth(size)
        for key, depth in {"law_depth": law.depth, "law_depth_low": law.low, "law_depth_high": law.high}.items():
            record.measure(key, depth, unit="layers", step=size)

    where = {"shallower": "Too shallow", "within": "In the band", "deeper": "Too deep"}[check.place.split()[0]]
    summary = (
        f"{where}: the law asks for {band.low} to {band.high} layers, about {best.depth:.1f}; "
        f"depth is {check.depth / best.depth:.2f} times that."
    )
    if check.verdict == "vacuous":
        summary = f"The law says nothing this far below its range; drawn out to here it asks for {best.depth:.1f}."
    elif check.untested:
        summary = f"{summary} But {check.untested}."
    advice = ""
    if check.verdict == "disagrees":
        change = "more layers of less width" if where == "Too shallow" else "fewer layers of more width"
        advice = (
            f"At equal size, {change} (about {best.depth:.0f} x {best.width:.0f}) should do at least as well; "
            "neighboring shapes differ little in loss, and shallow nets run faster."
        )
    (shallow, deep), (small, large) = FITTED_DEPTHS, FITTED_SIZES
    record.finding(
        "depth",
        question,
        check.verdict,
        summary,
        predicted=Estimate(
            value=best.depth, low=best.low, high=best.high, method="delta method on the fit's covariance", unit="layers"
        ),
        measured=Estimate.exact(check.depth, unit="layers"),
        assumptions=(
            Assumption(
                statement=f"{shallow:g} to {deep:g} layers and {small:g} to {large:g} parameters, "
                "where the law was fitted",
                status="fails" if check.outside else "holds",
                how=check.outside or "inside",
            ),
            Assumption(
                statement="A dense decoder of text",
                status="fails" if check.untested else "holds",
                how=check.untested or "read from config.json",
            ),
            Assumption(
                statement="Layers of 12 d^2 parameters, within a quarter",
                status="holds" if abs(check.layer_cost - 12.0) <= 3.0 else "fails",
                how=f"{check.layer_cost:.1f} d^2; the exact size is put in for N",
            ),
            Assumption(statement="Trained until size is what limits it", how="a configuration does not say"),
        ),
        advice=advice,
    )


QUESTIONS: dict[Kind, str] = {
    "vocabulary": "Can the vocabulary fill the width?",
    "factorized embedding": "Can the factorized embedding fill the width?",
    "patch dimension": "Can a patch fill the width?",
    "wide attention": "Does the inner size of attention fit the width?",
    "narrow attention": "Does the inner size of attention fit the width?",
    "narrow feed-forward": "Do the feed-forward layers serve the width?",
    "narrow head": "Does the head read the whole width?",
}


def _record_bottlenecks(record: Recorder, shape: Shape, found: tuple[Bottleneck, ...]) -> None:
    limit = input_rank(shape)
    cut = any(place.kind == "wide attention" for place in found)
    redundant = redundant_parameters(shape, rank=limit.rank if limit.kind else None, cut_heads=cut)
    record.value("input_rank", limit.rank)
    record.value("bottlenecks", len(found))
    record.value("redundant_parameters", redundant)
    for place in found:
        idle = f" Up to {place.redundant:,} parameters add nothing to the bound." if place.redundant else ""
        record.finding(
            place.kind.replace(" ", "_").replace("-", "_"),
            QUESTIONS[place.kind],
            "disagrees",
            f"No: {place.summary}{idle}",
            predicted=Estimate.exact(place.width, unit="width"),
            measured=Estimate.exact(place.size, unit="size"),
            assumptions=(
                Assumption(statement="Separation rank grows as depth times min(rank, width)", how="theorem of paper 7"),
                Assumption(statement="What bounds capacity bounds what training can reach", how="nothing is trained"),
            ),
            advice=place.advice,
        )
    if not found:
        record.finding(
            "bottlenecks",
            "Is anything narrower or wider than the residual stream?",
            "agrees",
            f"Nothing: input rank, attention and feed-forward layers all serve the width of {shape.width}.",
            predicted=Estimate.exact(shape.width, unit="dimensions", method="no bottleneck"),
            measured=Estimate.exact(limit.rank, unit="dimensions", method="rank of the input"),
        )
        return
    rows: list[tuple[Cell, ...]] = [
        (each.kind, each.size, each.width, round(each.size / each.width, 3), each.redundant) for each in found
    ]
    if len(found) > 1:
        rows.append(("all together", None, None, None, redundant))
    record.table(
        "bottlenecks",
        "Narrow places",
        ("place", "size", "width", "ratio", "redundant parameters"),
        rows,
        note="Redundant: matrix entries that the bound on the separation rank does not need; an upper limit, since "
        "losses fall more slowly than capacity.",
    )


def _record_weights(record: Recorder, model: ModelFiles, shape: Shape, counted: Parameters) -> None:
    """Compares the sizes of the weights with the configuration."""
    stored = read_headers(model.weights)
    held, packed = parameters_on_disk(shape, stored), "quantization_config" in model.config
    difference = "" if packed else mismatch(shape, stored)
    if difference:
        record.warn(difference)
    place = "in memory" if isinstance(model.weights, Mapping) else "on disk"
    verdict, answer = "agrees", f"Yes: both have {held:,} parameters."
    if packed:
        verdict, answer = "vacuous", "Quantized weights are packed: their sizes say nothing."
    elif difference:
        verdict, answer = "disagrees", f"No: {difference}."
    record.finding(
        "weights",
        f"Do the weights {place} have the sizes that the configuration says?",
        verdict,
        answer,
        predicted=Estimate.exact(counted.total, unit="parameters"),
        measured=Estimate.exact(held, unit="parameters"),
        advice="Trust the weights: the configuration may be of another model." if difference else "",
    )
