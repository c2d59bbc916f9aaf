"""Lattices of spins: their bonds, their checkerboard, and the symmetries that a Hamiltonian on them shares.

Sites are numbered row by row. Every lattice is a grid of rows and columns; its kind says which neighbors interact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from seqtant.errors import InputError, suggest
from seqtant.quantum.operators.pauli import PauliSum
from seqtant.registry import Registry

if TYPE_CHECKING:
    from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
    from seqtant.models.wavefunctions.symmetrized_state import Phases, SymmetrizedState

LARGEST_GROUP = 256
"""Images beyond which translations are left out of a symmetry group: their cost exceeds their use."""
Boundary = Literal["open", "periodic"]
Bond = tuple[int, int]
_TEXT = re.compile(r"^(?:([a-z]+):)?(\d+)(?:x(\d+))?$")


@dataclass(frozen=True)
class Neighbors:
    """Steps (rows, columns) from a site to its neighbors, each pair of opposite steps named once."""

    nearest: tuple[tuple[int, int], ...]
    second: tuple[tuple[int, int], ...]


LATTICES: Registry[Neighbors] = Registry(
    "lattice",
    group="seqtant.lattices",
    entries={
        "chain": Neighbors(((0, 1),), ((0, 2),)),
        "square": Neighbors(((0, 1), (1, 0)), ((1, 1), (1, -1))),
        "triangular": Neighbors(((0, 1), (1, 0), (1, 1)), ((1, -1), (1, 2), (2, 1))),
    },
)


@dataclass(frozen=True)
class Lattice:
    """A finite lattice of spins.

    Example:
        >>> square = Lattice("square", 2, 3, "open")
        >>> square.sites, len(square.bonds), square.bonds[0]
        (6, 7, (0, 1))
    """

    kind: str
    """Name in the registry of lattices."""
    rows: int
    """Number of rows."""
    columns: int
    """Number of columns."""
    boundary: Boundary
    """``open`` or ``periodic`` in both directions."""

    def __post_init__(self) -> None:
        _ = LATTICES[self.kind]  # an unknown kind is refused here
        sizes: tuple[object, ...] = (self.rows, self.columns)
        if not all(isinstance(size, int) for size in sizes) or self.boundary not in get_args(Boundary):
            raise InputError(f"lattice {self}, {self.boundary}: give whole numbers, and open or periodic boundaries")
        if min(self.rows, self.columns) < 1 or self.sites < 2:
            raise InputError(f"lattice '{self}' has {self.sites} site(s): it needs at least 2 to interact")
        if self.kind == "chain" and self.rows != 1:
            raise InputError(f"lattice '{self}': a chain has one row, write chain:{self.sites}")

    @classmethod
    def parse(cls, text: str, boundary: Boundary = "open") -> Lattice:
        """Reads ``"20"`` (chain), ``"4x4"`` or ``"4x6"`` (square, rectangular), ``"triangular:4x4"``.

        Raises:
            InputError: The text is no lattice, or the lattice has fewer than two sites.

        Example:
            >>> Lattice.parse("4x6").columns, Lattice.parse("20").kind
            (6, 'chain')
        """
        match = _TEXT.match(str(text).strip().lower())
        if match is None:
            raise InputError(f"lattice '{text}' is not known: write 20, 4x4, 4x6 or triangular:4x4")
        kind, first, second = match.groups()
        # One number is a chain, two are a square grid; a kind with one number is as wide as long.
        kind = {"rectangular": "square", None: "chain" if second is None else "square"}.get(kind, kind)
        if kind not in LATTICES:
            known = ", ".join(LATTICES)
            raise InputError(f"lattice '{text}' is not known{suggest(kind, LATTICES)}: kinds are {known}, rectangular")
        rows, columns = (1, int(first)) if second is None else (int(first), int(second))
        if second is None and kind != "chain":
            rows = columns
        if rows > 1 and kind == "chain":
            raise InputError(f"lattice '{text}': a chain has one length, write chain:{rows * columns}")
        return cls(kind, rows, columns, boundary)

    def __str__(self) -> str:
        size = str(self.columns) if self.kind == "chain" else f"{self.rows}x{self.columns}"
        return size if self.kind in {"chain", "square"} else f"{self.kind}:{size}"

    @property
    def sites(self) -> int:
        """Number of spins."""
        return self.rows * self.columns

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @cached_property
    def bonds(self) -> tuple[Bond, ...]:
        """Pairs of nearest neighbors, each once."""
        return self._pairs(LATTICES[self.kind].nearest)

    @cached_property
    def second_bonds(self) -> tuple[Bond, ...]:
        """Pairs of second neighbors, each once."""
        return self._pairs(LATTICES[self.kind].second)

    def _pairs(self, steps: tuple[tuple[int, int], ...]) -> tuple[Bond, ...]:
        # A set, because a periodic lattice two sites wide would name the same pair twice.
        pairs: set[Bond] = set()
        for row in range(self.rows):
            for column in range(self.columns):
                for down, across in steps:
                    r, c = row + down, column + across
                    if self.boundary == "periodic":
                        r, c = r % self.rows, c % self.columns
                    if 0 <= r < self.rows and 0 <= c < self.columns:
                        one, other = row * self.columns + column, r * self.columns + c
                        if one != other:
                            pairs.add((min(one, other), max(one, other)))
        return tuple(sorted(pairs))

    @cached_property
    def staggering(self) -> tuple[int, ...]:
        """+1 and -1 in a checkerboard, whether or not it fits the boundary."""
        return tuple(1 - 2 * ((site // self.columns + site % self.columns) % 2) for site in range(self.sites))


def chain(length: int, boundary: Boundary = "open") -> Lattice:
    """Makes a chain of spins.

    Example:
        >>> chain(4).bonds
        ((0, 1), (1, 2), (2, 3))
    """
    return Lattice("chain", 1, length, boundary)


def square(rows: int, columns: int | None = None, boundary: Boundary = "open") -> Lattice:
    """Makes a square lattice, as wide as long unless ``columns`` says otherwise.

    Example:
        >>> square(2, 3).sites, len(square(4, boundary="periodic").bonds)
        (6, 32)
    """
    return Lattice("square", rows, rows if columns is None else columns, boundary)


def triangular(rows: int, columns: int | None = None, boundary: Boundary = "open") -> Lattice:
    """Makes a triangular lattice: a square one with one diagonal of each square as a bond.

    Example:
        >>> triangular(3).bonds[:3]
        ((0, 1), (0, 3), (0, 4))
    """
    return Lattice("triangular", rows, rows if columns is None else columns, boundary)


def as_lattice(lattice: Lattice | str) -> Lattice:
    """Reads a lattice from a text such as ``4x4``, with open boundaries; a lattice passes as it is."""
    if isinstance(lattice, str):
        return Lattice.parse(lattice)
    if not isinstance(lattice, Lattice):
        raise InputError(f"{lattice!r:.60} is no lattice: give a Lattice such as square(4), or a text such as 4x4")
    return lattice


@dataclass(frozen=True)
class Group:
    """Site permutations, each with or without a flip of all spins.

    Element g maps a configuration s to one with spin ``signs[g] * s[permutations[g, i]]`` at site i.
    """

    permutations: NDArray[np.int64]
    """Shape (elements, sites)."""
    signs: NDArray[np.int64]
    """+1, or -1 where all spins are flipped, shape (elements,)."""

    def __len__(self) -> int:
        return len(self.signs)

    def symmetrize(self, state: AutoregressiveState, phases: Phases = "mean") -> SymmetrizedState:
        """Averages a state over the group."""
        import torch

        from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState

        return SymmetrizedState(state, torch.from_numpy(self.permutations), torch.from_numpy(self.signs), phases)


def symmetry_group(lattice: Lattice, pauli: PauliSum, magnetization: int | None = None) -> Group:
    """Finds the rotations, mirrors, translations and spin flip that leave the Hamiltonian (and the sector) as it is.

    Args:
        lattice: The lattice.
        pauli: The Hamiltonian.
        magnetization: The sector, if the state is confined to one.

    Example:
        >>> from seqtant.quantum.operators.hamiltonians import Couplings, build
        >>> square = Lattice.parse("4x4")
        >>> len(symmetry_group(square, build("tfim", square, Couplings())))
        16
    """
    sites = np.arange(lattice.sites).reshape(lattice.shape)
    # The point group of the grid: its rotations, each with and without a mirror image.
    rotations = [np.rot90(sites, k) for k in (range(4) if lattice.rows == lattice.columns else (0, 2))]
    shifts = [(0, 0)]
    # 16 is the largest factor besides translations: 8 rotations and mirrors, each with or without the spin flip.
    if lattice.boundary == "periodic" and 16 * lattice.sites <= LARGEST_GROUP:
        shifts = list(product(range(lattice.rows), range(lattice.columns)))
    candidates: dict[tuple[int, ...], None] = {}  # a dictionary keeps the order and drops duplicates
    for turned in rotations:
        for image in (turned, turned[:, ::-1]):
            for shift in shifts:
                candidates[tuple(int(x) for x in np.roll(image, shift, (0, 1)).flatten())] = None
    # Which way a permutation acts does not matter here: H is invariant under it if and only if under its inverse.
    kept = []
    for moved in candidates:
        strings = tuple(replace(each, sites=tuple(moved[site] for site in each.sites)) for each in pauli.strings)
        if replace(pauli, strings=strings, origin=None).same_as(pauli):
            kept.append(moved)
    # The flip maps a sector to its opposite: only magnetization 0 is left alone.
    flips = [1, -1] if pauli.is_flip_symmetric and not magnetization else [1]
    pairs = [(m, sign) for sign in flips for m in kept]
    permutations = np.array([m for m, _ in pairs], dtype=np.int64)
    return Group(permutations, np.array([sign for _, sign in pairs], dtype=np.int64))
