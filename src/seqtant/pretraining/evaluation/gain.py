"""Measures what a model gains from a related text: read in its context, or learned by one gradient step.

For texts S1 and S2, in nats per token of S2: in context log p(S2 | S1) - log p(S2); sequentially the fall of the loss
on S2 after one gradient step on S1. Pairs are stories of the reference world, or segments of the user's own text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm import CausalLM, HuggingFaceLM, encode
from seqtant.lm.continuations import batch_continuation_log_probs
from seqtant.pretraining.corpus.readers import open_corpus
from seqtant.pretraining.corpus.segments import sentence_ends, split, text_hash
from seqtant.pretraining.retrieval.encoders import LatentSemanticEncoder, embed
from seqtant.pretraining.retrieval.neighbors import exact_neighbors, filter_neighbors
from seqtant.pretraining.sections import FilterSettings, Sources
from seqtant.progress import SILENT, Progress, track
from seqtant.reference.world.stories import ASKED, PLACES, THINGS, TOLD

_MOST_SEGMENTS, _MOST_READ = 20_000, 200_000
"""Sentences that are searched, sampled from those that are read: the first part of a very large corpus."""


@dataclass(frozen=True)
class TextPair:
    """Token ids of a target, of a related text and of a control."""

    related: tuple[int, ...]
    """S1: a text related to S2."""
    control: tuple[int, ...]
    """A random text in place of S1."""
    target: tuple[int, ...]
    """S2: what is predicted."""
    start: tuple[int, ...] = ()
    """Prefix of every sequence, e.g. a beginning-of-sequence token; at least one token."""
    cluster: str = ""
    """Pairs of one cluster are not independent."""


@dataclass(frozen=True)
class Gains:
    """Gains on the target, in nats per token, one row per pair."""

    related_in_context: Float[np.ndarray, " pairs"]
    """From reading the related text."""
    control_in_context: Float[np.ndarray, " pairs"]
    """From reading the control."""
    related_sequential: Float[np.ndarray, "pairs steps"]
    """From one gradient step on the related text, per step size."""
    control_sequential: Float[np.ndarray, "pairs steps"]
    """From one gradient step on the control, per step size."""


def in_context_gains(model: CausalLM, pairs: Sequence[TextPair], *, related: bool = True) -> np.ndarray:
    """Measures the gain from reading a text first: log p(S2 | S1) - log p(S2), per token of S2.

    S1 is the related text or else the control.
    """
    before = [pair.start for pair in pairs]
    before += [(*pair.start, *(pair.related if related else pair.control)) for pair in pairs]
    found = [line for (line,) in batch_continuation_log_probs(model, before, [[pair.target] for pair in pairs] * 2)]
    return np.array([float((b - a).mean()) for a, b in zip(found[: len(pairs)], found[len(pairs) :], strict=True)])


def measure_gains(
    model: HuggingFaceLM, pairs: Sequence[TextPair], relative_steps: Sequence[float], *, progress: Progress = SILENT
) -> Gains:
    """Measures both gains of every pair, with their controls.

    A gradient step on S1 is W - s |W| g / |g| for all weights W, with g the gradient of the mean loss of S1 after
    ``start`` and s the relative step. The weights are restored to the bit after every pair.

    Args:
        model: A Hugging Face model in float32 or float64.
        pairs: The texts.
        relative_steps: Lengths s of the step, relative to the norm of the weights.
        progress: Reports the pairs done.

    Raises:
        InputError: The model has no weights, or in half precision, in which a small step rounds to nothing.
    """
    if not isinstance(getattr(model, "model", None), nn.Module):
        raise InputError(f"'{model.name}' has no weights to take a gradient step with: give a transformers model")
    if any(p.dtype in (torch.float16, torch.bfloat16) for p in model.model.parameters()):
        raise InputError(f"'{model.name}' is in half precision: load it in float32, where a small step is not lost")
    sequential: dict[bool, list[list[float]]] = {True: [], False: []}
    weights = [p for p in model.model.parameters() if p.is_floating_point()]
    wanted = [weight.requires_grad for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        for pair in track(pairs, progress, "gradient steps"):
            before = _loss(model, pair.start, pair.target).item()
            for related, rows in sequential.items():
                first = pair.related if related else pair.control
                rows.append(
                    [before - after for after in _losses_after_step(model, weights, pair, first, relative_steps)]
                )
    finally:
        for weight, learned in zip(weights, wanted, strict=True):
            weight.requires_grad_(learned)
    return Gains(
        in_context_gains(model, pairs),
        in_context_gains(model, pairs, related=False),
        np.array(sequential[True]),
        np.array(sequential[False]),
    )


def _losses_after_step(
    model: HuggingFaceLM,
    weights: list[nn.Parameter],
    pair: TextPair,
    first: tuple[int, ...],
    relative_steps: Sequence[float],
) -> list[float]:
    """Losses of the target after a step on the first text, one per step size."""
    gradients = torch.autograd.grad(_loss(model, pair.start, first), weights, allow_unused=True)
    known = [(w, g) for w, g in zip(weights, gradients, strict=True) if g is not None]
    # A relative step s moves the weights by s |W| along the unit gradient.
    # One norm over all tensors together: W and g are taken as single long vectors.
    size = _norm([weight.detach() for weight in weights]) / _norm([g for _, g in known])
    kept = [weight.detach().clone() for weight, _ in known]
    losses = []
    try:
        for step in relative_steps:
            with torch.no_grad():
                # Every step starts from the kept copy: subtracting and adding again would leave rounding behind.
                for (weight, gradient), own in zip(known, kept, strict=True):
                    weight.copy_(own).add_(gradient, alpha=-step * size)
                losses.append(_loss(model, pair.start, pair.target).item())
    finally:
        with torch.no_grad():
            for (weight, _), own in zip(known, kept, strict=True):
                weight.copy_(own)
    return losses


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(torch.stack([t.double().norm() for t in tensors]).norm())


def _loss(model: HuggingFaceLM, start: tuple[int, ...], text: tuple[int, ...]) -> Tensor:
    """Mean loss of a text after the start, in nats per token."""
    # [1, start + text]; the logits at position i predict token i + 1.
    ids = torch.tensor([[*start, *text]], device=model.device)
    logits = model.model(ids, use_cache=False).logits[0, len(start) - 1 : -1].float()
    return nn.functional.cross_entropy(logits, ids[0, len(start) :])


def story_pairs(model: CausalLM, count: int, generator: np.random.Generator) -> list[TextPair]:
    """Samples stories that say where a thing is, and ask for it; the control is about another thing, elsewhere."""
    texts: list[tuple[str, str, str]] = []
    for _ in range(count):
        thing, other = generator.choice(len(THINGS), 2, replace=False)
        place, elsewhere = generator.choice(len(PLACES), 2, replace=False)
        told, control = TOLD.format(THINGS[thing], PLACES[place]), TOLD.format(THINGS[other], PLACES[elsewhere])
        texts.append((told, control, ASKED.format(THINGS[thing], PLACES[place])))
    title = encode(model, ["story :"])[0]
    return _tokenize(model, texts, title, [str(number) for number in range(count)], None)


def _tokenize(
    model: CausalLM, texts: list[tuple[str, str, str]], start: Sequence[int], clusters: list[str], longest: int | None
) -> list[TextPair]:
    """Makes a pair of each related text, control and target, cut after ``longest`` tokens; none of an empty text."""
    # With a leading blank: within running text most tokenizers make the blank before a word part of the word.
    ids = encode(model, [f" {text}" for text in chain.from_iterable(texts)], start=False)
    lines = [tuple(line[:longest]) for line in ids]
    rows = zip(lines[::3], lines[1::3], lines[2::3], clusters, strict=True)
    return [TextPair(a, b, c, tuple(start), cluster) for a, b, c, cluster in rows if a and b and c]


def corpus_pairs(
    model: CausalLM, corpus: Sources, count: int, generator: np.random.Generator, *, longest: int = 64
) -> list[TextPair]:
    """Samples segments of a corpus, each with its nearest neighbor from another document and with a random segment.

    Neighbors are found by latent semantic analysis; near-duplicates are left out.

    Args:
        model: Model whose tokenizer is used.
        corpus: Files, or lists of documents in memory.
        count: Number of pairs.
        generator: Random generator.
        longest: Tokens at which a segment is truncated.

    Raises:
        InputError: A source cannot be used, or has too few segments with related ones in other documents.
    """
    texts: list[str] = []
    document: list[int] = []
    seen: set[int] = set()
    for number, text in enumerate(open_corpus(corpus)):
        start = 0
        for end in split(text, sentence_ends, f"document {number}"):
            piece, start = text[start:end].strip(), end
            if len(piece.split()) >= 6 and (key := text_hash(piece)) not in seen:
                seen.add(key)
                texts.append(piece)
                document.append(number)
        if len(texts) >= _MOST_READ:
            break
    kept = np.sort(generator.permutation(len(texts))[:_MOST_SEGMENTS])
    texts, source = [texts[index] for index in kept], np.array(document, dtype=np.int64)[kept]
    if not texts:
        raise InputError("the corpus has no sentence of six words or more: give more text")
    vectors = embed(texts, LatentSemanticEncoder.fit(texts, dimension=64, buckets=16384), rows=4096).astype(np.float32)
    # Four times as many as wanted: some have no neighbor left after the filters.
    drawn = generator.permutation(len(texts))[: 4 * count]
    found = exact_neighbors(vectors[drawn], vectors, min(32, len(texts)))
    near = filter_neighbors(found, drawn, source, FilterSettings(k=1, hub_cap=2, least_percentile=25)).neighbors.ids
    rows = np.flatnonzero(near[:, 0] >= 0)[:count]
    if len(rows) < 4:
        raise InputError(f"the corpus gives {len(rows)} pairs of related segments from two documents: give more text")
    targets, related = drawn[rows], near[rows, 0]
    # A random segment of the corpus: it shows what getting used to the style gains.
    control = generator.integers(len(texts), size=len(rows))
    prefix = [model.bos_id] if model.bos_id is not None else encode(model, ["."], start=False)[0]
    chosen = [(texts[a], texts[b], texts[c]) for a, b, c in zip(related, control, targets, strict=True)]
    return _tokenize(model, chosen, prefix, [str(source[target]) for target in targets], longest)
