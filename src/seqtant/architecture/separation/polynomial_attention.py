"""Measures the exact separation rank of a small attention network: evaluates it modulo a prime, and eliminates.

The network is the one both papers analyze (no softmax, no normalization, no feed-forward part):
y^i = sum_j sum_h <W_Q x^i, W_K x^j> W_O W_V x^j, stacked L times. Its output depends on the other inputs only through
S = X X^T, so that a layer costs the same for any number of tokens:

    P_0 = I,   P_l = sum_h A_h (P_{l-1} S P_{l-1}^T) B_h P_{l-1},   y^i = P_L x^i,   A_h = W_O W_V,  B_h = W_K^T W_Q.

The separation rank between two halves of the tokens is the rank of the matrix M[s, t] = y_0(a_s, b_t) over enough
random inputs a_s of one half and b_t of the other; y_0 is coordinate 0 of the output at the first half's first token.
Arithmetic is modulo a prime just below 2^31, so that ranks come out exact, where floating point loses them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import reduce
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt64

from seqtant.architecture.config import NetworkShape, Positions
from seqtant.architecture.separation.closed_forms import closed_form_rank
from seqtant.errors import InputError
from seqtant.progress import SILENT, Progress, track

Numbers: TypeAlias = UInt64[np.ndarray, "..."]

BITS = np.uint64(31)
MASK = np.uint64(2**31 - 1)
CHUNK = 4
"""Products below 2^62 whose sum still fits 64 bits."""


@dataclass(frozen=True)
class PrimeField:
    """The integers modulo p = 2^31 - gap.

    Example:
        >>> field = PrimeField(gap=1)
        >>> field.p
        2147483647
        >>> a = np.full((1, 3, 1), field.p - 1, dtype=np.uint64)
        >>> int(field.matmul(a, a.transpose(1, 0, 2))[0, 0, 0])
        3
    """

    gap: int = 1
    """2^31 - p, small and such that p is prime: 1 and 19 are."""

    @property
    def p(self) -> int:
        """The prime."""
        return 2**31 - self.gap

    def draw(self, generator: np.random.Generator, *shape: int) -> Numbers:
        """Samples uniform numbers of the field."""
        return generator.integers(self.p, size=shape, dtype=np.uint64)

    def matmul(self, left: Numbers, right: Numbers) -> Numbers:
        """Multiplies [rows, inner, batch] by [inner, columns, batch], numbers below p; either batch may have size 1."""
        # Summing more than CHUNK products before the reduction would overflow 64 bits.
        total = np.zeros((), dtype=np.uint64)
        for start in range(0, left.shape[1], CHUNK):
            part = slice(start, start + CHUNK)
            total = total + self._fold(np.einsum("ikb,kjb->ijb", left[:, part], right[part]))
        return total % np.uint64(self.p)

    def multiply(self, left: Numbers, right: Numbers) -> Numbers:
        """Multiplies two matrices without a batch."""
        return self.matmul(left[:, :, None], right[:, :, None])[:, :, 0]

    def rank(self, matrix: Numbers) -> int:
        """Computes the rank of a matrix, by python-flint where it is installed, else by :meth:`rank_by_numpy`."""
        return self.rank_by_flint(matrix) if find_spec("flint") else self.rank_by_numpy(matrix)

    def rank_by_flint(self, matrix: Numbers) -> int:
        """Computes a rank by the library FLINT (extra ``exact``)."""
        from flint import nmod_mat

        rows, columns = matrix.shape
        return int(nmod_mat(rows, columns, matrix.ravel().tolist(), self.p).rank())

    def rank_by_numpy(self, matrix: Numbers) -> int:
        """Computes a rank by Gaussian elimination: one outer product per pivot on the rows and columns still left.

        Example:
            >>> PrimeField().rank_by_numpy(np.array([[1, 2], [2, 4]], dtype=np.uint64))
            1
        """
        rest, rank = matrix.astype(np.uint64), 0
        while rest.size:
            column, rest = rest[:, 0], rest[:, 1:]
            pivots = np.flatnonzero(column)
            if not pivots.size:
                continue
            rank += 1
            row = pivots[0]
            # p is prime, so every pivot that is not 0 has an inverse.
            inverse = pow(int(column[row]), -1, self.p)
            # Multiples of the pivot row that clear the column in the other rows.
            factors = self._fold(column * np.uint64(inverse)) % np.uint64(self.p)
            others = np.arange(len(column)) != row
            products = self._fold(factors[others, None] * rest[row])
            # A multiple of p above every product keeps the unsigned difference from wrapping.
            rest = (rest[others] + np.uint64(self.p) * np.uint64(self.gap + 2) - products) % np.uint64(self.p)
        return rank

    def _fold(self, numbers: Numbers) -> Numbers:
        """Makes an equal number modulo p below 2^33 (gap + 1): 2^31 is congruent to the gap."""
        # n = high 2^31 + low, and 2^31 = p + gap, so n = high gap + low modulo p.
        return (numbers & MASK) + (numbers >> BITS) * np.uint64(self.gap)


FIELDS = (PrimeField(gap=1), PrimeField(gap=19))
"""Two primes: a rank that both agree on is no accident of one of them."""

BATCH = 8192
"""Pairs of inputs evaluated at once: large enough for NumPy, small enough for the cache."""
MARGIN = 8
"""Inputs beyond the closed form: a rank that reached them all would show."""


@dataclass(frozen=True)
class RankRun:
    """One elimination: a seed, a prime, a grid of inputs and its rank."""

    seed: int
    """Seed of the weights and of the inputs."""
    prime: int
    templates: int
    """Inputs per half."""
    rank: int
    exhaustive: bool
    """Whether the grid holds every input there is."""

    @property
    def saturated(self) -> bool:
        """Whether more inputs cannot raise the rank: the grid was larger than its rank, or complete."""
        return self.exhaustive or self.rank < self.templates


@dataclass(frozen=True)
class SeparationRank:
    """The largest rank over all seeds and primes at the final grid, which is the generic one."""

    rank: int
    runs: tuple[RankRun, ...]
    """Every elimination at the final grid."""

    @property
    def saturated(self) -> bool:
        """Whether the rank is exact; otherwise it is a lower bound."""
        return all(run.saturated for run in self.runs)

    @property
    def templates(self) -> int:
        """Inputs per half of the final grid."""
        return self.runs[0].templates


def separation_rank(
    depth: int,
    width: int,
    *,
    heads: int = 1,
    tokens: int = 8,
    embed_rank: int | None = None,
    inner_dim: int | None = None,
    positions: Positions = "none",
    vocab: int | None = None,
    residual: bool = False,
    projection: int | None = None,
    templates: int = 32,
    max_templates: int = 2048,
    seed: int = 0,
    progress: Progress = SILENT,
) -> SeparationRank:
    """Measures the exact separation rank of generic weights of a shape.

    The grid is doubled (but not far beyond the closed form) until its rank stays below its size; the final grid is
    sampled again with a second seed and with a second prime. A rank can only be underestimated, with a probability of
    about (degree x rank) / 2^31.

    Args:
        depth: Attention layers.
        width: Width of the residual stream.
        heads: Attention heads; must divide the inner dimension.
        tokens: Input vectors, half of them on each side of the cut: an even number.
        embed_rank: Rank of the input embedding; by default full.
        inner_dim: Heads times head width; by default the width.
        positions: Position vectors added to the input: none, inside the span of the embedding, or free.
        vocab: Finite vocabulary, all of whose inputs are enumerated; by default inputs are continuous.
        residual: Adds each layer's input to its output.
        projection: Rank of a projection after the first layer; by default there is none.
        templates: Inputs per half to begin with.
        max_templates: Largest number of inputs per half; beyond it the result is a lower bound.
        seed: Seed of weights and inputs.
        progress: Where the work reports.

    Raises:
        InputError: A size does not fit, or a finite vocabulary has more inputs per half than ``max_templates``.

    Example:
        >>> found = separation_rank(depth=2, width=3, tokens=6)
        >>> found.rank, found.saturated
        (49, True)
    """
    shape = NetworkShape(
        depth=depth,
        width=width,
        heads=heads,
        tokens=tokens,
        embed_rank=embed_rank,
        inner_dim=inner_dim,
        positions=positions,
        vocab=vocab,
        residual=residual,
        projection=projection,
    )
    return rank_of_shape(shape, templates, max_templates, seed=seed, progress=progress)


def rank_of_shape(
    shape: NetworkShape, templates: int, max_templates: int, *, seed: int, progress: Progress = SILENT
) -> SeparationRank:
    """Measures the separation rank of a shape, see :func:`separation_rank`."""
    half = shape.tokens // 2
    words = 0 if shape.vocab is None else shape.vocab**half
    if words > max_templates:
        raise InputError(
            f"vocab {shape.vocab} has {words} words of {half} tokens per half, above max_templates {max_templates}: "
            "give a smaller vocab or fewer tokens"
        )
    first, second = FIELDS
    templates = min(templates, max_templates)
    while True:
        run = rank_run(shape, templates, field=first, seed=seed, progress=progress)
        if run.saturated or templates >= max_templates:
            break
        # Just more inputs than the closed form where that is fewer than twice as many.
        rank = shape.width if shape.positions == "free" else shape.rank
        enough = closed_form_rank(shape.depth, rank, shape.tokens) + MARGIN
        templates = min(enough if templates < enough < 2 * templates else 2 * templates, max_templates)
    again = [
        rank_run(shape, templates, field=first, seed=seed + 1, progress=progress),
        rank_run(shape, templates, field=second, seed=seed, progress=progress),
    ]
    runs = (run, *again)
    return SeparationRank(max(run.rank for run in runs), runs)


def rank_run(
    shape: NetworkShape, templates: int, *, field: PrimeField, seed: int, progress: Progress = SILENT
) -> RankRun:
    """Eliminates over one grid of ``templates`` x ``templates`` inputs."""
    network = Network.draw(shape, field, np.random.default_rng([seed, 0]))
    halves = network.halves(templates, np.random.default_rng([seed, 1]))
    grid = network.grid(*halves, progress=progress)
    return RankRun(seed, field.p, len(grid), field.rank(grid), shape.vocab is not None)


@dataclass(frozen=True)
class Network:
    """Weights of the network over a prime field."""

    shape: NetworkShape
    field: PrimeField
    """Where its numbers live."""
    layers: tuple[tuple[tuple[Numbers, Numbers], ...], ...]
    """Per layer and head the matrices A and B, [width, width, 1] each."""
    embedding: Numbers
    """[width, rank or vocabulary]: inputs are its columns' combinations, or its columns."""
    positions: Numbers
    """[width, tokens]: added to the inputs."""
    projection: Numbers | None
    """[width, width, 1] of low rank, applied after the first layer; None for none."""

    @classmethod
    def draw(cls, shape: NetworkShape, field: PrimeField, generator: np.random.Generator) -> Network:
        """Samples all weights uniformly."""

        def product(rows: int, inner: int, columns: int) -> Numbers:
            return field.matmul(field.draw(generator, rows, inner, 1), field.draw(generator, inner, columns, 1))

        # The order of these draws is part of the result: a seed must give the same network for ever.
        width, head, rank = shape.width, shape.inner // shape.heads, shape.rank
        layers = tuple(
            tuple((product(width, head, width), product(width, head, width)) for _ in range(shape.heads))
            for _ in range(shape.depth)
        )
        # Inputs are combinations of the basis; at full rank the unit vectors will do.
        basis = field.draw(generator, width, rank) if rank < width else np.eye(width, dtype=np.uint64)
        positions = np.zeros((width, shape.tokens), dtype=np.uint64)
        if shape.positions == "free":
            positions = field.draw(generator, width, shape.tokens)
        elif shape.positions == "span":
            positions = field.multiply(basis, field.draw(generator, rank, shape.tokens))
        embedding = basis
        if shape.vocab is not None:
            embedding = field.multiply(basis, field.draw(generator, rank, shape.vocab))
        projection = None if shape.projection is None else product(width, shape.projection, width)
        return cls(shape, field, layers, embedding, positions, projection)

    def halves(self, templates: int, generator: np.random.Generator) -> tuple[Numbers, Numbers]:
        """Samples inputs of both halves, [width, tokens / 2, templates] each; every word there is, if finite."""
        half = self.shape.tokens // 2
        if self.shape.vocab is None:
            rank = self.embedding.shape[1]
            codes = [self.field.draw(generator, rank, half * templates) for _ in range(2)]
            parts = [self.field.multiply(self.embedding, code).reshape(-1, half, templates) for code in codes]
        else:
            words = np.array(list(itertools.product(range(self.shape.vocab), repeat=half))).T  # [half, words]
            parts = [self.embedding[:, words]] * 2
        positions = self.positions[:, :half, None], self.positions[:, half:, None]
        first, second = ((part + shift) % np.uint64(self.field.p) for part, shift in zip(parts, positions, strict=True))
        return first, second

    def grid(self, first: Numbers, second: Numbers, *, progress: Progress = SILENT) -> Numbers:
        """Evaluates M[s, t], coordinate 0 of the first token's output, for every pair of halves."""
        # S = X X^T of each half, [width, width, templates]; S of a pair is their sum.
        moments_first, moments_second = (self.field.matmul(half, half.transpose(1, 0, 2)) for half in (first, second))
        templates, rows = second.shape[2], max(1, BATCH // second.shape[2])
        blocks = range(0, first.shape[2], rows)
        grid = np.empty((first.shape[2], templates), dtype=np.uint64)
        for start in track(blocks, progress, f"evaluating {len(grid)} x {templates} inputs"):
            part = slice(start, start + rows)
            moments = (moments_first[:, :, part, None] + moments_second[:, :, None, :]) % np.uint64(self.field.p)
            # Pairs are numbered row by row: input s of the first half varies slowest, as ``token`` repeats it.
            row = self.output_row(moments.reshape(*moments.shape[:2], -1))
            token = np.repeat(first[:, :1, part], templates, axis=2)  # [width, 1, rows x templates]
            grid[part] = self.field.matmul(row, token).reshape(-1, templates)
        return grid

    def output_row(self, moments: Numbers) -> Numbers:
        """Computes row 0 of P_L, [1, width, batch], for every S in a batch, [width, width, batch]."""

        def product(*factors: Numbers) -> Numbers:
            return reduce(self.field.matmul, factors)  # from the left

        state: Numbers = np.eye(self.shape.width, dtype=np.uint64)[:, :, None]
        # P_l = sum_h A_h (P_{l-1} S P_{l-1}^T) B_h P_{l-1}, [width, width, batch]; P_0 = I drops out of the first.
        for index, heads in enumerate(self.layers):
            middle = (state, moments, state.transpose(1, 0, 2)) if index else (moments,)
            projection = None if index else self.projection
            # Of the last layer one row is needed, which from the left costs width times less than whole matrices.
            last = index == len(self.layers) - 1 and projection is None
            rows = slice(0, 1) if last else slice(None)
            updated = state[rows] if self.shape.residual else np.zeros((), dtype=np.uint64)
            shared = middle if last else (product(*middle),)
            for a, b in heads:
                updated = updated + product(a[rows], *shared, b, state)
            state = updated % np.uint64(self.field.p)
            state = state if projection is None else product(projection, state)
        return state[:1]
