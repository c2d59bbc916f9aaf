"""Small topical corpora, and a configuration that suits them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from seqtant.pretraining.config import BuildConfig
from seqtant.pretraining.sections import (
    EmbedSettings,
    ExampleSettings,
    FilterSettings,
    NeighborSettings,
    SegmentSettings,
)

TOPICS = {
    "sea": ["ship", "harbor", "sailor", "wave", "storm", "anchor", "sail", "captain", "island", "tide"],
    "kitchen": ["bread", "oven", "flour", "butter", "sugar", "cook", "spoon", "plate", "apple", "soup"],
    "court": ["judge", "lawyer", "trial", "verdict", "witness", "jury", "prison", "crime", "law", "appeal"],
}


def topical_documents(count: int, seed: int = 0, sentences: int = 6) -> list[str]:
    """Documents of sentences about one topic each."""
    generator = np.random.default_rng(seed)
    documents = []
    for number in range(count):
        words = TOPICS[list(TOPICS)[number % len(TOPICS)]]
        lines = [
            " ".join(generator.choice(words, generator.integers(5, 9))).capitalize() + "." for _ in range(sentences)
        ]
        documents.append(" ".join(lines))
    return documents


def write_jsonl(path: Path, documents: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents), encoding="utf-8")
    return path


def small_config(corpus: Path, **sections: object) -> BuildConfig:
    """A configuration for a corpus of a few dozen documents."""
    defaults: dict[str, object] = {
        "segment": SegmentSettings(tokenizer="bytes", longest=200, shard_documents=10, hold_out=6),
        "embed": EmbedSettings(dimension=8, buckets=256),
        "neighbors": NeighborSettings(candidates=24),
        "filter": FilterSettings(k=4, most_similar=0.999),
        "examples": ExampleSettings(
            arms=("knn", "random", "split", "contiguous", "tour", "stream"), window=256, share=0.5
        ),
    }
    return BuildConfig(corpus=(str(corpus),), **(defaults | sections))  # type: ignore[arg-type]
