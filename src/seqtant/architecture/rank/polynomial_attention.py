"""The exact separation rank of a small attention network: evaluated on a grid of inputs modulo a prime, eliminated.

The network is the one both papers analyze (no softmax, no normalization, no feed-forward part):
y^i = sum_j sum_h <W_Q x^i, W_K x^j> W_O W_V x^j, stacked L times. Its output depends on the other inputs only through
S = X X^T, so that a layer costs the same for any number of tokens:

    P_0 = I,   P_l = sum_h A_h (P_{l-1} S P_{l-1}^T) B_h P_{l-1},   y^i = P_L x^i,   A_h = W_O W_V,  B_h = W_K^T W_Q.

The separation rank between two halves of the tokens is the rank of the matrix M[s, t] = y_0(a_s, b_t) over enough
random inputs a_s of one half and b_t of the other; y_0 is coordinate 0 of the output at the first half's first token.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import reduce

import numpy as np

from seqtant.architecture.config import RankConfig
from seqtant.architecture.rank.finite_field import FIELDS, Numbers, PrimeField
from seqtant.architecture.theory import closed_form_rank
from seqtant.errors import InputError
from seqtant.progress import SILENT, Progress, track

_BATCH = 8192
"""Pairs of inputs evaluated at once: large enough for NumPy, small enough for the cache."""
_MARGIN = 8
"""Inputs beyond the closed form: a rank that reached them all would show."""


@dataclass(frozen=True)
class RankRun:
    """One elimination: a seed, a prime, a grid of inputs and its rank."""

    seed: int
    """Seed of the weights and of the inputs."""
    prime: int
    """The modulus."""
    templates: int
    """Inputs per half."""
    rank: int
    """Rank of the grid."""
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
    """The rank."""
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


def separation_rank(config: RankConfig, *, seed: int = 0, progress: Progress = SILENT) -> SeparationRank:
    """Measures the exact separation rank of generic weights of a shape.

    The grid is doubled (but not far beyond the closed form) until its rank stays below its size; the final grid is
    drawn again with a second seed and with a second prime. A rank can only be underestimated, with a probability of
    about (degree x rank) / 2^31.

    Args:
        config: The network and the sizes of the grid.
        seed: Seed of weights and inputs.
        progress: Where the work reports.

    Raises:
        InputError: A finite vocabulary has more inputs per half than ``max_templates``.

    Example:
        >>> found = separation_rank(RankConfig(depth=2, width=3, tokens=6))
        >>> found.rank, found.saturated
        (49, True)
    """
    first, second = FIELDS
    templates = min(config.templates, config.max_templates)
    while True:
        run = rank_run(config, templates, field=first, seed=seed, progress=progress)
        if run.saturated or templates >= config.max_templates:
            break
        templates = min(_larger(config, templates), config.max_templates)
    again = [
        rank_run(config, templates, field=first, seed=seed + 1, progress=progress),
        rank_run(config, templates, field=second, seed=seed, progress=progress),
    ]
    runs = (run, *again)
    return SeparationRank(max(run.rank for run in runs), runs)


def _larger(config: RankConfig, templates: int) -> int:
    """Twice as many inputs, or just more than the closed form where that is fewer: a rank above it goes on doubling."""
    rank = config.width if config.embed_rank is None or config.positions == "free" else config.embed_rank
    enough = closed_form_rank(config.depth, min(rank, config.width), config.tokens) + _MARGIN
    return enough if templates < enough < 2 * templates else 2 * templates


def rank_run(
    config: RankConfig, templates: int, *, field: PrimeField, seed: int, progress: Progress = SILENT
) -> RankRun:
    """One elimination over a grid of ``templates`` x ``templates`` inputs."""
    network = Network.draw(config, field, np.random.default_rng([seed, 0]))
    halves = network.halves(templates, np.random.default_rng([seed, 1]))
    grid = network.grid(*halves, progress=progress)
    return RankRun(seed, field.p, len(grid), field.rank(grid), config.vocab is not None)


@dataclass(frozen=True)
class Network:
    """Weights of the network over a prime field."""

    config: RankConfig
    """Its shape."""
    field: PrimeField
    """Where its numbers live."""
    layers: tuple[tuple[tuple[Numbers, Numbers], ...], ...]
    """Per layer and head the matrices A and B, width x width x 1 each."""
    embedding: Numbers
    """width x (rank or vocabulary): inputs are its columns' combinations, or its columns."""
    positions: Numbers
    """width x tokens: added to the inputs."""
    projection: Numbers | None
    """width x width x 1 of low rank, applied after the first layer; None for none."""

    @classmethod
    def draw(cls, config: RankConfig, field: PrimeField, generator: np.random.Generator) -> Network:
        """Draws all weights uniformly."""

        def product(rows: int, inner: int, columns: int) -> Numbers:
            return field.matmul(field.draw(generator, rows, inner, 1), field.draw(generator, inner, columns, 1))

        width, head = config.width, config.inner // config.heads
        layers = tuple(
            tuple((product(width, head, width), product(width, head, width)) for _ in range(config.heads))
            for _ in range(config.depth)
        )
        rank = width if config.embed_rank is None else min(config.embed_rank, width)
        basis = field.draw(generator, width, rank) if rank < width else np.eye(width, dtype=np.uint64)
        positions = np.zeros((width, config.tokens), dtype=np.uint64)
        if config.positions == "free":
            positions = field.draw(generator, width, config.tokens)
        elif config.positions == "span":
            positions = _flat(field, basis, field.draw(generator, rank, config.tokens))
        embedding = basis
        if config.vocab is not None:
            embedding = _flat(field, basis, field.draw(generator, rank, config.vocab))
        projection = None if config.projection is None else product(width, config.projection, width)
        return cls(config, field, layers, embedding, positions, projection)

    def halves(self, templates: int, generator: np.random.Generator) -> tuple[Numbers, Numbers]:
        """Inputs of both halves, width x (tokens / 2) x templates each; every word there is, if words are finite.

        Raises:
            InputError: There are more words than ``max_templates``.
        """
        half = self.config.tokens // 2
        if self.config.vocab is None:
            rank = self.embedding.shape[1]
            codes = [self.field.draw(generator, rank, half * templates) for _ in range(2)]
            parts = [_flat(self.field, self.embedding, code).reshape(-1, half, templates) for code in codes]
        else:
            words = self._words(self.config.vocab, half)
            parts = [self.embedding[:, words]] * 2
        positions = self.positions[:, :half, None], self.positions[:, half:, None]
        first, second = ((part + shift) % np.uint64(self.field.p) for part, shift in zip(parts, positions, strict=True))
        return first, second

    def grid(self, first: Numbers, second: Numbers, *, progress: Progress = SILENT) -> Numbers:
        """The matrix M[s, t]: coordinate 0 of the first token's output for every pair of halves."""
        moments_first, moments_second = self._moments(first), self._moments(second)
        templates, rows = second.shape[2], max(1, _BATCH // second.shape[2])
        blocks = range(0, first.shape[2], rows)
        grid = np.empty((first.shape[2], templates), dtype=np.uint64)
        for start in track(blocks, progress, f"evaluating {len(grid)} x {templates} inputs"):
            part = slice(start, start + rows)
            moments = (moments_first[:, :, part, None] + moments_second[:, :, None, :]) % np.uint64(self.field.p)
            row = self.output_row(moments.reshape(*moments.shape[:2], -1))
            token = np.repeat(first[:, :1, part], templates, axis=2)
            grid[part] = self.field.matmul(row, token).reshape(-1, templates)
        return grid

    def output_row(self, moments: Numbers) -> Numbers:
        """Row 0 of P_L for every S in a batch.

        Args:
            moments: S, width x width x batch.

        Returns:
            1 x width x batch.
        """
        state: Numbers = np.eye(self.config.width, dtype=np.uint64)[:, :, None]
        for index, heads in enumerate(self.layers):
            middle = (state, moments, state.transpose(1, 0, 2)) if index else (moments,)
            projection = None if index else self.projection
            # Of the last layer one row is needed, which from the left costs width times less than whole matrices.
            last = index == len(self.layers) - 1 and projection is None
            rows = slice(0, 1) if last else slice(None)
            updated = state[rows] if self.config.residual else np.zeros((), dtype=np.uint64)
            shared = middle if last else (self._product(*middle),)
            for a, b in heads:
                updated = updated + self._product(a[rows], *shared, b, state)
            state = updated % np.uint64(self.field.p)
            state = state if projection is None else self._product(projection, state)
        return state[:1]

    def _product(self, *factors: Numbers) -> Numbers:
        """Product of matrices, from the left."""
        return reduce(self.field.matmul, factors)

    def _moments(self, inputs: Numbers) -> Numbers:
        return self.field.matmul(inputs, inputs.transpose(1, 0, 2))

    def _words(self, vocabulary: int, length: int) -> np.ndarray:
        count, limit = vocabulary**length, self.config.max_templates
        if count > limit:
            raise InputError(
                f"vocab {vocabulary} has {count} words of {length} tokens per half, above max_templates {limit}: "
                "give a smaller vocab or fewer tokens"
            )
        return np.array(list(itertools.product(range(vocabulary), repeat=length))).T


def _flat(field: PrimeField, left: Numbers, right: Numbers) -> Numbers:
    return field.matmul(left[:, :, None], right[:, :, None])[:, :, 0]
