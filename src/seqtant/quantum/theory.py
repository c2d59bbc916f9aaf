"""Closed forms that ground states are held against: the Ising chain, quality scores, counted operations.

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
    """Ground-state energy of the transverse-field Ising chain, H = -J sum ZZ - h sum X, by free fermions.

    Periodic: E = -sum_k eps(k) over k = (2m - 1) pi / N with eps(k) = sqrt(J^2 + h^2 - 2 J h cos k), valid for even
    N. Open: E = -(sum of the singular values of the bidiagonal matrix with h on the diagonal and J above it).

    Args:
        sites: Number of spins, at least 2; even if periodic.
        field: Transverse field h.
        coupling: Coupling J.
        boundary: ``"open"`` or ``"periodic"``.

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
        k = (2 * np.arange(1, sites + 1) - 1) * math.pi / sites
        return -float(np.sqrt(coupling**2 + field**2 - 2 * coupling * field * np.cos(k)).sum())
    matrix = field * np.eye(sites) + coupling * np.eye(sites, k=1)
    return -float(np.linalg.svd(matrix, compute_uv=False).sum())


def critical_ising_chain_energy(sites: int, boundary: str = "open") -> float:
    """The same at the critical field h = J = 1, where the sums close.

    Open: 1 - 1/sin(pi / (2 (2 N + 1))). Periodic: -2/sin(pi / (2 N)).

    Example:
        >>> round(critical_ising_chain_energy(64), 12)
        -81.125980123144
    """
    if boundary == "periodic":
        return -2 / math.sin(math.pi / (2 * sites))
    return 1 - 1 / math.sin(math.pi / (2 * (2 * sites + 1)))


def ising_chain_energy_per_site_infinite(field: float, coupling: float = 1.0) -> float:
    """Energy per site of the infinite chain: -(2/pi) (J + h) E(4 J h / (J + h)^2), E complete elliptic, second kind.

    Example:
        >>> round(ising_chain_energy_per_site_infinite(1.0), 12)
        -1.273239544735
    """
    total = abs(coupling) + abs(field)
    if total == 0:
        return 0.0
    return -2 / math.pi * total * float(ellipe(4 * abs(coupling * field) / total**2))


def ising_chain_gap(field: float, coupling: float = 1.0) -> float:
    """Energy of the lowest excitation of the infinite chain, 2 |J - h|: zero at the critical field.

    Example:
        >>> ising_chain_gap(1.0), ising_chain_gap(1.5)
        (0.0, 1.0)
    """
    return 2 * abs(abs(coupling) - abs(field))


def heisenberg_chain_energy_per_site_infinite() -> float:
    """Energy per site of the infinite antiferromagnetic Heisenberg chain in units of J S.S: 1/4 - ln 2 (Bethe ansatz).

    Example:
        >>> round(heisenberg_chain_energy_per_site_infinite(), 6)
        -0.443147
    """
    return 0.25 - math.log(2)


def v_score(energy: float, variance: float, sites: int) -> float:
    """Quality of a variational state without knowing the answer: N Var / E^2, for a traceless Hamiltonian.

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
    """Relaxation time of a Markov chain in steps: tau = -1 / ln lambda_2.

    Example:
        >>> round(relaxation_time(0.96255252), 1)
        26.2
    """
    if second_eigenvalue >= 1:
        return math.inf
    return -1 / math.log(second_eigenvalue) if second_eigenvalue > 0 else 0.0


def effective_samples(samples: int, autocorrelation_time: float) -> float:
    """Independent samples that a correlated chain is worth: n / (2 tau_int), tau_int >= 1/2.

    Example:
        >>> effective_samples(1000, 0.5), effective_samples(1000, 5.0)
        (1000.0, 100.0)
    """
    return samples / (2 * max(0.5, autocorrelation_time))


def paper_parameters(depth: int, width: int, outputs: int = 4, kernel: int = 3) -> int:
    """Parameters of the published two-stack network, weight normalization included.

    Each of the ``2 depth - 2`` blocks holds a k x k, a 1 x k, two 1 x 1 and a merging k x k convolution.

    Example:
        >>> paper_parameters(10, 32), paper_parameters(20, 32)
        (398340, 854020)
    """

    def block(inputs: int) -> int:
        square, line, half = kernel**2, kernel, width // 2
        weights = square * inputs * width + line * inputs * width + 2 * width * half + square * width * width
        return weights + 2 * (3 * width + 2 * half)

    return block(1) + (2 * depth - 3) * block(width) + width * outputs + outputs


def paper_operations(sites: int, depth: int, width: int, kernel: int = 3) -> int:
    """Multiply-adds of one evaluation of the published network, the first block counted like the others.

    Example:
        >>> round(2 * paper_operations(144, 10, 32) / 1e9, 3)
        0.117
    """
    per_block = width * width * (2 * kernel**2 + kernel + 1)
    return sites * (2 * depth - 2) * per_block


def suffix_share(rows: int) -> float:
    """Share of a full pass that a flip costs when rows above it are kept, on average: (rows + 1) / (2 rows).

    Example:
        >>> round(suffix_share(12), 2)
        0.54
    """
    return (rows + 1) / (2 * rows)
