"""What examples are made of, counted exactly: company, near-duplicates, repeats, cuts, hubs, test overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from seqtant.pretraining.build.build import Build
from seqtant.pretraining.corpus.segments import Segments
from seqtant.pretraining.retrieval.filtering import in_degrees


@dataclass(frozen=True)
class Distance:
    """Pairs of segments of one example, so many segments apart."""

    distance: int
    """Segments apart; 1 is next to each other."""
    pairs: int
    """Number of such pairs."""
    same_document: float | None
    """Share that comes from one document; None without pairs."""
    near_duplicate: float | None
    """Share that is equal up to case and white space, or more similar than neighbors may be."""
    similarity: float | None
    """Mean cosine similarity of the pairs of which both have vectors."""


@dataclass(frozen=True)
class ArmAudit:
    """One arm in numbers; shares are exact counts over all examples."""

    arm: str
    """Its name."""
    examples: int
    """Number of examples."""
    tokens: int
    """Tokens, separators included."""
    fill: float
    """Tokens over examples times window."""
    distances: tuple[Distance, ...]
    """Pairs by distance; in arms that mix groups with running text, those of the groups' examples only."""
    cut_segments: float
    """Share of the parts that are cut at the edge of an example."""
    repeated_tokens: float
    """Share of the tokens whose segment stands in the arm more than once."""
    most_repeats: int
    """How often the most frequent segment stands in it."""
    blocked_segments: float
    """Share of the parts that overlap with a test set."""

    def pooled(self, name: str) -> float | None:
        """A share over the pairs of all distances together; None without pairs."""
        total = sum(each.pairs for each in self.distances)
        shares = [(getattr(each, name) or 0.0) * each.pairs for each in self.distances]
        return sum(shares) / total if total else None


@dataclass(frozen=True)
class HubAudit:
    """How unevenly segments serve as neighbors."""

    mean: float
    """Mean in-degree over the segments that may be neighbors."""
    largest: int
    """Largest in-degree."""
    never: float
    """Share that is nobody's neighbor."""
    skewness: float
    """Third standardized moment of the in-degrees, the usual measure of hubness; 0 where all are equal."""


def audit_arm(build: Build, arm: str, *, distances: int = 6) -> ArmAudit:
    """Counts one arm.

    Args:
        build: Where it lies.
        arm: Which one.
        distances: Distances up to which pairs are compared.

    Raises:
        InputError: There is no such arm, or its files are gone.
    """
    ids, offsets = build.column(arm, "segment_ids")
    lengths, _ = build.column(arm, "segment_lengths")
    examples, tokens = len(offsets) - 1, int(lengths.sum())
    example = np.repeat(np.arange(examples), np.diff(offsets))
    counted = _of_groups(build, arm)[example]
    segments = build.segments
    uses = np.bincount(ids, minlength=len(segments))
    most_similar = float(build.manifest["config"]["filter"]["most_similar"])
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


def _of_groups(build: Build, arm: str) -> np.ndarray:
    """Examples whose pairs are counted: those made of groups, where an arm has such; else all."""
    _, offsets = build.column(arm, "anchors")
    made = np.diff(offsets) > 0
    return made if made.any() else np.ones_like(made)


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
    together = example[step:] == example[:-step]
    left, right = ids[:-step][together], ids[step:][together]
    if not len(left):
        return Distance(step, 0, None, None, None)
    similarity = np.concatenate(
        [(vectors[a] * vectors[b]).sum(axis=1) for a, b in zip(*(_blocks(side) for side in (left, right)), strict=True)]
    )
    both = segments.eligible[left] & segments.eligible[right]
    twins = (segments.hashes[left] == segments.hashes[right]) | (both & (similarity > most_similar))
    return Distance(
        distance=step,
        pairs=len(left),
        same_document=_share(segments.document[left] == segments.document[right]),
        near_duplicate=_share(twins),
        similarity=float(similarity[both].mean()) if both.any() else None,
    )


def _blocks(rows: np.ndarray, size: int = 65536) -> list[np.ndarray]:
    """Rows some at a time: their vectors would not fit into memory at once."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def audit_hubs(build: Build) -> HubAudit:
    """Counts how often segments are neighbors, after all filters.

    Raises:
        InputError: The build's files are gone.
    """
    degrees = in_degrees(build.filtered.neighbors.ids, len(build.segments))
    pool = build.segments.eligible & build.segments.first_of_hash & ~build.segments.held_out & ~build.segments.blocked
    counted = degrees[pool]
    if not len(counted):
        return HubAudit(0.0, 0, 1.0, 0.0)
    skewness = float(stats.skew(counted)) if counted.std() else 0.0
    return HubAudit(float(counted.mean()), int(counted.max()), _share(counted == 0), skewness)
