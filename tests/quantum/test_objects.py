"""Lattices, Hamiltonians and states in memory: composed by hand, and given to verbs in place of names and folders."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtant import quantum
from seqtant.errors import InputError
from seqtant.quantum import NetworkConfig, OptimizerConfig, PauliSum, String
from seqtant.settings import config_hash
from tests.quantum.dense import dense_matrix

SMALL = NetworkConfig(depth=2, width=4)
CHAIN = PauliSum(
    6, tuple([String(-1.0, "ZZ", (i, i + 1)) for i in range(5)] + [String(-0.7, "X", (i,)) for i in range(6)])
)


def values(result):
    return {name: value for name, value in result.values.items() if "second" not in name and "per_step" not in name}


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (quantum.transverse_ising(quantum.square(2, 3), field=3), {"lattice": "2x3", "field": 3.0}),
        (
            quantum.j1j2(quantum.square(2, 4, "periodic"), second_coupling=0.3),
            {"hamiltonian": "j1j2", "lattice": "2x4", "boundary": "periodic", "second_coupling": 0.3},
        ),
        (
            quantum.xxz(quantum.chain(5), anisotropy=0.5, marshall=False),
            {"hamiltonian": "xxz", "lattice": "5", "anisotropy": 0.5, "marshall": False},
        ),
    ],
)
def test_a_system_in_memory_is_the_one_that_its_name_makes(made, named):
    one, other = quantum.ExactConfig(made), quantum.ExactConfig(**named)
    assert one == other
    assert config_hash(one) == config_hash(other)
    found, expected = quantum.exact_energy(made), quantum.exact_energy(**named)
    assert found.values == expected.values
    assert found.command == expected.command
    assert (
        quantum.exact_energy(named.get("hamiltonian", "tfim"), made.lattice, **_numbers(named)).values == found.values
    )


def _numbers(named):
    return {key: value for key, value in named.items() if key not in {"hamiltonian", "lattice", "boundary"}}


def test_training_a_system_in_memory_gives_the_numbers_of_its_name():
    settings = {"steps": 4, "samples": 32, "network": SMALL, "seed": 3, "device": "cpu"}
    found = quantum.ground_state(quantum.heisenberg(quantum.square(2, 3)), **settings)
    assert values(found) == values(quantum.ground_state("heisenberg", "2x3", **settings))


def test_a_sum_of_strings_is_trained_kept_and_read_again(tmp_path):
    exact = np.linalg.eigvalsh(dense_matrix(CHAIN))[0]
    assert quantum.exact_energy(CHAIN, quantum.chain(6)).values["energy"] == pytest.approx(exact, abs=1e-10)
    settings = {"steps": 6, "samples": 64, "network": SMALL, "device": "cpu"}
    result = quantum.ground_state(CHAIN, quantum.chain(6), out=tmp_path, **settings)
    assert result.command == ""
    assert result.config["hamiltonian"] == f"<11 Pauli strings in memory, sha256 {CHAIN.digest}>"
    assert result.values["exact_energy_per_site"] == pytest.approx(exact / 6)
    system, state, _ = quantum.load_state(tmp_path)
    assert system.pauli.same_as(CHAIN)
    energy = quantum.evaluate(state, system.pauli).total / 6
    assert energy == pytest.approx(result.values["energy_per_site_unsymmetrized"], abs=1e-9)
    # The same settings on other strings are another run.
    with pytest.raises(InputError, match="other settings"):
        quantum.ground_state(2.0 * CHAIN, quantum.chain(6), out=tmp_path, **settings)


def test_sums_and_multiples_are_matrices_added():
    lattice = quantum.chain(4)
    ising, exchange = quantum.transverse_ising(lattice, field=0.5), quantum.heisenberg(lattice, marshall=False)
    found = ising - 0.3 * exchange
    assert np.allclose(dense_matrix(found), dense_matrix(ising) - 0.3 * dense_matrix(exchange))
    assert found.lattice == lattice
    assert found.origin is None
    with pytest.raises(InputError, match="Marshall"):
        ising + quantum.heisenberg(lattice)
    with pytest.raises(InputError, match="cannot be added"):
        ising + quantum.transverse_ising("5")


@pytest.mark.parametrize(
    "state",
    [
        quantum.CausalState("2x3", depth=2, width=4, kind="complex", seed=1),
        quantum.TransformerState("2x3", depth=1, width=8, heads=2, seed=1),
        quantum.RecurrentState("2x3", width=4, kind="real", seed=1),
    ],
)
def test_a_loop_of_ones_own_is_a_step_of_the_driver(state):
    hamiltonian = quantum.transverse_ising("2x3", field=1.3)
    twin = state.on("2x3")
    vmc = quantum.VMC(state, hamiltonian, OptimizerConfig(method="minsr", trust=1e9), steps=1, samples=64, seed=5)
    if not state.has_phase:
        spins, counts = torch.unique(twin.sample(64, uniforms=quantum_uniforms(5, 64, 6)), dim=0, return_counts=True)
        energies = quantum.local_energies(twin, hamiltonian, spins)
        step = quantum.NaturalGradient(twin, damping=1e-3, momentum=0.0).step(
            lambda: quantum.jacobian(twin, spins), counts.double() / 64, energies
        )
        expected = torch.nn.utils.parameters_to_vector(twin.parameters()).detach() - 0.02 * step.float()
    vmc.run()
    found = torch.nn.utils.parameters_to_vector(state.parameters()).detach()
    assert vmc.done == 1
    assert not torch.equal(found, torch.nn.utils.parameters_to_vector(twin.parameters()).detach())
    if not state.has_phase:
        assert torch.allclose(found, expected, atol=1e-5)


def quantum_uniforms(seed, samples, sites):
    from seqtant.quantum.training.distributed import uniforms

    return uniforms(seed, 0, samples, sites)


def test_verbs_take_states_in_memory_and_leave_them_as_they_were(tmp_path):
    hamiltonian = quantum.transverse_ising("2x3", field=2.0)
    settings = {"steps": 3, "samples": 32, "network": NetworkConfig(depth=2, width=4, kind="positive"), "device": "cpu"}
    quantum.ground_state(hamiltonian, out=tmp_path, **settings)
    _, state, _ = quantum.load_state(tmp_path)
    state.train()
    before = {name: parameter.clone() for name, parameter in state.named_parameters()}
    for verb, more in ((quantum.observe, {}), (quantum.sample, {}), (quantum.compare_sampling, {"repeats": 4})):
        found = verb((state, hamiltonian), samples=64, device="cpu", **more)
        assert found.config["checkpoint"].startswith("<CausalState in memory, sha256 ")
        same = values(verb(str(tmp_path), samples=64, device="cpu", **more))
        assert values(found) == same
    moved = {"lattice": quantum.square(3), "steps": 2, "samples": 32, "evaluation_samples": 32, "device": "cpu"}
    assert values(quantum.transfer((state, hamiltonian), **moved)) == values(quantum.transfer(str(tmp_path), **moved))
    assert state.training
    assert all(parameter.requires_grad for parameter in state.parameters())
    assert all(torch.equal(parameter, before[name]) for name, parameter in state.named_parameters())


def test_a_driver_is_observed_as_it_stands():
    hamiltonian = quantum.heisenberg("2x3")
    state = quantum.symmetrize(quantum.CausalState("2x3", depth=2, width=4, magnetization=0), hamiltonian)
    vmc = quantum.VMC(state, hamiltonian, steps=2, samples=16)
    vmc.run()
    found = quantum.observe(vmc, samples=16, device="cpu").values["energy_per_site"]
    assert found == pytest.approx(quantum.evaluate(state, hamiltonian).total / 6, abs=1e-12)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: quantum.ground_state(3), "give a name such as tfim, or a PauliSum"),
        (lambda: quantum.exact_energy(None), "give a name such as tfim"),
        (lambda: quantum.exact_energy("tfim", 4), "is no lattice"),
        (lambda: quantum.exact_energy("tfim", None), "is no lattice"),
        (lambda: quantum.exact_energy(operators=7), "JSON file of Pauli strings"),
        (lambda: quantum.exact_energy("tfim", field="strong"), "field"),
        (lambda: quantum.exact_energy("tfim", lattices="4x4"), "unknown key 'lattices'"),
        (lambda: quantum.exact_energy(quantum.heisenberg("2x2"), field=2.0), "field belongs to a Hamiltonian by name"),
        (lambda: quantum.exact_energy(quantum.heisenberg("2x2"), "3x3"), "stands on lattice 2x2, open"),
        (lambda: quantum.exact_energy(CHAIN), "acts on 6 sites but lattice 4x4"),
        (lambda: quantum.exact_energy("tfim", quantum.square(2), boundary="periodic"), "leave boundary out"),
        (lambda: quantum.ground_state(samples=1), "give at least 2"),
        (lambda: quantum.ground_state(steps=-1), "at least 0"),
        (lambda: quantum.ground_state(network=5), "network"),
        (lambda: quantum.observe(5), "is no trained state"),
        (lambda: quantum.observe(None), "is no trained state"),
        (lambda: quantum.observe(quantum.RecurrentState("2x2", width=4)), "has no Hamiltonian"),
        (lambda: quantum.sample((quantum.RecurrentState("2x2"), CHAIN)), "no Hamiltonian of 4 spins"),
        (lambda: quantum.benchmark(CHAIN, "6"), "many lattices"),
        (lambda: quantum.benchmark(sizes=(4,)), "sizes"),
        (lambda: quantum.build("tfim", "2x2", feild=1.0), "did you mean 'field'"),
        (lambda: quantum.square("4"), "whole numbers"),
        (lambda: quantum.chain(4, "closed"), "open or periodic"),
        (lambda: quantum.TransformerState("2x2", width=6), "multiple of 4"),
        (lambda: quantum.CausalState("2x2", depth=0), "depth is 0"),
        (lambda: quantum.CausalState("2x2", kind="signed"), "positive, real or complex"),
        (lambda: quantum.VMC(quantum.RecurrentState("2x2"), CHAIN), "6 spins and a state of 4"),
        (lambda: quantum.VMC(5, CHAIN), "is no wave function"),
        (lambda: quantum.VMC(quantum.RecurrentState("6"), "tfim"), "is no Hamiltonian"),
        (lambda: quantum.VMC(quantum.RecurrentState("6"), CHAIN, samples=1.5), "samples is 1.5"),
    ],
)
def test_wrong_objects_are_refused_in_one_line(ask, message):
    with pytest.raises(InputError, match=message) as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_the_example_runs_in_memory(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "quantum_ground_state.py"))
    assert "exact -3.119355" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
