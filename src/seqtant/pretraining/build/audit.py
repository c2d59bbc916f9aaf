"""Audits examples by exact counts: pairs of segments, near-duplicates, repeats, cuts, hubs, test overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from seqtant.pretraining.build.build import Build
from seqtant.pretraining.corpus.segments import Segments

_BLOCK = 65536


@dataclass(frozen=True)
class Distance:
    """Pairs of segments of one example at one distance."""

    distance: int
    """Segments apart; 1 is next to each other."""
    pairs: int
    same_document: float | None
    """Share that comes from one document; None without pairs."""
    near_duplicate: float | None
    """Share that is equal up to case and white space, or more similar than neighbors may be."""
    similarity: float | None
    """Mean cosine similarity of the pairs of which both have vectors."""


@dataclass(frozen=True)
class ArmAudit:
    """The counts of one arm, over all examples."""

    arm: str
    examples: int
    tokens: int
    """Tokens, separators included."""
    fill: float
    """Tokens over examples times window."""
    distances: tuple[Distance, ...]
    """Pairs by distance; in arms that mix groups with running text, those of the groups' examples only."""
    cut_segments: float
    """Share of the parts that are cut at the edge of an example."""
    repeated_tokens: float
    """Share of the tokens whose segment occurs in the arm more than once."""
    most_repeats: int
    """How often the most frequent segment occurs in it."""
    blocked_segments: float
    """Share of the parts that overlap with a test set."""

    def pooled(self, name: str) -> float | None:
        """Averages a share over the pairs of all distances; None without pairs."""
        total = sum(each.pairs for each in self.distances)
        shares = [(getattr(each, name) or 0.0) * each.pairs for each in self.distances]
        return sum(shares) / total if total else None


def audit_arm(build: Build, arm: str, *, distances: int = 6) -> ArmAudit:
    """Audits one arm.

    Args:
        build: The build.
        arm: Which arm.
        distances: Largest distance of the pairs that are compared.

    Raises:
        InputError: There is no such arm, or its files are missing.
    """
    ids, offsets = build.column(arm, "segment_ids")
    lengths, _ = build.column(arm, "segment_lengths")
    examples, tokens = len(offsets) - 1, int(lengths.sum())
    example = np.repeat(np.arange(examples), np.diff(offsets))
    # Where an arm has examples made of groups, pairs are counted in those only; running text would dilute them.
    grouped = np.diff(build.column(arm, "anchors")[1]) > 0
    counted = (grouped if grouped.any() else np.ones_like(grouped))[example]
    segments = build.segments
    uses = np.bincount(ids, minlength=len(segments))
    most_similar = float(build.manifest["config"]["filter"]["most_similar"])
    # A part shorter than its segment was cut at the edge of an example.
    full = segments.lengths[ids]
    return ArmAudit(
        arm=arm,
        examples=examples,
        tokens=tokens,
        fill=tokens / (examples * build.window) if examples else 1.0,
        distances=tuple(
            _pairs(ids[counted], example[counted], step, segments, build.vectors, most_similar)
            for step in range(1, distances + 1)
        ),
        cut_segments=_share(lengths < full),
        repeated_tokens=float(lengths[uses[ids] > 1].sum() / tokens) if tokens else 0.0,
        most_repeats=int(uses.max(initial=0)),
        blocked_segments=_share(segments.blocked[ids]),
    )


def _share(mask: np.ndarray) -> float:
    return float(mask.mean()) if len(mask) else 0.0


def _pairs(
    ids: Int[np.ndarray, " parts"],
    example: Int[np.ndarray, " parts"],
    step: int,
    segments: Segments,
    vectors: Float[np.ndarray, "segments dimension"],
    most_similar: float,
) -> Distance:
    # Parts lie end to end: two parts ``step`` apart are a pair if they belong to one example.
    together = example[step:] == example[:-step]
    left, right = ids[:-step][together], ids[step:][together]
    if not len(left):
        return Distance(step, 0, None, None, None)
    # In blocks: the vectors of all pairs would not fit into memory.
    blocks = (slice(start, start + _BLOCK) for start in range(0, len(left), _BLOCK))
    similarity = np.concatenate([(vectors[left[rows]] * vectors[right[rows]]).sum(axis=1) for rows in blocks])
    # Segments that are not eligible have zero vectors, whose similarity 0 says nothing.
    both = segments.eligible[left] & segments.eligible[right]
    # Equal hashes count even where a segment has no vector.
    twins = (segments.hashes[left] == segments.hashes[right]) | (both & (similarity > most_similar))
    return Distance(
        distance=step,
        pairs=len(left),
        same_document=_share(segments.document[left] == segments.document[right]),
        near_duplicate=_share(twins),
        similarity=float(similarity[both].mean()) if both.any() else None,
    )


def audit_hubs(build: Build) -> dict[str, float]:
    """Counts how often segments are neighbors, after all filters: the in-degrees of those that may be.

    The skewness, the third standardized moment, is the usual measure of hubness; it is 0 where all are equal.
    """
    ids = build.filtered.neighbors.ids
    degrees = np.bincount(ids[ids >= 0], minlength=len(build.segments))
    pool = build.segments.eligible & build.segments.first_of_hash & ~build.segments.held_out & ~build.segments.blocked
    counted = degrees[pool]
    return {
        "largest_in_degree": int(counted.max(initial=0)),
        "hub_skewness": float(stats.skew(counted)) if len(counted) and counted.std() else 0.0,
        "never_neighbor_share": _share(counted == 0) if len(counted) else 1.0,
    }
