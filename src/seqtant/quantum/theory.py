"""Closed forms that ground states are compared with: energies of chains, the V-score, relaxation times.

Symbols: N sites, J coupling, h transverse field, k momentum, eps(k) energy of a free fermion, E energy, Var variance of
the energy, tau relaxation time in Metropolis proposals, lambda_2 second largest eigenvalue of a transition matrix.

Sources: Pfeuty, Annals of Physics 57, 79 (1970), for the Ising chain; Lieb, Schultz and Mattis, Annals of Physics 16,
407 (1961), for open free-fermion chains; Wu et al., Science 386, 296 (2024), for the V-score.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ellipe  # pyright: ignore[reportMissingTypeStubs]


def ising_chain_energy(sites: int, field: float, coupling: float = 1.0, boundary: str = "open") -> float:
    """Computes the ground-state energy of the transverse-field Ising chain, H = -J sum ZZ - h sum X (free fermions).

    Periodic: E = -sum_k eps(k) over k = (2m - 1) pi / N with eps(k) = sqrt(J^2 + h^2 - 2 J h cos k), valid for even
    N. Open: E = -(sum of the singular values of the bidiagonal matrix with h on the diagonal and J above it).

    Raises:
        ValueError: The chain is too short, or periodic and odd.

    Example:
        >>> round(ising_chain_energy(10, 1.0), 12)
        -12.381489999655
        >>> round(ising_chain_energy(10, 1.0, boundary="periodic"), 12)
        -12.784906442999
    """
    if sites < 2 or (boundary == "periodic" and (sites % 2 or sites < 4)):
        raise ValueError(f"no closed form for {sites} sites with {boundary} boundary")
    if boundary == "periodic":
        # Half-integer momenta: with an even number of fermions the periodic chain is antiperiodic for them.
        k = (2 * np.arange(1, sites + 1) - 1) * math.pi / sites
        return -float(np.sqrt(coupling**2 + field**2 - 2 * coupling * field * np.cos(k)).sum())
    matrix = field * np.eye(sites) + coupling * np.eye(sites, k=1)
    return -float(np.linalg.svd(matrix, compute_uv=False).sum())


def ising_chain_energy_per_site_infinite(field: float, coupling: float = 1.0) -> float:
    """Computes the energy per site of the infinite Ising chain.

    -(2/pi) (J + h) E(4 J h / (J + h)^2), with E the complete elliptic integral of the second kind.

    Example:
        >>> round(ising_chain_energy_per_site_infinite(1.0), 12)
        -1.273239544735
    """
    total = abs(coupling) + abs(field)
    if total == 0:
        return 0.0
    return -2 / math.pi * total * float(ellipe(4 * abs(coupling * field) / total**2))


def heisenberg_chain_energy_per_site_infinite() -> float:
    """Computes the energy per site of the infinite antiferromagnetic Heisenberg chain: 1/4 - ln 2 in units of J S.S.

    By Bethe ansatz.

    Example:
        >>> round(heisenberg_chain_energy_per_site_infinite(), 6)
        -0.443147
    """
    return 0.25 - math.log(2)


def v_score(energy: float, variance: float, sites: int) -> float:
    """Computes the quality of a variational state without knowing the answer: N Var / E^2, for a traceless Hamiltonian.

    Zero on an eigenstate. Assumes Tr H = 0.

    Raises:
        ValueError: The energy is zero.

    Example:
        >>> v_score(-50.0, 0.1, 16)
        0.00064
    """
    if energy == 0:
        raise ValueError("the V-score of a state of energy zero is not defined")
    return sites * variance / energy**2


def relaxation_time(second_eigenvalue: float) -> float:
    """Computes the relaxation time of a Markov chain in steps: tau = -1 / ln lambda_2.

    Example:
        >>> round(relaxation_time(0.96255252), 1)
        26.2
    """
    if second_eigenvalue >= 1:
        return math.inf
    return -1 / math.log(second_eigenvalue) if second_eigenvalue > 0 else 0.0
