"""Audits a model's shape: exact parameters, FLOPs and cache, its depth against the law, its narrow places."""

from __future__ import annotations

from seqtant.architecture.config import AuditConfig
from seqtant.architecture.counting.accounting import (
    Cache,
    Flops,
    Parameters,
    count_cache,
    count_flops,
    count_parameters,
)
from seqtant.architecture.counting.bottlenecks import (
    Bottleneck,
    Kind,
    find_bottlenecks,
    input_rank,
    redundant_parameters,
    scores_rank,
)
from seqtant.architecture.families.shape import Shape
from seqtant.architecture.families.source import Source, locate
from seqtant.architecture.planning.depth_check import check_depth, record_depth
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

USUAL_LENGTH = 2048
"""Longest sequence at which attention is counted unless another is asked for."""


def run(config: AuditConfig, context: Context) -> Result:
    """Audits the shape of a model; loads no weights.

    Raises:
        InputError: The model's configuration or weights files cannot be read.
    """
    source = locate(config.model)
    shape = source.shape()
    title = f"Shape of {source.name}: {shape.depth} layers of width {shape.width}"
    with Recorder("architecture.audit", title, config, context, papers=(7, 8)) as record:
        length = config.length or shape.fixed_tokens or min(shape.context or USUAL_LENGTH, USUAL_LENGTH)
        counted = count_parameters(shape)
        flops = count_flops(shape, length)
        cache = count_cache(shape, length, config.dtype or shape.dtype)
        _record_counts(record, shape, counted, flops, cache)
        record.value("flops_per_token_masked", count_flops(shape, length, pairs="masked").per_token)
        depth = check_depth(shape, counted)
        record_depth(record, depth)
        cut = depth.band if depth.band and depth.band.cap == "three times the law" else None
        _record_bottlenecks(record, shape, cut.high if cut else None)
        _record_weights(record, source, shape, counted)
        _record_scores(record, shape)
        for note in shape.notes:
            record.warn(note)
    return record.result


def _record_counts(record: Recorder, shape: Shape, counted: Parameters, flops: Flops, cache: Cache | None) -> None:
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
    columns = ("stack", "layers", "attention", "sees", "feed-forward")
    record.table("layers", "Layers", columns, _layer_rows(shape))


def _layer_rows(shape: Shape) -> list[tuple[Cell, ...]]:
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
    return rows


def _record_weights(record: Recorder, source: Source, shape: Shape, counted: Parameters) -> None:
    """The sizes in the headers of weights files, where there are any, against the configuration."""
    if not source.weights:
        return
    from seqtant.architecture.families.checkpoint import disagreement, parameters_on_disk, read_headers

    stored = read_headers(source.weights)
    held, packed = parameters_on_disk(shape, stored), "quantization_config" in source.config
    difference = disagreement(shape, stored)
    if difference and not packed:
        record.warn(difference)
    verdict = "vacuous" if packed else "disagrees" if difference else "agrees"
    record.finding(
        "weights",
        "Do the weights on disk have the sizes that the configuration says?",
        verdict,
        "Quantized weights are packed: their sizes say nothing."
        if packed
        else f"No: {difference}."
        if difference
        else f"Yes: both have {held:,} parameters.",
        predicted=Estimate.exact(counted.total, unit="parameters"),
        measured=Estimate.exact(held, unit="parameters"),
        advice="" if packed or not difference else "Trust the weights: the configuration may be of another model.",
    )


def _record_bottlenecks(record: Recorder, shape: Shape, deepest: int | None) -> None:
    found = find_bottlenecks(shape, deepest=deepest)
    entry = input_rank(shape)
    rank = entry.rank if entry.kind else None
    cut = any(place.kind == "wide attention" for place in found)
    redundant = redundant_parameters(shape, rank=rank, cut_heads=cut)
    record.value("input_rank", entry.rank)
    record.value("bottlenecks", len(found))
    record.value("redundant_parameters", redundant)
    for place in found:
        _record_bottleneck(record, place)
    if not found:
        record.finding(
            "bottlenecks",
            "Is anything narrower or wider than the residual stream?",
            "agrees",
            f"Nothing: input rank, attention and feed-forward layers all serve the width of {shape.width}.",
            predicted=Estimate.exact(shape.width, unit="dimensions", method="no bottleneck"),
            measured=Estimate.exact(entry.rank, unit="dimensions", method="rank of the input"),
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


QUESTIONS: dict[Kind, str] = {
    "vocabulary": "Can the vocabulary fill the width?",
    "factorized embedding": "Can the factorized embedding fill the width?",
    "patch dimension": "Can a patch fill the width?",
    "wide attention": "Does the inner size of attention fit the width?",
    "narrow attention": "Does the inner size of attention fit the width?",
    "narrow feed-forward": "Do the feed-forward layers serve the width?",
    "narrow head": "Does the head read the whole width?",
}


def _record_bottleneck(record: Recorder, place: Bottleneck) -> None:
    idle = f" Up to {place.redundant:,} parameters add nothing to the bound." if place.redundant else ""
    record.finding(
        place.kind.replace(" ", "_").replace("-", "_"),
        QUESTIONS[place.kind],
        "disagrees",
        f"No: {place.says}{idle}",
        predicted=Estimate.exact(place.width, unit="width"),
        measured=Estimate.exact(place.size, unit="size"),
        assumptions=(
            Assumption(statement="Separation rank grows as depth times min(rank, width)", how="theorem of paper 7"),
            Assumption(statement="What bounds capacity bounds what training can reach", how="nothing is trained"),
        ),
        advice=place.advice,
    )


def _record_scores(record: Recorder, shape: Shape) -> None:
    rank = scores_rank(shape)
    if rank is None or shape.vocabulary is None:
        return
    shared = "shares the token table" if shape.is_tied else "has a table of its own"
    record.value("scores_rank", rank)
    record.finding(
        "scores",
        "What rank can the output scores have?",
        "vacuous",
        f"At most {rank} over {shape.vocabulary:,} tokens; the head {shared}. This softmax bottleneck is another "
        "matter: the theory of separation rank says nothing about it.",
        measured=Estimate.exact(rank, unit="rank"),
    )
