"""Small lattices without sampling: exact diagonalization, and sums over all configurations of a wave function.

Diagonalization is sparse, in the smallest sector that is certain to hold the ground state. A symmetrized wave function
has one amplitude per orbit of its symmetry group: on up to 16 spins all of them can be summed, so energy and gradient
are exact, and the kernel of a natural-gradient step has one row per orbit. An orbit has the phase of its first
configuration, those of the others play no part.

Configurations are integers: bit i set means spin i is -1.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import ArpackNoConvergence, eigsh
from torch import Tensor

from seqtant.errors import InputError
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.jacobian import Block, jacobian
from seqtant.quantum.operators.lattices import Group
from seqtant.quantum.operators.pauli import PauliSum

LARGEST = 20
"""Most spins that are diagonalized: about a million configurations."""
AT_ONCE = 1024
"""Configurations whose derivatives are found together."""


@dataclass(frozen=True)
class ExactState:
    """The ground state of a Hamiltonian."""

    energy: float
    """Lowest eigenvalue."""
    amplitudes: NDArray[np.complex128]
    """Normalized amplitudes of all 2^sites configurations, bit i of the index set for spin i = -1."""
    sector: str
    """Sector that was diagonalized."""


@dataclass(frozen=True)
class Basis:
    """Configurations of a sector, sorted."""

    states: NDArray[np.int64]
    folded: bool
    """Whether each configuration stands for itself and its mirror image under the flip of all spins."""
    name: str

    @classmethod
    def choose(cls, hamiltonian: PauliSum) -> Basis:
        """Chooses the smallest sector that must hold the lowest energy."""
        n = hamiltonian.sites
        everything = np.arange(2**n, dtype=np.int64)
        # Rotation invariance puts a member of every multiplet into the sector of smallest |magnetization|.
        if hamiltonian.conserves_magnetization and _is_rotation_invariant(hamiltonian):
            ups = n - n // 2
            # Set bits are spins -1; with n // 2 of them the magnetization is 0, or 1 if n is odd.
            chosen = everything[np.bitwise_count(everything.astype(np.uint64)) == n - ups]
            return cls(chosen, False, f"magnetization {2 * ups - n}")
        # Without signs the ground state is positive (Perron and Frobenius), hence even under the flip.
        if hamiltonian.is_flip_symmetric and hamiltonian.is_stoquastic and hamiltonian.moves:
            return cls(everything[: 2 ** (n - 1)], True, "even under spin flip")
        return cls(everything, False, "all")


def _is_rotation_invariant(hamiltonian: PauliSum) -> bool:
    """Tells whether all terms are S.S on pairs, the Marshall rotation undone."""
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


def diagonalize(hamiltonian: PauliSum) -> ExactState:
    """Finds the ground state by sparse diagonalization.

    Raises:
        InputError: There are too many spins, or the Lanczos iteration does not converge.

    Example:
        >>> from seqtant.quantum.operators.hamiltonians import Couplings, build
        >>> from seqtant.quantum.operators.lattices import Lattice
        >>> round(diagonalize(build("tfim", Lattice.parse("3x3"), Couplings(field=3.0))).energy, 9)
        -28.074198891
    """
    if hamiltonian.sites > LARGEST:
        raise InputError(f"{hamiltonian.sites} spins are too many to diagonalize: at most {LARGEST}")
    basis = Basis.choose(hamiltonian)
    matrix = sector_matrix(hamiltonian, basis)
    if matrix.shape[0] <= 256:
        values, vectors = np.linalg.eigh(matrix.toarray())
    else:
        # The constant part overlaps a ground state without signs, the random part any other one.
        start = np.random.default_rng(0).normal(size=matrix.shape[0]) + 1.0
        try:
            values, vectors = eigsh(matrix, k=1, which="SA", v0=start, tol=1e-12)  # type: ignore[arg-type]
        except ArpackNoConvergence as error:
            raise InputError(f"diagonalization did not converge: {error}") from error
    amplitudes = np.zeros(2**hamiltonian.sites, dtype=complex)
    amplitudes[basis.states] = vectors[:, 0]
    if basis.folded:
        amplitudes[basis.states ^ (2**hamiltonian.sites - 1)] = vectors[:, 0]
    amplitudes /= np.sqrt(np.vdot(amplitudes, amplitudes).real)
    return ExactState(float(values[0]), amplitudes, basis.name)


def sector_matrix(hamiltonian: PauliSum, basis: Basis) -> Any:
    """Builds the Hamiltonian in a sector as a sparse matrix."""
    size, last = len(basis.states), 2**hamiltonian.sites - 1
    dtype = np.float64 if hamiltonian.is_real else np.complex128
    rows, columns, values = [], [], []
    for flips in ((), *hamiltonian.moves):
        elements = row_elements(hamiltonian, flips, basis.states)
        to = basis.states ^ sum(1 << site for site in flips)
        if basis.folded:
            # The lower half of the numbers names the pairs (last spin up); the two elements of a pair add up.
            to = np.where(to > last >> 1, to ^ last, to)
        # Only elements that stay inside the sector are kept.
        # searchsorted gives absent ones a place too, even one past the end: the comparison drops them.
        place = np.minimum(np.searchsorted(basis.states, to), size - 1)
        kept = (elements != 0) & (basis.states[place] == to)
        rows.append(np.nonzero(kept)[0])
        columns.append(place[kept])
        values.append(elements[kept].astype(dtype) if dtype == np.complex128 else elements[kept].real)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.coo_array(entries, shape=(size, size)).tocsr()


def row_elements(hamiltonian: PauliSum, flips: tuple[int, ...], states: NDArray[np.int64]) -> NDArray[np.complex128]:
    """Computes elements <s|H|s'> where s' is s with some sites flipped, for configurations s given as integers."""
    total = np.zeros(len(states), dtype=complex)
    for string in hamiltonian.by_move.get(flips, []):
        # The product of spins is the parity of the bits under Y and Z.
        mask = np.uint64(sum(1 << site for site in string.signs))
        parity = np.bitwise_count(states.astype(np.uint64) & mask) & 1
        total += string.weight * (1.0 - 2.0 * parity)
    return total


def configurations(sites: int) -> NDArray[np.int8]:
    """Lists all configurations as spins +1 and -1, shape (2^sites, sites), in the order of exact amplitudes.

    Example:
        >>> configurations(2).tolist()
        [[1, 1], [-1, 1], [1, -1], [-1, -1]]
    """
    index = np.arange(2**sites, dtype=np.int64)
    return (1 - 2 * ((index[:, None] >> np.arange(sites)) & 1)).astype(np.int8)


def indices(spins: Tensor) -> Tensor:
    """Converts spins (..., sites) to the integers of configurations (...).

    Example:
        >>> indices(torch.tensor([[1, 1], [-1, 1], [1, -1]])).tolist()
        [0, 1, 2]
    """
    return ((spins < 0).long() << torch.arange(spins.shape[-1], device=spins.device)).sum(-1)


@dataclass(frozen=True)
class Amplitudes:
    """A symmetrized state on all orbits, and the weight of each configuration in its orbit."""

    probability: Tensor
    """Probability of each orbit, adding up to 1, shape (orbits,)."""
    log_amplitude: Tensor
    """Logarithm of the modulus that each configuration of an orbit has."""
    energies: Tensor
    """Local energy of each orbit, shape (orbits,), complex if the state is."""
    share: Tensor
    """Probability of each configuration within its orbit, shape (configurations,)."""


@dataclass(frozen=True)
class Orbits:
    """The configurations of a sector and the orbit of each.

    Example:
        >>> from seqtant.quantum.operators.hamiltonians import Couplings, build
        >>> from seqtant.quantum.operators.lattices import Lattice, symmetry_group
        >>> square = Lattice.parse("2x2")
        >>> pauli = build("heisenberg", square, Couplings())
        >>> orbits = Orbits.of(pauli, symmetry_group(square, pauli, 0), 0)
        >>> len(orbits.spins), len(orbits)
        (6, 2)
    """

    spins: Tensor
    """Shape (configurations, sites), int8."""
    orbit: Tensor
    """Number of the orbit of each configuration."""
    first: Tensor
    """Place of one configuration of each orbit."""
    matrix: Tensor
    """<first of o|H|all of o'>, sparse, shape (orbits, orbits)."""

    @classmethod
    def of(cls, pauli: PauliSum, group: Group, magnetization: int | None) -> Orbits:
        """Finds the orbits, under symmetries of a Hamiltonian, of a sector; all configurations where there is none."""
        index = np.arange(2**pauli.sites, dtype=np.int64)
        if magnetization is not None:
            down = np.bitwise_count(index.astype(np.uint64))
            index = index[2 * down == pauli.sites - magnetization]
        spins = torch.from_numpy(configurations(pauli.sites)[index])
        # An orbit is named after its smallest configuration.
        smallest = torch.from_numpy(index)
        for permutation, sign in zip(group.permutations, group.signs, strict=True):
            # The group is closed, so the minimum over all images is the same for every member of an orbit.
            smallest = torch.minimum(smallest, indices(spins[:, permutation] * int(sign)))
        names, orbit = np.unique(smallest.numpy(), return_inverse=True)
        first = np.searchsorted(index, names)
        # Rows of one configuration per orbit, columns added up by orbit.
        entries = sector_matrix(pauli, Basis(index, False, "sector"))[first].tocoo()
        where = torch.from_numpy(np.stack([entries.row.astype(np.int64), orbit[entries.col]]))
        size = (len(first), len(first))
        matrix = torch.sparse_coo_tensor(where, torch.from_numpy(entries.data), size, check_invariants=False)
        return cls(spins, torch.from_numpy(orbit), torch.from_numpy(first), matrix.coalesce())

    def __len__(self) -> int:
        return len(self.first)

    def to(self, device: torch.device) -> Orbits:
        """Moves everything to a device."""
        return Orbits(*(x.to(device) for x in (self.spins, self.orbit, self.first, self.matrix)))

    @torch.no_grad()
    def amplitudes(self, state: AutoregressiveState) -> Amplitudes:
        """Evaluates a plain state on all configurations and symmetrizes it."""
        parts = [state.log_psi(part) for part in self.spins.split(4 * AT_ONCE)]
        amplitude, phase = (torch.cat(column) for column in zip(*parts, strict=True))
        probability = (2 * amplitude).exp()
        # Sums over the configurations of each orbit.
        nothing = probability.new_zeros(len(self))
        total = nothing.index_add(0, self.orbit, probability)
        size = (total / nothing.index_add(0, self.orbit, torch.ones_like(probability))).sqrt()
        # psi(s) of a symmetrized state: root mean square modulus, phase of the first configuration.
        psi = size if state.kind == "positive" else torch.polar(size, phase[self.first])
        dtype = torch.promote_types(psi.dtype, self.matrix.dtype)
        # Amplitudes are equal within an orbit, so H acts on one row per orbit with its columns added up.
        energies = (self.matrix.to(dtype) @ psi.to(dtype)[:, None])[:, 0] / psi
        return Amplitudes(total, size.log(), energies, probability / total[self.orbit])

    def jacobian(self, state: AutoregressiveState, found: Amplitudes) -> Iterator[Block]:
        """Yields the derivatives of log psi, a row per orbit, from :meth:`amplitudes` at the same parameters."""
        phases = {block.parameters: block.phase for block in jacobian(state, self.spins[self.first])}
        sums: dict[tuple[str, ...], Tensor] = {}
        # Phases are needed for the first configurations only: the others are differentiated without.
        # A positive state reads columns 0 and 1 of the outputs only, which are the amplitudes of a complex state too.
        without_phase = copy.copy(state)
        without_phase.kind = "real" if state.kind == "real" else "positive"
        for part in torch.arange(len(self.orbit), device=self.orbit.device).split(AT_ONCE):
            # Sparse matrix (orbits, part) that adds up the rows of each orbit with their weights.
            where = torch.stack([self.orbit[part], torch.arange(len(part), device=part.device)])
            size = (len(self), len(part))
            gathering = torch.sparse_coo_tensor(where, found.share[part], size, check_invariants=False)
            for block in jacobian(without_phase, self.spins[part]):
                added = gathering.to(block.amplitude.dtype) @ block.amplitude
                sums[block.parameters] = sums.get(block.parameters, 0) + added
        for parameters, amplitude in sums.items():
            yield Block(parameters, amplitude, phases[parameters])
