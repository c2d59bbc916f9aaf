"""The full matrix of a Hamiltonian on a tiny lattice, which tests compare with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqtant.quantum.exact import Basis, sector_matrix
from seqtant.quantum.operators.pauli import PauliSum


def dense_matrix(hamiltonian: PauliSum) -> NDArray[np.complex128]:
    """Builds the matrix over all configurations, in the order of exact amplitudes."""
    everything = Basis(np.arange(2**hamiltonian.sites, dtype=np.int64), False, "all")
    return sector_matrix(hamiltonian, everything).toarray().astype(complex)
