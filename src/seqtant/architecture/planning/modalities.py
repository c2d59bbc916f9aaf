"""Kinds of data and the rank they allow the input: what paper 7 says decides how much width is worth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Modality:
    """A kind of data as a planner sees it."""

    vocabulary: int | None
    """Usual number of token ids; None for continuous input."""
    rank: int | None
    """Rank of the input where it is below the vocabulary, or dimension of a continuous input."""
    says: str
    """What it is, in words."""


MODALITIES: dict[str, Modality] = {
    "text": Modality(50257, None, "subword text; vocabularies of 30K to 256K never limit the width"),
    "bytes": Modality(257, None, "bytes and one end mark"),
    "image-tokens": Modality(512, None, "images as 512 color clusters, as in iGPT"),
    "pixels": Modality(256, None, "pixel intensities 0 to 255 per channel"),
    "amino-acids": Modality(33, None, "protein residues with special tokens (20 to 33)"),
    "dna": Modality(12, None, "nucleotides with ambiguity codes and special tokens (4 to 12)"),
    "patches": Modality(None, 768, "continuous patches of 16 x 16 pixels in 3 colors"),
}
"""Name -> kind of data; ``--vocab`` and ``--set embed_rank=...`` replace the numbers."""
