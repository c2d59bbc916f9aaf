"""Hamiltonians against Kronecker products written out by hand, and exact energies against published ones."""

import json

import numpy as np
import pytest

from seqtant.errors import InputError
from seqtant.quantum.exact import configurations, diagonalize
from seqtant.quantum.operators.hamiltonians import HAMILTONIANS, PAULI, Couplings, build, read_operators
from seqtant.quantum.operators.lattices import Lattice
from seqtant.quantum.operators.pauli import PauliSum, String
from tests.quantum.dense import dense_matrix


def kronecker(sites, axes):
    """A Pauli string as a matrix whose index has spin i in bit i (0 is up)."""
    matrix = np.ones((1, 1))
    for site in reversed(range(sites)):
        matrix = np.kron(matrix, PAULI[axes.get(site, "I")])
    return matrix


def spin_spin(sites, i, j, weights=(1, 1, 1)):
    return sum(w / 4 * kronecker(sites, {i: a, j: a}) for w, a in zip(weights, "XYZ", strict=True))


CHAIN = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


def test_ising_equals_kronecker_products():
    expected = -1.3 * sum(kronecker(6, {i: "Z", j: "Z"}) for i, j in CHAIN)
    expected = expected - 0.7 * sum(kronecker(6, {i: "X"}) for i in range(6))
    assert np.allclose(dense_matrix(build("tfim", Lattice.parse("6"), Couplings(coupling=1.3, field=0.7))), expected)


@pytest.mark.parametrize("name", ["heisenberg", "xxz", "j1j2"])
def test_exchange_models_equal_kronecker_products(name):
    couplings = Couplings(coupling=1.2, anisotropy=0.4, second_coupling=0.3, marshall=False)
    weights = (1, 1, 0.4) if name == "xxz" else (1, 1, 1)
    expected = 1.2 * sum(spin_spin(6, i, j, weights) for i, j in CHAIN)
    if name == "j1j2":
        expected = expected + 0.3 * sum(spin_spin(6, i, i + 2) for i in range(4))
    assert np.allclose(dense_matrix(build(name, Lattice.parse("6"), couplings)), expected)


def test_the_marshall_rotation_keeps_the_spectrum_and_removes_all_signs():
    lattice = Lattice.parse("2x4", "periodic")
    plain = build("heisenberg", lattice, Couplings(marshall=False))
    rotated = build("heisenberg", lattice, Couplings())
    assert not plain.is_stoquastic
    assert rotated.is_stoquastic
    values = [np.linalg.eigvalsh(dense_matrix(h)) for h in (plain, rotated)]
    assert np.allclose(values[0], values[1])


def test_an_odd_periodic_antiferromagnet_keeps_its_signs():
    frustrated = build("heisenberg", Lattice.parse("5", "periodic"), Couplings())
    assert frustrated.rotated_sites == ()
    assert not frustrated.is_stoquastic


PUBLISHED = [
    ("tfim", "3x3", "periodic", {"field": 1.0}, -19.131366809074),
    ("tfim", "4x4", "open", {"field": 2.0}, -35.907257620409),
    ("tfim", "4x4", "open", {"field": 3.0}, -50.186623882778),
    ("tfim", "4x4", "periodic", {"field": 3.044}, -52.060380425070),
    ("heisenberg", "4x4", "periodic", {}, 16 * -0.7017802005268),
    ("heisenberg", "4x4", "open", {}, 16 * -0.5743254415746),
    ("heisenberg", "16", "open", {}, -27.646948582300 / 4),
    ("j1j2", "4x4", "open", {"second_coupling": 0.5}, -30.022227800323677 / 4),
]


@pytest.mark.parametrize(("name", "lattice", "boundary", "couplings", "energy"), PUBLISHED)
def test_published_ground_state_energies(name, lattice, boundary, couplings, energy):
    found = diagonalize(build(name, Lattice.parse(lattice, boundary), Couplings(**couplings)))
    assert found.energy == pytest.approx(energy, abs=1e-9)


@pytest.mark.parametrize("name", list(HAMILTONIANS))
@pytest.mark.parametrize("lattice", ["2x3", "triangular:3x3"])
def test_sectors_hold_the_ground_state(name, lattice):
    hamiltonian = build(name, Lattice.parse(lattice), Couplings(field=0.8, anisotropy=2.0, second_coupling=0.6))
    values, vectors = np.linalg.eigh(dense_matrix(hamiltonian))
    found = diagonalize(hamiltonian)
    assert found.energy == pytest.approx(values[0], abs=1e-10)
    residual = dense_matrix(hamiltonian) @ found.amplitudes - found.energy * found.amplitudes
    assert np.abs(residual).max() < 1e-8
    assert vectors.shape[0] == len(found.amplitudes)


def test_symmetries_are_recognized():
    heisenberg = build("heisenberg", Lattice.parse("4"), Couplings())
    assert heisenberg.conserves_magnetization
    assert heisenberg.is_flip_symmetric
    ising = build("tfim", Lattice.parse("4"), Couplings())
    assert not ising.conserves_magnetization
    assert ising.is_stoquastic
    tilted = PauliSum(2, (String(1.0, "ZZ", (0, 1)), String(0.5, "Z", (0,)), String(-1.0, "X", (0,))))
    assert not tilted.is_flip_symmetric


def test_configurations_match_the_order_of_amplitudes():
    field = PauliSum(3, tuple(String(float(2**i), "Z", (i,)) for i in range(3)))
    diagonal = np.diag(dense_matrix(field)).real
    assert np.allclose(configurations(3) @ np.array([1, 2, 4]), diagonal)


def write(path, data):
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_operator_lists_of_all_forms_are_one_hamiltonian(tmp_path):
    own = {
        "sites": 3,
        "terms": [
            {"coefficient": -1.0, "operators": "ZZ", "sites": [0, 1]},
            {"coefficient": -1.0, "operators": "ZZ", "sites": [1, 2]},
            {"coefficient": 0.5, "operators": "YY", "sites": [0, 2]},
        ],
    }
    strings = {"operators": ["ZZI", "IZZ", "YIY"], "weights": [-1.0, -1.0, 0.5]}
    zz = np.diag([1.0, -1.0, -1.0, 1.0])
    yy = [[[x.real, x.imag] for x in row] for row in np.kron(PAULI["Y"], 0.5 * PAULI["Y"])]
    local = {"operators": [(-zz).tolist(), (-zz).tolist(), yy], "acting_on": [[0, 1], [1, 2], [0, 2]]}
    sums = [read_operators(write(tmp_path / f"{n}.json", data)) for n, data in enumerate((own, strings, local))]
    assert sums[0].same_as(sums[1])
    assert sums[0].same_as(sums[2])
    expected = -kronecker(3, {0: "Z", 1: "Z"}) - kronecker(3, {1: "Z", 2: "Z"}) + 0.5 * kronecker(3, {0: "Y", 2: "Y"})
    assert np.allclose(dense_matrix(sums[0]), expected)


def test_strings_with_one_y_are_complex(tmp_path):
    path = write(tmp_path / "y.json", {"operators": ["YX", "ZI"], "weights": [0.7, 0.2]})
    operator = read_operators(path)
    assert not operator.is_real
    expected = 0.7 * kronecker(2, {0: "Y", 1: "X"}) + 0.2 * kronecker(2, {0: "Z"})
    assert np.allclose(dense_matrix(operator), expected)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"operators": ["XX"], "weights": [[0.0, 1.0]]}, "not Hermitian"),
        ({"operators": [[[0, 1], [0, 0]]], "acting_on": [[0]]}, "not Hermitian"),
        ({"operators": ["XX", "X"], "weights": [1, 1]}, "differ in length"),
        ({"operators": ["XQ"], "weights": [1]}, "one of X, Y, Z"),
        ({"operators": ["XX"], "weights": [float("nan")]}, "finite"),
        ({"sites": 2, "terms": [{"coefficient": 1, "operators": "ZZ", "sites": [0, 2]}]}, "sites 0 to 1"),
        ({"sites": 2, "terms": [{"coefficient": 1, "operators": "ZZ", "sites": [1, 1]}]}, "names a site twice"),
        ({"sites": 2, "terms": [{"operators": "ZZ", "sites": [0, 1]}]}, "not a list of operators"),
        ({"nothing": 1}, "holds no operator list"),
        ({"operators": ["XX", "XX"], "weights": [1, -1]}, "Hamiltonian is zero"),
    ],
)
def test_bad_operator_lists_are_refused_in_one_line(tmp_path, data, message):
    with pytest.raises(InputError, match=message) as caught:
        read_operators(write(tmp_path / "bad.json", data))
    assert "\n" not in str(caught.value)


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_operators(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not JSON"):
        read_operators(tmp_path / "broken.json")


@pytest.mark.parametrize(
    ("couplings", "message"),
    [
        ({"field": float("inf")}, "field is inf"),
        ({"coupling": float("nan")}, "coupling is nan"),
        ({"field": 0.0, "coupling": 0.0}, "zero"),
    ],
)
def test_couplings_that_are_no_numbers(couplings, message):
    with pytest.raises(InputError, match=message):
        build("tfim", Lattice.parse("4"), Couplings(**couplings))


def test_unknown_hamiltonians_suggest():
    with pytest.raises(InputError, match="did you mean 'heisenberg'"):
        build("heisenburg", Lattice.parse("4"), Couplings())
