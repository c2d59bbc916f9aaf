"""Sums over all orbits: against exact vectors, finite differences, and the symmetrized state's own derivatives."""

import math

import pytest
import torch

from seqtant.errors import InputError
from seqtant.instruments import run
from seqtant.models.wavefunctions.jacobian import jacobian
from seqtant.quantum.config import GroundStateConfig, NetworkConfig, OptimizerConfig, SystemConfig
from seqtant.quantum.exact import Orbits
from seqtant.quantum.observation import amplitudes, energy_of_vector
from seqtant.quantum.operators.lattices import symmetry_group
from seqtant.quantum.training.systems import System, make_state
from seqtant.quantum.training.vmc import imaginary_time
from seqtant.runs.recorder import Context

QUIET = Context(seed=1, device="cpu")

SYSTEMS = {
    "frustrated": SystemConfig(hamiltonian="j1j2", lattice="2x4", second_coupling=0.5),
    "ring": SystemConfig(hamiltonian="heisenberg", lattice="6", boundary="periodic"),
    "ising": SystemConfig(lattice="2x3", field=1.3),
}


def make(name, kind="auto"):
    system = System.of(SYSTEMS[name])
    state = make_state(system, NetworkConfig(depth=2, width=4, kind=kind), torch.Generator().manual_seed(2)).double()
    group = symmetry_group(system.lattice, system.pauli, state.magnetization)
    return system, state, group, Orbits.of(system.pauli, group, state.magnetization)


@pytest.mark.parametrize(
    ("name", "kind"), [("frustrated", "auto"), ("ring", "auto"), ("ring", "complex"), ("ising", "auto")]
)
def test_energy_and_variance_are_those_of_the_full_vector(name, kind):
    system, state, group, orbits = make(name, kind)
    found = orbits.amplitudes(state)
    truth = energy_of_vector(amplitudes(group.symmetrize(state, "first")), system.pauli)
    energy = float((found.probability * found.energies.real).sum())
    assert float(found.probability.sum()) == pytest.approx(1, abs=1e-12)
    assert energy == pytest.approx(truth.total, abs=1e-10)
    variance = float((found.probability * (found.energies - energy).abs() ** 2).sum())
    assert variance == pytest.approx(truth.variance, abs=1e-9)


@pytest.mark.parametrize("name", ["frustrated", "ising"])
def test_orbits_share_out_the_sector(name):
    system, state, group, orbits = make(name)
    sector = math.comb(system.sites, system.sites // 2) if state.magnetization == 0 else 2**system.sites
    assert len(orbits.spins) == len(orbits.orbit) == sector
    seen = {tuple(s): int(o) for s, o in zip(orbits.spins.tolist(), orbits.orbit, strict=True)}
    for image in group.symmetrize(state, "first").images(orbits.spins):
        assert [seen[tuple(s)] for s in image.tolist()] == orbits.orbit.tolist()
    assert len(set(orbits.orbit.tolist())) == len(orbits)


@pytest.mark.parametrize("name", ["frustrated", "ising"])
def test_derivatives_are_those_of_the_symmetrized_state(name, monkeypatch):
    _, state, group, orbits = make(name)
    monkeypatch.setattr("seqtant.quantum.exact.AT_ONCE", 7)
    found = {block.parameters: block for block in orbits.jacobian(state, orbits.amplitudes(state))}
    for block in jacobian(group.symmetrize(state, "first"), orbits.spins[orbits.first]):
        assert torch.allclose(found[block.parameters].amplitude, block.amplitude, atol=1e-10)
        if block.phase is not None:
            assert torch.allclose(found[block.parameters].phase, block.phase, atol=1e-10)


def test_the_gradient_is_that_of_the_exact_energy():
    system, state, group, orbits = make("frustrated")

    def energy():
        return energy_of_vector(amplitudes(group.symmetrize(state, "first")), system.pauli).total

    found = orbits.amplitudes(state)
    centered = found.energies - (found.probability * found.energies).sum()
    weighted = 2 * found.probability * centered
    (block,) = [b for b in orbits.jacobian(state, found) if "network.of.output.bias" in b.parameters]
    slope = weighted.real @ block.amplitude + weighted.imag @ block.phase
    bias = state.network.weights("output").bias
    start = block.parameters.index("network.of.output.bias")
    before = sum(dict(state.named_parameters())[name].numel() for name in block.parameters[:start])
    for place in range(len(bias)):
        values = []
        for change in (1e-5, -1e-5):
            with torch.no_grad():
                bias[place] += change
                values.append(energy())
                bias[place] -= change
        assert float(slope[before + place]) == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6)


def frustrated(**changes):
    settings = {"hamiltonian": "j1j2", "second_coupling": 0.5, "lattice": "2x4", "steps": 40}
    return GroundStateConfig(**(settings | {"network": NetworkConfig(depth=2, width=6)} | changes))


def test_signs_are_learned_by_default_and_the_result_says_that_nothing_was_drawn():
    result = run(frustrated(steps=30), QUIET)
    assert 0 <= result.values["relative_error"] < 1e-3
    assert "summed over all 70 configurations" in result.findings[0].summary
    assert all(m.value == 0 for m in result.series("energy_error"))
    drawn = run(frustrated(steps=2, samples=64), QUIET)
    assert "summed" not in drawn.findings[0].summary


def test_a_ground_state_of_another_symmetry_is_not_passed_off():
    # The two lowest states of this ring cross: its ground state is odd under a symmetry.
    result = run(frustrated(lattice="10", boundary="periodic", second_coupling=0.6), QUIET)
    assert result.values["relative_error"] > 3e-3
    assert result.findings[0].verdict == "disagrees"
    assert "even under every symmetry" in result.findings[0].advice


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lattice": "4x5"}, "20 spins have too many"),
        ({"network": NetworkConfig(phases="mean")}, "leave network.phases at auto"),
    ],
)
def test_sums_that_cannot_be_are_refused_in_one_line(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        run(frustrated(samples="all", **changes), QUIET)
    assert "\n" not in str(caught.value)


def test_sums_serve_every_optimizer_and_positive_states():
    for method in ("spring", "adam"):
        config = frustrated(hamiltonian="heisenberg", samples="all", steps=8, optimizer=OptimizerConfig(method=method))
        steps = run(config, QUIET).series("energy_per_site")
        assert steps[-1].value < steps[0].value


def test_a_step_of_imaginary_time_multiplies_each_amplitude():
    energies = torch.tensor([-3.0, 0.4, 30.0], dtype=torch.complex128)
    mean, rate = torch.tensor(-1.0), 0.04
    asked = torch.exp(-2 * rate * imaginary_time(energies, mean, rate))
    assert torch.allclose(asked, 1 - 2 * rate * (energies - mean))
