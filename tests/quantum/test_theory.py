"""Closed forms against diagonalization, limits and published numbers."""

import math

import numpy as np
import pytest

from seqtant.quantum import theory
from seqtant.quantum.exact import diagonalize
from seqtant.quantum.operators.hamiltonians import Couplings, build
from seqtant.quantum.operators.lattices import Lattice


@pytest.mark.parametrize("boundary", ["open", "periodic"])
@pytest.mark.parametrize("field", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize("sites", [4, 8, 10])
def test_free_fermions_equal_diagonalization(sites, field, boundary):
    exact = diagonalize(build("tfim", Lattice.parse(str(sites), boundary), Couplings(field=field, coupling=0.8))).energy
    assert theory.ising_chain_energy(sites, field, 0.8, boundary) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("sites", [10, 20, 64])
def test_critical_sums_close(sites):
    # At the critical field h = J = 1 the sums over free fermions have closed forms.
    open_chain = 1 - 1 / math.sin(math.pi / (2 * (2 * sites + 1)))
    ring = -2 / math.sin(math.pi / (2 * sites))
    assert theory.ising_chain_energy(sites, 1.0) == pytest.approx(open_chain, rel=1e-12)
    assert theory.ising_chain_energy(sites, 1.0, boundary="periodic") == pytest.approx(ring, rel=1e-12)


def test_published_chain_energies():
    assert theory.ising_chain_energy(64, 1.0) == pytest.approx(-81.125980123144, abs=1e-10)
    assert theory.ising_chain_energy(100, 1.5, boundary="periodic") == pytest.approx(-167.192622153620, abs=1e-10)


@pytest.mark.parametrize("field", [0.5, 1.0, 2.0])
def test_long_chains_approach_the_infinite_one(field):
    infinite = theory.ising_chain_energy_per_site_infinite(field)
    assert theory.ising_chain_energy(2000, field, boundary="periodic") / 2000 == pytest.approx(infinite, abs=1e-6)


def test_infinite_chain_without_anything():
    assert theory.ising_chain_energy_per_site_infinite(0.0, 0.0) == 0.0
    assert theory.ising_chain_energy_per_site_infinite(0.0, 1.0) == pytest.approx(-1.0)


def test_heisenberg_chains_approach_the_bethe_energy():
    sizes = np.array([8, 12, 16])
    chains = [
        diagonalize(build("heisenberg", Lattice.parse(str(n), "periodic"), Couplings())).energy / n for n in sizes
    ]
    slope, intercept = np.polyfit(1.0 / sizes**2, chains, 1)
    assert slope < 0
    assert intercept == pytest.approx(theory.heisenberg_chain_energy_per_site_infinite(), abs=5e-4)


@pytest.mark.parametrize(("sites", "boundary"), [(1, "open"), (5, "periodic"), (2, "periodic")])
def test_no_closed_form(sites, boundary):
    with pytest.raises(ValueError, match="no closed form"):
        theory.ising_chain_energy(sites, 1.0, boundary=boundary)


def test_scores_and_relaxation_times():
    assert theory.v_score(-10.0, 0.0, 8) == 0
    with pytest.raises(ValueError, match="not defined"):
        theory.v_score(0.0, 1.0, 8)
    assert theory.relaxation_time(1.0) == math.inf
    assert theory.relaxation_time(0.94263428) == pytest.approx(16.9, abs=0.05)
