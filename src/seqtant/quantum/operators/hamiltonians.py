"""Hamiltonians by name or from a JSON file, each a sum of Pauli strings on a lattice.

Conventions, printed with every result: H_Ising = -J sum ZZ - field sum X with Pauli matrices; H_Heisenberg = J sum S.S
with spin 1/2.

Files hold a list of Pauli strings, or one of the two forms that NetKet writes:

- ``{"sites": 4, "terms": [{"coefficient": -1.0, "operators": "ZZ", "sites": [0, 1]}, ...]}``
- ``{"operators": ["ZZII", "XIII", ...], "weights": [-1.0, ...]}`` as in NetKet's ``PauliStrings``
- ``{"operators": [[[...], [...]], ...], "acting_on": [[0, 1], ...]}`` as in NetKet's ``LocalOperator``: one Hermitian
  matrix per term over the basis up, down of its sites, the first site being the slowest index
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtant.errors import InputError, suggest
from seqtant.quantum.operators.lattices import Bond, Lattice, as_lattice
from seqtant.quantum.operators.pauli import PauliSum, String
from seqtant.registry import Registry


@dataclass(frozen=True)
class Couplings:
    """Numbers that a Hamiltonian may need; each uses those it names."""

    coupling: float = 1.0
    """J."""
    field: float = 1.0
    """Transverse field of the Ising model."""
    anisotropy: float = 1.0
    """Delta of the XXZ model: weight of ZZ against XX and YY."""
    second_coupling: float = 0.0
    """J2 between second neighbors."""
    marshall: bool = True
    """Rotate one sublattice by pi about z (Marshall sign rule) where the lattice has two."""


Maker = Callable[[Lattice, Couplings], PauliSum]
HAMILTONIANS: Registry[Maker] = Registry("Hamiltonian", group="seqtant.hamiltonians")
PAULI: dict[str, NDArray[np.complex128]] = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]).astype(complex),
}


def transverse_ising(lattice: Lattice | str, *, coupling: float = 1.0, field: float = 1.0) -> PauliSum:
    """Makes the transverse-field Ising model, H = -J sum ZZ - field sum X with Pauli matrices.

    Args:
        lattice: Where the spins stand; ZZ acts on nearest neighbors.
        coupling: J.
        field: Transverse field.

    Example:
        >>> len(transverse_ising("4x4", field=3.0).strings)
        40
    """
    return build("tfim", lattice, coupling=coupling, field=field)


def heisenberg(lattice: Lattice | str, *, coupling: float = 1.0, marshall: bool = True) -> PauliSum:
    """Makes the Heisenberg model, H = J sum S.S with spin 1/2.

    Args:
        lattice: Where the spins stand; S.S acts on nearest neighbors.
        coupling: J; positive is antiferromagnetic.
        marshall: Rotate one sublattice (Marshall sign rule) where the lattice has two: no signs are left.

    Example:
        >>> heisenberg("2x2").is_stoquastic, heisenberg("2x2", marshall=False).is_stoquastic
        (True, False)
    """
    return build("heisenberg", lattice, coupling=coupling, marshall=marshall)


def xxz(lattice: Lattice | str, *, coupling: float = 1.0, anisotropy: float = 1.0, marshall: bool = True) -> PauliSum:
    """Makes the XXZ model, H = J sum (SxSx + SySy + Delta SzSz) with spin 1/2; ``anisotropy`` is Delta."""
    return build("xxz", lattice, coupling=coupling, anisotropy=anisotropy, marshall=marshall)


def j1j2(
    lattice: Lattice | str, *, coupling: float = 1.0, second_coupling: float = 0.0, marshall: bool = True
) -> PauliSum:
    """Makes the J1-J2 model, H = J sum S.S over nearest + J2 sum S.S over second neighbors, spin 1/2."""
    return build("j1j2", lattice, coupling=coupling, second_coupling=second_coupling, marshall=marshall)


@HAMILTONIANS.register("tfim")
def _tfim(lattice: Lattice, couplings: Couplings) -> PauliSum:
    bonds = [String(-couplings.coupling, "ZZ", bond) for bond in lattice.bonds]
    field = [String(-couplings.field, "X", (site,)) for site in range(lattice.sites)]
    convention = f"H = -J sum ZZ - field sum X, Pauli matrices, J = {couplings.coupling:g}, field = {couplings.field:g}"
    return PauliSum(lattice.sites, tuple(bonds + field), f"{convention}, {lattice.boundary} boundary")


@HAMILTONIANS.register("heisenberg")
def _heisenberg(lattice: Lattice, couplings: Couplings) -> PauliSum:
    strings = exchange(lattice.bonds, couplings.coupling)
    convention = f"H = J sum S.S, spin 1/2, J = {couplings.coupling:g}"
    return _marshall_rotated(strings, convention, lattice, couplings)


@HAMILTONIANS.register("xxz")
def _xxz(lattice: Lattice, couplings: Couplings) -> PauliSum:
    strings = exchange(lattice.bonds, couplings.coupling, couplings.anisotropy)
    numbers = f"J = {couplings.coupling:g}, Delta = {couplings.anisotropy:g}"
    convention = f"H = J sum (SxSx + SySy + Delta SzSz), spin 1/2, {numbers}"
    return _marshall_rotated(strings, convention, lattice, couplings)


@HAMILTONIANS.register("j1j2")
def _j1j2(lattice: Lattice, couplings: Couplings) -> PauliSum:
    strings = exchange(lattice.bonds, couplings.coupling) + exchange(lattice.second_bonds, couplings.second_coupling)
    numbers = f"J = {couplings.coupling:g}, J2 = {couplings.second_coupling:g}"
    convention = f"H = J sum S.S (nearest) + J2 sum S.S (second), spin 1/2, {numbers}"
    return _marshall_rotated(strings, convention, lattice, couplings)


def exchange(bonds: tuple[Bond, ...], coupling: float, anisotropy: float = 1.0) -> tuple[String, ...]:
    """Lists the Pauli strings of coupling * S.S on bonds; S = sigma / 2."""
    quarter = coupling / 4
    return tuple(
        String(quarter * (anisotropy if axis == "ZZ" else 1.0), axis, bond)
        for bond in bonds
        for axis in ("XX", "YY", "ZZ")
    )


def build(name: str, lattice: Lattice | str, couplings: Couplings | None = None, **numbers: float) -> PauliSum:
    """Builds a Hamiltonian by name: ``tfim``, ``heisenberg``, ``xxz``, ``j1j2``, or one that a plug-in adds.

    Args:
        name: Its name in ``HAMILTONIANS``.
        lattice: A lattice, or a text such as ``4x4`` with open boundaries.
        couplings: The numbers that it needs.
        numbers: The same by name, such as ``field=3.0``; they count before ``couplings``.

    Raises:
        InputError: There is no such Hamiltonian or coupling, a coupling is not finite, or nothing is left of the sum.

    Example:
        >>> build("j1j2", "2x2", second_coupling=0.5).convention
        'H = J sum S.S (nearest) + J2 sum S.S (second), spin 1/2, J = 1, J2 = 0.5, open boundary'
    """
    known = [each.name for each in fields(Couplings)]
    for key in numbers:
        if key not in known:
            raise InputError(f"unknown coupling '{key}'{suggest(key, known)}: known are {', '.join(sorted(known))}")
    couplings, lattice = replace(couplings or Couplings(), **numbers), as_lattice(lattice)
    for key in (key for key in known if key != "marshall"):
        value = getattr(couplings, key)
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{key} is {value}: give a finite number")
    return replace(HAMILTONIANS[name](lattice, couplings).simplified(), lattice=lattice, origin=(name, couplings))


def _marshall_rotated(strings: tuple[String, ...], convention: str, lattice: Lattice, couplings: Couplings) -> PauliSum:
    hamiltonian = PauliSum(lattice.sites, strings, f"{convention}, {lattice.boundary} boundary")
    # The checkerboard rotation is unitary on any lattice; only on a bipartite one does it remove all signs.
    bipartite = lattice.boundary == "open" or not any(size % 2 for size in lattice.shape if size > 1)
    if not couplings.marshall or not bipartite:
        return hamiltonian
    # On bonds between the sublattices XX and YY change sign: off the diagonal J S.S has elements -J / 2, not J / 2.
    return hamiltonian.rotated(tuple(site for site, sign in enumerate(lattice.staggering) if sign < 0))


def read_operators(path: Path) -> PauliSum:
    """Reads a Hamiltonian from a JSON file.

    Raises:
        InputError: The file is missing, is no JSON of a known form, or the operator is not Hermitian.
    """
    if not path.is_file():
        raise InputError(f"no file '{path}': give a JSON file of Pauli strings")
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(data, dict) or not ({"terms"} <= data.keys() or {"operators"} <= data.keys()):
        raise InputError(f"'{path}' holds no operator list: give 'terms', or 'operators' with 'weights' or 'acting_on'")
    try:
        if "terms" in data:
            terms = [(_complex(t["coefficient"]), t["operators"], tuple(t["sites"])) for t in data["terms"]]
            sites = int(data["sites"])
        elif "acting_on" in data:
            terms = []
            for rows, at in zip(data["operators"], data["acting_on"], strict=True):
                # Complex entries are written as pairs (real, imaginary).
                array = np.asarray(rows, dtype=float)
                # Three axes mean a last axis of length 2; a real matrix has two.
                matrix = array[..., 0] + 1j * array[..., 1] if array.ndim == 3 else array.astype(complex)
                terms += [(s.coefficient, s.axes, s.sites) for s in decompose(matrix, tuple(at))]
            sites = int(data.get("sites", 1 + max(site for at in data["acting_on"] for site in at)))
        else:
            sites = len(data["operators"][0])
            if any(len(text) != sites for text in data["operators"]):
                raise InputError("Pauli strings differ in length: give one letter I, X, Y or Z per site")
            weights = data.get("weights", [1.0] * len(data["operators"]))
            pairs = zip(weights, data["operators"], strict=True)
            terms = [(_complex(weight), text, tuple(range(sites))) for weight, text in pairs]
        strings = tuple(String(value, *_without_identity(axes, at)) for value, axes, at in terms)
        return PauliSum(sites, strings, f"H = sum of {len(strings)} Pauli strings from {path}").simplified()
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise InputError(f"'{path}': {error}") from error
        raise InputError(f"'{path}' is not a list of operators: {type(error).__name__} {error}") from error


def decompose(matrix: NDArray[np.complex128], sites: tuple[int, ...]) -> Iterator[String]:
    """Decomposes a Hermitian matrix on some sites, the first slowest, into strings of coefficients Tr(P M) / 2^sites.

    Example:
        >>> [(s.coefficient, s.axes) for s in decompose(np.diag([1, -1, -1, 1]).astype(complex), (0, 1))]
        [(1.0, 'ZZ')]
    """
    size = 2 ** len(sites)
    if matrix.shape != (size, size):
        raise InputError(f"a matrix on {len(sites)} site(s) must be {size} x {size}, not {matrix.shape}")
    if not np.allclose(matrix, matrix.conj().T, atol=1e-12):
        raise InputError(f"the matrix on sites {sites} is not Hermitian")
    for axes in product("IXYZ", repeat=len(sites)):
        pauli = np.ones((1, 1), dtype=complex)
        for axis in axes:
            # The Kronecker product makes the first site the slowest index, as the file's format says.
            pauli = np.kron(pauli, PAULI[axis])
        # Tr(P Q) = 2^sites if P = Q, else 0; a Hermitian matrix has real coefficients.
        value = float(np.trace(pauli @ matrix).real / size)
        if abs(value) > 1e-14:
            yield String(value, *_without_identity("".join(axes), sites))


def _without_identity(axes: str, sites: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    if len(axes) != len(sites):
        raise InputError(f"operators '{axes}' and sites {sites} differ in length")
    kept = [(axis, site) for axis, site in zip(axes.upper(), sites, strict=True) if axis != "I"]
    return "".join(axis for axis, _ in kept), tuple(site for _, site in kept)


def _complex(value: Any) -> complex:
    return complex(*value) if isinstance(value, list) else complex(value)
