"""How many directions a trained table really uses: its singular values and the ranks that they make.

Definitions, with s_1 >= s_2 >= ... the singular values and s^2 the energy:

- numerical rank at a share e: the least k whose tail s_{k+1}^2 + s_{k+2}^2 + ... is at most e of all energy;
- stable rank: ||A||_F^2 / ||A||_2^2 = sum s_i^2 / s_1^2 (Frobenius over spectral norm, squared);
- entropy rank: exp of the entropy of p_i = s_i / sum s (Roy and Vetterli's effective rank).

A trained table is no sample, so these numbers have no interval. Tables are reduced to their second moments, one pass in
float64 without a second copy, which gives singular values to about 1e-8 of the largest: far finer than any rank above
asks for, and finer than the float32 or bfloat16 the tables are stored in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from seqtant.errors import InputError
from seqtant.progress import SILENT, Progress, track

Matrix = Float[ndarray[Any, Any], "rows columns"]
Square = Float[ndarray[Any, Any], "columns columns"]
Vector = Float[ndarray[Any, Any], " columns"]

TAILS = (0.01, 0.001)
"""Shares of energy that a numerical rank leaves out at most."""
BLOCK = 4096
"""Rows converted to float64 at a time."""


@dataclass(frozen=True)
class Spectrum:
    """Singular values of a table, largest first, and the ranks that they make.

    Example:
        >>> flat = Spectrum(np.ones(8))
        >>> flat.numerical_rank(0.01), flat.stable_rank, round(flat.entropy_rank, 12)
        (8, 8.0, 8.0)
    """

    values: Vector

    def numerical_rank(self, tail: float) -> int:
        """Directions needed so that what they leave out is at most a share ``tail`` of the energy."""
        energy = self.values**2
        left = np.cumsum(energy[::-1])[::-1]
        return int(np.count_nonzero(left > tail * left[0]))

    @property
    def stable_rank(self) -> float:
        """Sum of squares over the largest square; 0 for a table without energy."""
        return float((self.values**2).sum() / self.values[0] ** 2) if self.values[0] > 0 else 0.0

    @property
    def entropy_rank(self) -> float:
        """Exponential of the entropy of the normalized singular values; 0 for a table without energy."""
        if self.values[0] == 0:
            return 0.0
        share = self.values[self.values > 0] / self.values.sum()
        return float(np.exp(-(share * np.log(share)).sum()))


@dataclass(frozen=True)
class Moments:
    """First and second moments of a table's rows: all that its spectrum depends on.

    Example:
        >>> table = np.random.default_rng(0).normal(size=(300, 5)) + 1.0
        >>> exact = np.linalg.svd(table - table.mean(0), compute_uv=False)
        >>> bool(np.allclose(Moments.of(table).spectrum(centered=True).values, exact))
        True
    """

    rows: int
    total: Vector
    """Sum of the rows."""
    gram: Square
    """A^T A."""
    zero_rows: int = 0
    """Rows that are all zero: padding that was never trained."""

    @classmethod
    def of(cls, table: Matrix, progress: Progress = SILENT) -> Moments:
        """Reads a table once, block by block.

        Args:
            table: The table.
            progress: Where to report: a quarter million rows of width 3072 take minutes.

        Raises:
            InputError: Every entry is zero, so that there is nothing to measure.
        """
        columns = table.shape[1]
        total, gram, zeros = np.zeros(columns), np.zeros((columns, columns)), 0
        for start in track(range(0, table.shape[0], BLOCK), progress, "reading a table"):
            block = np.asarray(table[start : start + BLOCK], dtype=np.float64)
            total += block.sum(0)
            gram += block.T @ block
            zeros += int((~block.any(1)).sum())
        if zeros == table.shape[0]:
            raise InputError("the embedding table is all zero: the checkpoint was never trained or is broken")
        return cls(table.shape[0], total, gram, zeros)

    def through(self, matrix: Matrix) -> Moments:
        """Moments of the rows after a linear map: A B^T for a ``matrix`` B of outputs x columns.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> table, up = rng.normal(size=(20, 3)), rng.normal(size=(6, 3))
            >>> bool(np.allclose(Moments.of(table).through(up).gram, Moments.of(table @ up.T).gram))
            True
        """
        wide = np.asarray(matrix, dtype=np.float64)
        return Moments(self.rows, wide @ self.total, wide @ self.gram @ wide.T, self.zero_rows)

    @property
    def covariance(self) -> Square:
        """Covariance of the rows, each row equally likely."""
        mean = self.total / self.rows
        return self.gram / self.rows - np.outer(mean, mean)

    def spectrum(self, *, centered: bool = False) -> Spectrum:
        """Singular values of the table, or of the table less its mean row."""
        gram = self.rows * self.covariance if centered else self.gram
        # Taking the mean away leaves rounding of the size of the whole table, which is no energy of the rest.
        noise = gram.shape[0] * np.finfo(np.float64).eps * float(np.trace(self.gram))
        return spectrum_of_gram(gram, self.rows, noise=noise)


def spectrum_of_gram(gram: Square, rows: int, *, noise: float = 0.0) -> Spectrum:
    """Singular values of any table with this A^T A; no more of them than rows, and zero where below the noise.

    Example:
        >>> spectrum_of_gram(np.diag([9.0, 4.0, 1.0]), rows=2).values.tolist()
        [3.0, 2.0]
    """
    squares = np.linalg.eigvalsh(gram)[::-1][: min(rows, gram.shape[0])]
    return Spectrum(np.sqrt(np.where(squares > noise, squares, 0.0)))
