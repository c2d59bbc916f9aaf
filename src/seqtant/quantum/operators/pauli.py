"""Sums of Pauli strings: the one form in which every Hamiltonian is kept.

A string flips the spins under its X and Y and multiplies by the spins under its Y and Z. Strings that flip the same
sites form one move; a configuration has as many connected configurations as there are moves.

Matrix elements in the z basis, with s = +1, -1 the row's spin: <s|X|-s> = 1, <s|Y|-s> = -i s, <s|Z|s> = s.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtant.errors import InputError

if TYPE_CHECKING:
    from seqtant.quantum.operators.lattices import Lattice


@dataclass(frozen=True)
class String:
    """One product of Pauli matrices with a coefficient."""

    coefficient: complex
    """Weight in the sum; real if the operator is Hermitian."""
    axes: str
    """One of X, Y, Z per site."""
    sites: tuple[int, ...]
    """The sites, all different."""

    def __post_init__(self) -> None:
        if len(self.axes) != len(self.sites) or set(self.axes) - set("XYZ"):
            raise InputError(f"Pauli string '{self.axes}' on sites {self.sites}: give one of X, Y, Z per site")
        if len(set(self.sites)) != len(self.sites):
            raise InputError(f"Pauli string '{self.axes}' names a site twice: {self.sites}")
        if not np.isfinite(self.coefficient):
            raise InputError(f"Pauli string '{self.axes}' has coefficient {self.coefficient}: give a finite number")

    @property
    def flips(self) -> tuple[int, ...]:
        """Sites under X and Y, in order."""
        return tuple(sorted(site for axis, site in zip(self.axes, self.sites, strict=True) if axis != "Z"))

    @property
    def signs(self) -> tuple[int, ...]:
        """Sites under Y and Z, in order."""
        return tuple(sorted(site for axis, site in zip(self.axes, self.sites, strict=True) if axis != "X"))

    @property
    def weight(self) -> complex:
        """Coefficient times (-i) for every Y; the spins under Y and Z give the rest of the element."""
        # From <s|Y|-s> = -i s: the factor s is the spin under Y, which ``signs`` contributes.
        return self.coefficient * (-1j) ** self.axes.count("Y")


@dataclass(frozen=True)
class PauliSum:
    """A Hermitian operator on spins 1/2; sums of operators on the same spins, and multiples, are operators again.

    Raises:
        InputError: It is not Hermitian, or names sites that do not exist.

    Example:
        >>> ising = PauliSum(2, (String(-1.0, "ZZ", (0, 1)), String(-0.5, "X", (0,)), String(-0.5, "X", (1,))))
        >>> ising.moves
        ((0,), (1,))
        >>> ising.is_stoquastic, ising.conserves_magnetization
        (True, False)
        >>> (ising + 0.5 * ising).strings[0].coefficient
        -1.5
    """

    sites: int
    """Number of spins."""
    strings: tuple[String, ...]
    """The terms."""
    convention: str = ""
    """The Hamiltonian in words, with its conventions."""
    rotated_sites: tuple[int, ...] = ()
    """Sites whose X and Y were reversed (Marshall rotation)."""
    lattice: Lattice | None = field(default=None, compare=False, repr=False)
    """The lattice it was made for, where it was made for one."""
    origin: tuple[str, Any] | None = field(default=None, compare=False, repr=False)
    """Name and couplings that :func:`~seqtant.quantum.operators.hamiltonians.build` makes it from, where there are."""

    def __post_init__(self) -> None:
        for string in self.strings:
            if string.sites and not 0 <= min(string.sites) <= max(string.sites) < self.sites:
                raise InputError(f"Pauli string on sites {string.sites}: the lattice has sites 0 to {self.sites - 1}")

    def simplified(self) -> PauliSum:
        """Adds up equal strings and drops zeros.

        Raises:
            InputError: A coefficient is not real, so the operator is not Hermitian; or nothing is left.
        """
        # Strings are equal if they have the same axis on every site, in whatever order they name the sites.
        total: dict[tuple[str, tuple[int, ...]], complex] = {}
        for string in self.strings:
            pairs = sorted(zip(string.sites, string.axes, strict=True))
            key = "".join(axis for _, axis in pairs), tuple(site for site, _ in pairs)
            total[key] = total.get(key, 0) + string.coefficient
        for (axes, sites), value in total.items():
            if abs(complex(value).imag) > 1e-12 * max(1.0, abs(value)):
                raise InputError(f"coefficient {value} of {axes} on {sites}: not Hermitian, give real coefficients")
        strings = tuple(String(complex(v).real, axes, sites) for (axes, sites), v in total.items() if v != 0)
        if not strings:
            raise InputError("the Hamiltonian is zero: give a coupling or a field that is not")
        return replace(self, strings=strings)

    def __add__(self, other: PauliSum) -> PauliSum:
        """Adds another operator on the same spins.

        Raises:
            InputError: They have different numbers of spins, are rotated differently, or cancel.
        """
        if self.sites != other.sites:
            raise InputError(f"operators on {self.sites} and on {other.sites} spins cannot be added")
        if set(self.rotated_sites) != set(other.rotated_sites):
            raise InputError("only one of the operators is rotated by the Marshall rule: make both with marshall=False")
        convention = " + ".join(text for text in (self.convention, other.convention) if text)
        # What one side does not say of its lattice, the other may.
        lattices = {each.lattice for each in (self, other)} - {None}
        lattice = lattices.pop() if len(lattices) == 1 else None
        strings = self.strings + other.strings
        return PauliSum(self.sites, strings, convention, self.rotated_sites, lattice).simplified()

    def __sub__(self, other: PauliSum) -> PauliSum:
        """Subtracts another operator on the same spins; see :meth:`__add__`."""
        return self + -1.0 * other

    def __mul__(self, factor: float) -> PauliSum:
        """Multiplies by a real number."""
        strings = tuple(replace(s, coefficient=factor * s.coefficient) for s in self.strings)
        convention = f"{factor:g} ({self.convention})" if self.convention else ""
        return replace(self, strings=strings, convention=convention, origin=None)

    __rmul__ = __mul__

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that tell operators apart."""
        terms = sorted((s.axes, s.sites, repr(complex(s.coefficient))) for s in self.strings)
        return hashlib.sha256(repr((self.sites, terms, self.rotated_sites)).encode()).hexdigest()[:8]

    def rotated(self, sites: tuple[int, ...]) -> PauliSum:
        """Rotates spins by pi about z: X and Y change sign on those sites."""
        turned = set(sites)
        # Conjugating with Z on a site turns X and Y there into -X and -Y: one factor -1 for each such site.
        strings = tuple(
            replace(s, coefficient=s.coefficient * (-1) ** len(turned & set(s.flips))) for s in self.strings
        )
        return replace(self, strings=strings, rotated_sites=tuple(sorted(turned)), origin=None)

    @cached_property
    def moves(self) -> tuple[tuple[int, ...], ...]:
        """Sets of sites that some string flips; the diagonal is left out."""
        return tuple(sorted({string.flips for string in self.strings} - {()}))

    @cached_property
    def is_real(self) -> bool:
        """Whether all matrix elements are real."""
        return all(abs(complex(string.weight).imag) == 0 for string in self.strings)

    @cached_property
    def by_move(self) -> dict[tuple[int, ...], list[String]]:
        """Strings by the sites they flip; the diagonal under the empty tuple."""
        found: dict[tuple[int, ...], list[String]] = {}
        for string in self.strings:
            found.setdefault(string.flips, []).append(string)
        return found

    @cached_property
    def is_stoquastic(self) -> bool:
        """Whether no off-diagonal element is positive: then the ground state has no signs (Perron and Frobenius)."""
        return all(
            complex(x).imag == 0 and complex(x).real <= 1e-12
            for flips in self.moves
            for x in self._elements(flips).values()
        )

    @cached_property
    def conserves_magnetization(self) -> bool:
        """Whether it commutes with the sum of all Z."""
        # Flipping changes the magnetization by twice the sum of the flipped spins: it must vanish where an element is.
        return all(
            abs(x) < 1e-12 or sum(pattern[: len(flips)]) == 0
            for flips in self.moves
            for pattern, x in self._elements(flips).items()
        )

    @cached_property
    def is_flip_symmetric(self) -> bool:
        """Whether it commutes with the product of all X."""
        # The flip turns every Y and Z round: an even number of them leaves a string as it is.
        return all(len(string.signs) % 2 == 0 for string in self.strings)

    def _elements(self, flips: tuple[int, ...]) -> dict[tuple[int, ...], complex]:
        """Computes the elements of one move for every pattern of the spins that decide them, flipped sites first."""
        # An element depends on spins under Y and Z only; flipped sites come along since callers test their sum.
        strings = self.by_move[flips]
        others = tuple(sorted({site for s in strings for site in s.signs} - set(flips)))
        if len(flips) + len(others) > 16:
            raise InputError(f"the strings that flip {flips} look at {len(others)} more sites: at most 16 in all")
        sites = flips + others
        place = {site: n for n, site in enumerate(sites)}
        # Every string multiplies by its weight and by the spins under its Y and Z.
        elements: dict[tuple[int, ...], complex] = {}
        for pattern in product((1, -1), repeat=len(sites)):
            signs = (s.weight * np.prod([pattern[place[site]] for site in s.signs]) for s in strings)
            elements[pattern] = complex(sum(signs))
        return elements

    def same_as(self, other: PauliSum) -> bool:
        """Tells whether two sums are the same operator, up to rounding."""
        # The difference of the two, string by string, must vanish.
        difference: dict[tuple[tuple[int, str], ...], complex] = {}
        for sign, strings in ((1, self.strings), (-1, other.strings)):
            for s in strings:
                key = tuple(sorted(zip(s.sites, s.axes, strict=True)))
                difference[key] = difference.get(key, 0) + sign * s.coefficient
        return all(abs(value) < 1e-12 for value in difference.values())
