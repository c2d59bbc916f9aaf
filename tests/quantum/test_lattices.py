"""Bonds counted by hand, and texts that are no lattice."""

import pytest

from seqtant.errors import InputError
from seqtant.quantum.operators.lattices import Lattice

COUNTS = [
    ("20", "open", 19, 18),
    ("20", "periodic", 20, 20),
    ("4x4", "open", 24, 18),
    ("4x4", "periodic", 32, 32),
    ("4x6", "open", 38, 30),
    ("rectangular:2x3", "open", 7, 4),
    ("2x2", "periodic", 4, 2),
    ("triangular:4x4", "periodic", 48, 48),
    ("triangular:3", "open", 16, 8),
]


@pytest.mark.parametrize(("text", "boundary", "nearest", "second"), COUNTS)
def test_number_of_bonds(text, boundary, nearest, second):
    lattice = Lattice.parse(text, boundary)
    assert len(lattice.bonds) == nearest
    assert len(lattice.second_bonds) == second
    assert all(i < j for i, j in lattice.bonds + lattice.second_bonds)
    assert not set(lattice.bonds) & set(lattice.second_bonds)


def test_the_checkerboard():
    assert Lattice.parse("2x3").staggering == (1, -1, 1, -1, 1, -1)
    assert Lattice.parse("4").staggering == (1, -1, 1, -1)


@pytest.mark.parametrize("text", ["", "axb", "4x", "0x4", "1", "1x1", "hexagon:4x4", "chain:2x4", "-3", "4x4x4"])
def test_what_is_no_lattice(text):
    with pytest.raises(InputError, match="lattice"):
        Lattice.parse(text)


def test_names_come_back():
    for text in ("20", "4x6", "triangular:3x4"):
        assert str(Lattice.parse(text)) == text
