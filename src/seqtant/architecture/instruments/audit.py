"""Audits a model's shape: exact parameters, FLOPs and cache, its depth against the law, its bottlenecks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seqtant.architecture.config import AuditConfig
from seqtant.architecture.counting import bottlenecks
from seqtant.architecture.counting.accounting import (
    Parameters,
    bytes_of,
    count_cache,
    count_flops,
    count_parameters,
)
from seqtant.architecture.counting.built import Built, build, count_modules, run_without_numbers
from seqtant.architecture.counting.checkpoint import compare, read_headers
from seqtant.architecture.families.loading import ModelFiles, describe, find_model, is_known
from seqtant.architecture.families.shape import Shape
from seqtant.architecture.planning.planner import Band, ShapeFamily, depth_band
from seqtant.architecture.theory import FITTED_DEPTHS, FITTED_SIZES, DepthRange, optimal_depth
from seqtant.errors import InputError
from seqtant.findings import Assumption, Cell, Estimate, Result, Verdict
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

USUAL_LENGTH = 2048
"""Longest sequence at which attention is counted unless another is asked for."""
DEPTH_VALUES = (
    "optimal_depth",
    "optimal_width",
    "depth_error",
    "depth_low",
    "depth_high",
    "depth_ratio",
    "extrapolated",
)
"""Values of the depth law; None where it says nothing."""


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
    found = _read(model)
    shape = found if isinstance(found, Shape) else found.shape
    title = f"Shape of {model.name}: {found.depth} layers of width {found.width}"
    with Recorder("architecture.audit", title, config, context, papers=(7, 8)) as record:
        length = config.length or found.fixed_tokens or min(found.context or USUAL_LENGTH, USUAL_LENGTH)
        counted = count_parameters(found) if isinstance(found, Shape) else found.parameters
        _record_counts(record, found, counted, length, config.dtype or found.dtype)
        band = _record_depth(record, found, counted.non_embedding)
        # Where filling the input's rank would be absurdly deep, the advice to go deeper stops at the band's end.
        cut = band.high if band and band.cap == "three times the law" else None
        if shape is not None:
            _record_bottlenecks(record, shape, bottlenecks.find_bottlenecks(shape, deepest=cut))
        if model.weights:
            stored = read_headers(model.weights)
            packed = "quantization_config" in model.config
            held, difference, advice = compare(found, stored)
            difference = "" if packed else difference
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
                advice=advice if difference else "",
            )
        rank = None if shape is None else bottlenecks.scores_rank(shape)
        if shape is not None and rank is not None and shape.vocabulary is not None:
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
        for note in found.notes:
            record.warn(note)
    return record.result


def _read(model: ModelFiles) -> Shape | Built:
    """Reads a configuration where a reader knows all of it, else builds the network without numbers."""
    data, source = model.config, model.config_path
    shape = describe(data, source) if is_known(data) else None
    if shape is not None and shape.whole:
        return shape
    try:
        built = count_modules(build(data, source))
        if data.get("architectures"):
            return built
        return replace(built, notes=(f"the configuration names no class: counted as {built.counted_as}",))
    except InputError:
        text: Any = data.get("text_config")
        if shape is not None:
            return shape
        if not isinstance(text, Mapping):
            raise
        # The rest needs what this installation lacks: the part that reads text is counted, and a note says so.
        if is_known(text):
            return describe(data, source)
        note = f"'{data.get('model_type')}' reads more than text: only its text part is counted"
        return replace(count_modules(build(text, source)), notes=(note,))


def _record_counts(record: Recorder, found: Shape | Built, counted: Parameters, length: int, dtype: str) -> None:
    if isinstance(found, Shape):
        flops, cache = count_flops(found, length), count_cache(found, length, dtype)
        masked: float | None = count_flops(found, length, pairs="masked").per_token
    else:
        flops, cache, masked = None, None, None
        try:
            flops, cache = run_without_numbers(found.network, length, dtype)
        except InputError as error:
            record.warn(f"FLOPs and cache are not counted: {error}")
    for name, number in {
        "parameters": counted.total,
        "embedding_parameters": counted.embedding,
        "head_parameters": counted.head,
        "non_embedding_parameters": counted.non_embedding,
        "active_parameters": counted.active,
        "active_non_embedding_parameters": counted.active_non_embedding,
        "weight_bytes": counted.total * bytes_of(found.dtype),
        "length": length,
        "flops_per_token": flops.per_token if flops else None,
        "kv_bytes_per_token": cache.per_token if cache else None,
        "kv_bytes_at_length": cache.at_length if cache else None,
        "depth": found.depth,
        "width": found.width,
        "vocabulary": found.vocabulary,
        "tied": int(found.is_tied),
        "flops_per_token_masked": masked,
    }.items():
        record.value(name, number)
    components = {name: count for name, count in counted.components.items() if count or name == "head"}
    components |= {"total": counted.total} | ({"active per token": counted.active} if counted.inactive else {})
    record.table(
        "parameters",
        f"Parameters, counted as {found.counted_as}",
        ("component", "parameters", "share"),
        [(name, count, f"{count / counted.total:.1%}") for name, count in components.items()],
        note="Tied and shared weights count once. Embedding and head are no part of the non-embedding size.",
    )
    if isinstance(found, Built) and found.compressed_cache:
        record.value("kv_bytes_per_token_compressed", found.compressed_cache * bytes_of(dtype))
    if flops is not None:
        record.table(
            "flops",
            f"FLOPs of a forward pass over {flops.tokens} tokens",
            ("component", "per token", "share"),
            [(name, count / flops.tokens, f"{count / flops.total:.1%}") for name, count in flops.components.items()],
            note="Two FLOPs per multiply-add of matrix products; attention counts every query against every key, "
            "masked or not; scores for every token.",
        )
    if isinstance(found, Built):
        record.table("layers", "Layers", ("made of", "layers", "parameters of one"), found.layers)
        return
    rows: list[tuple[Cell, ...]] = []
    for stack in found.stacks:
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


def _record_depth(record: Recorder, found: Shape | Built, size: int) -> Band | None:
    """Compares a shape with the depth law, with its exact non-embedding parameters as N; returns the advised depths."""
    depth, question = found.depth, f"Do {found.depth} layers suit {size:,} non-embedding parameters?"
    shape, silent = (found, "") if isinstance(found, Shape) else (found.shape, found.silent)
    if shape is None:
        record.finding(
            "bottlenecks",
            "Is anything narrower or wider than the residual stream?",
            "vacuous",
            f"The theory of separation rank does not cover this network: {silent}.",
        )
    elif len(shape.stacks) > 1:
        silent = "it was fitted on single stacks, and this is an encoder with a decoder"
    elif any(layer.feed_forward.experts > 1 for layer in shape.layers):
        silent = "it was fitted on dense networks, and this is a mixture of experts"
    elif any(layer.stored != layer.applied for layer in shape.layers):
        silent = "it was fitted on layers with weights of their own, and here layers share them"
    if shape is None or silent:
        for name in DEPTH_VALUES:
            record.value(name, None)
        summary = f"The depth law says nothing here: {silent}."
        record.finding("depth", question, "vacuous", summary, measured=Estimate.exact(depth, unit="layers"))
        return None

    # The exact size is put in for 12 L d^2, whatever the layers are made of.
    best = optimal_depth(size)
    # What a plan of this shape's kind has in common: proportions, heads, rank of the input.
    attention, feed_forward = shape.layers[0].attention[0], shape.layers[0].feed_forward
    rank = bottlenecks.input_rank(shape)
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
    band = depth_band(size, family, best)
    (shallow, deep), (small, large) = FITTED_DEPTHS, FITTED_SIZES
    outside = ""
    if size < small or best.depth < shallow:
        outside = f"extrapolated below the fitted range ({small:g} parameters, {shallow:g} layers)"
    elif size > large or best.depth > deep:
        outside = f"extrapolated above the fitted range ({large:g} parameters, {deep:g} layers)"
    numbers = (best.depth, best.width, best.error, band.low, band.high, depth / best.depth, int(bool(outside)))
    for name, number in zip(DEPTH_VALUES, numbers, strict=True):
        record.value(name, number)
    if outside:
        record.warn(outside)
    # The curve of the figure.
    first, last = min(float(size), 1e6), max(float(size), 1e12)
    for step in (first * (last / first) ** (place / 60) for place in range(61)):
        law = optimal_depth(step)
        for key, layers in {"law_depth": law.depth, "law_depth_low": law.low, "law_depth_high": law.high}.items():
            record.measure(key, layers, unit="layers", step=step)
    _record_depth_finding(record, shape, size, best, band, outside)
    return band


def _record_depth_finding(
    record: Recorder, shape: Shape, size: int, best: DepthRange, band: Band, outside: str
) -> None:
    # An assumption of the fit that this network breaks without changing what is counted.
    untested = ""
    if shape.vocabulary is None:
        untested = "it was fitted on text, and this network reads images"
    elif any(stack.name == "encoder" for stack in shape.stacks):
        untested = "it was fitted on decoders that predict the next token, and this is an encoder"
    where = {"shallower": "Too shallow", "within": "In the band", "deeper": "Too deep"}[
        band.place(shape.depth).split()[0]
    ]
    summary = (
        f"{where}: the law asks for {band.low} to {band.high} layers, about {best.depth:.1f}; "
        f"depth is {shape.depth / best.depth:.2f} times that."
    )
    verdict: Verdict = "agrees" if where == "In the band" else "disagrees"
    advice = ""
    if best.depth < FITTED_DEPTHS[0]:
        verdict = "vacuous"
        summary = f"The law says nothing this far below its range; drawn out to here it asks for {best.depth:.1f}."
    elif untested:
        verdict, summary = "inconclusive", f"{summary} But {untested}."
    elif verdict == "disagrees":
        change = "more layers of less width" if where == "Too shallow" else "fewer layers of more width"
        advice = (
            f"At equal size, {change} (about {best.depth:.0f} x {best.width:.0f}) should do at least as well; "
            "neighboring shapes differ little in loss, and shallow nets run faster."
        )
    (shallow, deep), (small, large) = FITTED_DEPTHS, FITTED_SIZES
    layer_cost = size / (shape.depth * shape.width**2)  # c with N = c L d^2
    record.finding(
        "depth",
        f"Do {shape.depth} layers suit {size:,} non-embedding parameters?",
        verdict,
        summary,
        predicted=Estimate(
            value=best.depth, low=best.low, high=best.high, method="delta method on the fit's covariance", unit="layers"
        ),
        measured=Estimate.exact(shape.depth, unit="layers"),
        assumptions=(
            Assumption(
                statement=f"{shallow:g} to {deep:g} layers and {small:g} to {large:g} parameters, "
                "where the law was fitted",
                status="fails" if outside else "holds",
                how=outside or "inside",
            ),
            Assumption(
                statement="A dense decoder of text",
                status="fails" if untested else "holds",
                how=untested or "read from config.json",
            ),
            Assumption(
                statement="Layers of 12 d^2 parameters, within a quarter",
                status="holds" if abs(layer_cost - 12.0) <= 3.0 else "fails",
                how=f"{layer_cost:.1f} d^2; the exact size is put in for N",
            ),
            Assumption(statement="Trained until size is what limits it", how="a configuration does not say"),
        ),
        advice=advice,
    )


QUESTIONS: dict[bottlenecks.Kind, str] = {
    "vocabulary": "Can the vocabulary fill the width?",
    "factorized embedding": "Can the factorized embedding fill the width?",
    "patch dimension": "Can a patch fill the width?",
    "wide attention": "Does the inner size of attention fit the width?",
    "narrow attention": "Does the inner size of attention fit the width?",
    "narrow feed-forward": "Do the feed-forward layers serve the width?",
    "narrow head": "Does the head read the whole width?",
}


def _record_bottlenecks(record: Recorder, shape: Shape, found: tuple[bottlenecks.Bottleneck, ...]) -> None:
    limit = bottlenecks.input_rank(shape)
    cut = any(place.kind == "wide attention" for place in found)
    redundant = bottlenecks.redundant_parameters(shape, rank=limit.rank if limit.kind else None, cut_heads=cut)
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
