"""Pairs of related texts for a model: short stories of the world that ships, or segments of the user's own text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from seqtant.errors import InputError
from seqtant.lm import CausalLM, encode
from seqtant.pretraining.corpus.readers import open_corpus
from seqtant.pretraining.corpus.splitters import sentence_ends, split, text_hash
from seqtant.pretraining.evaluation.gain import TextPair
from seqtant.pretraining.retrieval.encoders import LatentSemanticEncoder, embed
from seqtant.pretraining.retrieval.filtering import filter_neighbors
from seqtant.pretraining.retrieval.neighbors import exact_neighbors
from seqtant.pretraining.sections import FilterSettings
from seqtant.reference.world.stories import ASKED, PLACES, THINGS, TOLD

_MOST_SEGMENTS, _MOST_READ = 20_000, 200_000
"""Sentences that are searched, drawn from those that are read: the beginning of a corpus of many million words."""


def story_pairs(model: CausalLM, count: int, generator: np.random.Generator) -> list[TextPair]:
    """A thing is said to lie somewhere, then asked for; the control tells of another thing, elsewhere.

    Args:
        model: Whose tokenizer is used.
        count: Number of pairs.
        generator: Source of the draws.
    """
    texts: list[tuple[str, str, str]] = []
    for _ in range(count):
        thing, other = generator.choice(len(THINGS), 2, replace=False)
        place, elsewhere = generator.choice(len(PLACES), 2, replace=False)
        told, control = TOLD.format(THINGS[thing], PLACES[place]), TOLD.format(THINGS[other], PLACES[elsewhere])
        texts.append((told, control, ASKED.format(THINGS[thing], PLACES[place])))
    title = encode(model, ["story :"])[0]
    return _encoded(model, texts, tuple(title), [str(number) for number in range(count)])


def _encoded(
    model: CausalLM, texts: Sequence[tuple[str, str, str]], start: tuple[int, ...], clusters: Sequence[str]
) -> list[TextPair]:
    # A blank in front: within running text words begin with one, which most tokenizers make part of the word.
    ids = encode(model, [f" {text}" for text in chain.from_iterable(texts)], start=False)
    rows = [tuple(tuple(line) for line in ids[at : at + 3]) for at in range(0, len(ids), 3)]
    return [
        TextPair(related=a, control=b, target=c, start=start, cluster=cluster)
        for (a, b, c), cluster in zip(rows, clusters, strict=True)
    ]


def corpus_pairs(
    model: CausalLM, names: Sequence[str], count: int, generator: np.random.Generator, *, longest: int = 64
) -> list[TextPair]:
    """Segments of a corpus, each with its nearest neighbor from another document, and with a random one.

    Neighbors are found by weighted words (``lsa``), near-duplicates left out.

    Args:
        model: Whose tokenizer is used.
        names: Where the corpus comes from.
        count: Number of pairs.
        generator: Source of the draws.
        longest: Tokens after which a segment is cut.

    Raises:
        InputError: A source cannot be used, or has too few segments with related ones in other documents.
    """
    texts, document = _segments(names, generator)
    if not texts:
        raise InputError("the corpus has no sentence of six words or more: give more text")
    vectors = embed(texts, LatentSemanticEncoder.learn(texts, dimension=64, buckets=16384), rows=4096).astype(
        np.float32
    )
    drawn = generator.permutation(len(texts))[: 4 * count]
    found = exact_neighbors(vectors[drawn], vectors, min(32, len(texts)))
    kept = filter_neighbors(found, drawn, document, FilterSettings(k=1, hub_cap=2, least_percentile=25)).neighbors.ids
    rows = np.flatnonzero(kept[:, 0] >= 0)[:count]
    if len(rows) < 4:
        raise InputError(f"the corpus gives {len(rows)} pairs of related segments from two documents: give more text")
    targets, related = drawn[rows], kept[rows, 0]
    control = generator.integers(len(texts), size=len(rows))
    start = [model.bos_id] if model.bos_id is not None else encode(model, ["."], start=False)[0]
    made = _encoded(
        model,
        [(texts[a], texts[b], texts[c]) for a, b, c in zip(related, control, targets, strict=True)],
        tuple(start),
        [str(document[target]) for target in targets],
    )
    return [
        TextPair(pair.related[:longest], pair.control[:longest], pair.target[:longest], pair.start, pair.cluster)
        for pair in made
        if pair.related and pair.control and pair.target
    ]


def _segments(names: Sequence[str], generator: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Sentences of six words and more, each text once, and the document of each."""
    texts: list[str] = []
    document: list[int] = []
    seen: set[int] = set()
    for number, text in enumerate(open_corpus(names)):
        start = 0
        for end in split(text, sentence_ends, f"document {number}"):
            piece, start = text[start:end].strip(), end
            if len(piece.split()) >= 6 and (key := text_hash(piece)) not in seen:
                seen.add(key)
                texts.append(piece)
                document.append(number)
        if len(texts) >= _MOST_READ:
            break
    chosen = np.sort(generator.permutation(len(texts))[:_MOST_SEGMENTS])
    return [texts[index] for index in chosen], np.array(document, dtype=np.int64)[chosen]
