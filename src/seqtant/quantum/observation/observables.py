"""Observables of a state with their errors: magnetizations, correlations, entanglement, fidelity.

All are means over independent samples; those that the symmetry group does not leave alone are measured on samples to
which a random group element was applied, as the symmetrized state demands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqtant.findings import Estimate
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState
from seqtant.quantum.operators.lattices import Lattice

State = AutoregressiveState | SymmetrizedState


@dataclass(frozen=True)
class Correlations:
    """Spin correlations of a lattice."""

    mean: NDArray[np.float64]
    """<Z_i Z_j>, shape (sites, sites)."""
    error: NDArray[np.float64]
    """Standard errors."""


def mean_of(values: Tensor, unit: str = "") -> Estimate:
    """Mean of independent values with its 95 % interval.

    Example:
        >>> round(mean_of(torch.tensor([1.0, 3.0])).value, 6)
        2.0
    """
    number = values.numel()
    value = float(values.double().mean())
    half = 1.96 * float(values.double().std()) / math.sqrt(number) if number > 1 else math.inf
    return Estimate(value=value, low=value - half, high=value + half, method="independent samples", n=number, unit=unit)


def magnetizations(spins: Tensor, lattice: Lattice) -> dict[str, Estimate]:
    """Magnetizations per site of samples: mean, modulus, square, and the staggered ones.

    Args:
        spins: Shape (samples, sites).
        lattice: Says which sites are staggered.
    """
    values = spins.double()
    sign = torch.tensor(lattice.staggering, dtype=torch.float64, device=spins.device)
    uniform, staggered = values.mean(1), (values * sign).mean(1)
    return {
        "magnetization": mean_of(uniform),
        "absolute_magnetization": mean_of(uniform.abs()),
        "squared_magnetization": mean_of(uniform**2),
        "absolute_staggered_magnetization": mean_of(staggered.abs()),
        "squared_staggered_magnetization": mean_of(staggered**2),
    }


def correlations(spins: Tensor) -> Correlations:
    """<Z_i Z_j> of samples (samples, sites) with standard errors."""
    values = spins.double()
    mean = values.T @ values / len(values)
    error = ((1 - mean**2).clamp(min=0) / max(1, len(values) - 1)).sqrt()
    return Correlations(mean.cpu().numpy(), error.cpu().numpy())


def transverse_magnetization(state: State, spins: Tensor, chunk: int = 512) -> Estimate:
    """Mean of X per site: the average over sites of psi(s with that site flipped) / psi(s).

    Args:
        state: The wave function; must not be confined to one magnetization.
        spins: Samples of it, shape (samples, sites).
        chunk: Configurations handled together.
    """
    moves = tuple((site,) for site in range(state.sites))
    found: list[Tensor] = []
    for part in spins.split(chunk):
        amplitude, phase = state.log_ratios(part, moves)
        found.append((amplitude.exp() * torch.cos(phase)).mean(1))
    return mean_of(torch.cat(found))


@torch.no_grad()
def renyi_entropy(state: State, spins: Tensor, region: list[int]) -> Estimate:
    """Second Renyi entropy of a region, in nats, by exchanging it between two independent samples.

    exp(-S2) is the mean of psi(a') psi(b') / (psi(a) psi(b)) over pairs (a, b), a' and b' having the region's spins
    exchanged. Source: Hastings et al., Physical Review Letters 104, 157201 (2010).

    Args:
        state: A normalized wave function.
        spins: Independent samples of it, an even number, shape (samples, sites).
        region: Sites of the region.
    """
    half = len(spins) // 2
    one, other = spins[:half], spins[half : 2 * half]
    mixed_one, mixed_other = one.clone(), other.clone()
    mixed_one[:, region], mixed_other[:, region] = other[:, region], one[:, region]
    parts = [state.log_psi(s) for s in (mixed_one, mixed_other, one, other)]
    amplitude = parts[0][0] + parts[1][0] - parts[2][0] - parts[3][0]
    phase = parts[0][1] + parts[1][1] - parts[2][1] - parts[3][1]
    purity = mean_of(amplitude.exp() * torch.cos(phase))
    if purity.value <= 0 or purity.low is None or purity.high is None:
        return Estimate(value=0.0, method="too few samples for this entropy", n=half, unit="nats")
    low = -math.log(min(1.0, purity.high))
    high = -math.log(max(1e-300, purity.low)) if purity.low > 0 else None
    return Estimate(
        value=-math.log(purity.value),
        low=low if high is not None else None,
        high=high,
        method="swap of independent samples",
        n=half,
        unit="nats",
    )


def exact_renyi_entropy(vector: NDArray[np.complex128], sites: int, region: list[int]) -> float:
    """The same from all amplitudes: -ln Tr rho^2 of the region.

    Example:
        >>> pair = np.array([0, 1, 1, 0]) / 2**0.5
        >>> round(exact_renyi_entropy(pair, 2, [0]), 6)
        0.693147
    """
    axes = vector.reshape((2,) * sites)
    places = [sites - 1 - site for site in region]
    rest = [axis for axis in range(sites) if axis not in places]
    matrix = np.transpose(axes, places + rest).reshape(2 ** len(region), -1)
    return -math.log(float((np.linalg.svd(matrix, compute_uv=False) ** 4).sum()))


def fidelity(vector: NDArray[np.complex128], exact: NDArray[np.complex128]) -> float:
    """|<exact|state>|^2 of two normalized vectors.

    Example:
        >>> fidelity(np.array([1, 0j]), np.array([0.6, 0.8j]))
        0.36
    """
    return float(abs(np.vdot(exact, vector)) ** 2)


def left_half(lattice: Lattice) -> list[int]:
    """Sites of the left half of a lattice."""
    return [site for site in range(lattice.sites) if site % lattice.columns < lattice.columns // 2]
