"""Exact diagonalization of small lattices: sparse, in the smallest sector that is certain to hold the ground state.

Configurations are integers: bit i set means spin i is -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from seqtant.errors import InputError
from seqtant.quantum.operators.pauli import PauliSum

LARGEST = 20
"""Most spins that are diagonalized: about a million configurations."""


@dataclass(frozen=True)
class ExactState:
    """The ground state of a Hamiltonian."""

    energy: float
    """Lowest eigenvalue."""
    amplitudes: NDArray[np.complex128]
    """Normalized amplitudes of all 2^sites configurations, bit i of the index set for spin i = -1."""
    sector: str
    """Where it was looked for."""


@dataclass(frozen=True)
class Basis:
    """Configurations of a sector, sorted."""

    states: NDArray[np.int64]
    folded: bool
    """Whether each configuration stands for itself and its mirror image under the flip of all spins."""
    name: str

    @classmethod
    def choose(cls, hamiltonian: PauliSum) -> Basis:
        """The smallest sector that must hold the lowest energy."""
        n = hamiltonian.sites
        everything = np.arange(2**n, dtype=np.int64)
        if hamiltonian.conserves_magnetization and _lowest_magnetization_is_lowest(hamiltonian):
            ups = n - n // 2
            chosen = everything[np.bitwise_count(everything.astype(np.uint64)) == n - ups]
            return cls(chosen, False, f"magnetization {2 * ups - n}")
        # Without signs the ground state is positive (Perron and Frobenius), hence even under the flip.
        if hamiltonian.is_flip_symmetric and hamiltonian.is_stoquastic and hamiltonian.moves:
            return cls(everything[: 2 ** (n - 1)], True, "even under spin flip")
        return cls(everything, False, "all")


def _lowest_magnetization_is_lowest(hamiltonian: PauliSum) -> bool:
    # Rotation invariance puts a member of every multiplet into the sector of smallest |magnetization|.
    axes = {(s.sites, s.axes): s.coefficient for s in hamiltonian.strings}
    turned = set(hamiltonian.rotated_sites)
    for string in hamiltonian.strings:
        if len(string.sites) != 2 or string.axes not in {"XX", "YY", "ZZ"}:
            return False
        sign = -1 if len(turned & set(string.sites)) == 1 else 1
        plain = {a: axes.get((string.sites, a), 0) * (sign if a != "ZZ" else 1) for a in ("XX", "YY", "ZZ")}
        if max(abs(plain["XX"] - plain["ZZ"]), abs(plain["YY"] - plain["ZZ"])) > 1e-12:
            return False
    return True


def ground_state(hamiltonian: PauliSum) -> ExactState:
    """Finds the ground state by sparse diagonalization.

    Raises:
        InputError: There are too many spins.

    Example:
        >>> from seqtant.quantum.operators.hamiltonians import Couplings, build
        >>> from seqtant.quantum.operators.lattices import Lattice
        >>> round(ground_state(build("tfim", Lattice.parse("3x3"), Couplings(field=3.0))).energy, 9)
        -28.074198891
    """
    if hamiltonian.sites > LARGEST:
        raise InputError(f"{hamiltonian.sites} spins are too many to diagonalize: at most {LARGEST}")
    basis = Basis.choose(hamiltonian)
    matrix = sector_matrix(hamiltonian, basis)
    energy, vector = lowest(matrix)
    amplitudes = np.zeros(2**hamiltonian.sites, dtype=complex)
    amplitudes[basis.states] = vector
    if basis.folded:
        amplitudes[basis.states ^ (2**hamiltonian.sites - 1)] = vector
    amplitudes /= np.sqrt(np.vdot(amplitudes, amplitudes).real)
    return ExactState(energy, amplitudes, basis.name)


def lowest(matrix: Any) -> tuple[float, NDArray[np.complex128]]:
    """Lowest eigenvalue and eigenvector of a Hermitian sparse matrix.

    Raises:
        InputError: The Lanczos iteration does not converge.
    """
    if matrix.shape[0] <= 256:
        values, vectors = np.linalg.eigh(matrix.toarray())
        return float(values[0]), vectors[:, 0]
    start = np.random.default_rng(0).normal(size=matrix.shape[0]) + 1.0
    try:
        values, vectors = eigsh(matrix, k=1, which="SA", v0=start, tol=1e-12)  # type: ignore[arg-type]
    except ArpackNoConvergence as error:
        raise InputError(f"diagonalization did not converge: {error}") from error
    return float(values[0]), vectors[:, 0]


def sector_matrix(hamiltonian: PauliSum, basis: Basis) -> Any:
    """The Hamiltonian in a sector as a sparse matrix."""
    size, last = len(basis.states), 2**hamiltonian.sites - 1
    dtype = np.float64 if hamiltonian.is_real else np.complex128
    rows, columns, values = [], [], []
    for flips in ((), *hamiltonian.moves):
        elements = row_elements(hamiltonian, flips, basis.states)
        to = basis.states ^ sum(1 << site for site in flips)
        if basis.folded:
            to = np.where(to > last >> 1, to ^ last, to)
        place = np.minimum(np.searchsorted(basis.states, to), size - 1)
        kept = (elements != 0) & (basis.states[place] == to)
        rows.append(np.nonzero(kept)[0])
        columns.append(place[kept])
        values.append(elements[kept].astype(dtype) if dtype == np.complex128 else elements[kept].real)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.coo_array(entries, shape=(size, size)).tocsr()


def row_elements(hamiltonian: PauliSum, flips: tuple[int, ...], states: NDArray[np.int64]) -> NDArray[np.complex128]:
    """Elements <s|H|s'> where s' is s with some sites flipped, for configurations s given as integers."""
    total = np.zeros(len(states), dtype=complex)
    for string in hamiltonian.by_move.get(flips, []):
        mask = np.uint64(sum(1 << site for site in string.signs))
        parity = np.bitwise_count(states.astype(np.uint64) & mask) & 1
        total += string.weight * (1.0 - 2.0 * parity)
    return total


def dense_matrix(hamiltonian: PauliSum) -> NDArray[np.complex128]:
    """The full matrix over all configurations, for tests and tiny systems.

    Raises:
        InputError: There are more than 12 spins.
    """
    if hamiltonian.sites > 12:
        raise InputError(f"{hamiltonian.sites} spins are too many for a dense matrix: at most 12")
    everything = Basis(np.arange(2**hamiltonian.sites, dtype=np.int64), False, "all")
    return sector_matrix(hamiltonian, everything).toarray().astype(complex)


def configurations(sites: int) -> NDArray[np.int8]:
    """All configurations as spins +1 and -1, shape (2^sites, sites), in the order of exact amplitudes.

    Example:
        >>> configurations(2).tolist()
        [[1, 1], [-1, 1], [1, -1], [-1, -1]]
    """
    index = np.arange(2**sites, dtype=np.int64)
    return (1 - 2 * ((index[:, None] >> np.arange(sites)) & 1)).astype(np.int8)
