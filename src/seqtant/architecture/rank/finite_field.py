"""Arithmetic modulo a prime just below 2^31, vectorized: ranks come out exact, where floating point loses them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt64

Numbers: TypeAlias = UInt64[np.ndarray, "..."]

_BITS = np.uint64(31)
_MASK = np.uint64(2**31 - 1)
_CHUNK = 4
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
        """Uniform numbers of the field."""
        return generator.integers(self.p, size=shape, dtype=np.uint64)

    def matmul(self, left: Numbers, right: Numbers) -> Numbers:
        """Matrix product over the first two axes, for every index of the others.

        Args:
            left: rows x inner x batch, numbers below p.
            right: inner x columns x batch, numbers below p; either batch may have size 1.

        Returns:
            rows x columns x batch.
        """
        total = np.zeros((), dtype=np.uint64)
        for start in range(0, left.shape[1], _CHUNK):
            part = slice(start, start + _CHUNK)
            total = total + self._fold(np.einsum("ikb,kjb->ijb", left[:, part], right[part]))
        return total % np.uint64(self.p)

    def rank(self, matrix: Numbers) -> int:
        """Rank of a matrix over the field; by python-flint where it is installed, else by :meth:`rank_by_numpy`."""
        return self.rank_by_flint(matrix) if find_spec("flint") else self.rank_by_numpy(matrix)

    def rank_by_flint(self, matrix: Numbers) -> int:
        """Rank by the library FLINT (extra ``exact``)."""
        from flint import nmod_mat

        rows, columns = matrix.shape
        return int(nmod_mat(rows, columns, matrix.ravel().tolist(), self.p).rank())

    def rank_by_numpy(self, matrix: Numbers) -> int:
        """Rank by Gaussian elimination: one outer product per pivot on the rows and columns still left.

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
            inverse = pow(int(column[row]), -1, self.p)
            factors = self._fold(column * np.uint64(inverse)) % np.uint64(self.p)
            others = np.arange(len(column)) != row
            products = self._fold(factors[others, None] * rest[row])
            rest = (rest[others] + np.uint64(self.p) * np.uint64(self.gap + 2) - products) % np.uint64(self.p)
        return rank

    def _fold(self, numbers: Numbers) -> Numbers:
        """An equal number modulo p below 2^33 (gap + 1): 2^31 counts as the gap."""
        return (numbers & _MASK) + (numbers >> _BITS) * np.uint64(self.gap)


FIELDS = (PrimeField(gap=1), PrimeField(gap=19))
"""Two primes: a rank that both agree on is no accident of one of them."""
