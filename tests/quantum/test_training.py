"""Training: accuracy against exact energies, exact resume, shares of processes, transfer, refusals."""

import dataclasses
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from seqtant.errors import InputError, TrainingError
from seqtant.instruments import run
from seqtant.quantum.config import GroundStateConfig, NetworkConfig, OptimizerConfig, SystemConfig, TransferConfig
from seqtant.quantum.exact import diagonalize
from seqtant.quantum.instruments.ground_state import train
from seqtant.quantum.observation import Hamiltonian, energy_of_vector, evaluate
from seqtant.quantum.operators.hamiltonians import Couplings, build, transverse_ising
from seqtant.quantum.operators.lattices import Lattice
from seqtant.quantum.states import RecurrentState
from seqtant.quantum.training.checkpoint import RECORD, WEIGHTS, load_state
from seqtant.quantum.training.distributed import uniforms
from seqtant.quantum.training.systems import System, make_state
from seqtant.quantum.training.vmc import VMC
from seqtant.runs.recorder import Context

QUIET = Context(seed=1, device="cpu")


@pytest.mark.parametrize("lattice", ["3x3", "9", "triangular:3x3"])
def test_ising_ground_states_are_reached(lattice):
    config = GroundStateConfig(
        lattice=lattice, field=2.0, steps=40, samples=256, network=NetworkConfig(depth=3, width=8)
    )
    values = run(config, QUIET).values
    assert 0 <= values["relative_error"] < 1e-4
    assert values["variance"] <= values["variance_unsymmetrized"]


@pytest.mark.slow
def test_six_by_six_near_the_transition():
    result = run(GroundStateConfig.cpu(), Context(seed=0, device="cpu"))
    assert result.values["relative_error"] < 2e-4
    assert result.values["relative_error"] > -3 * result.values["energy_error"] / 3.15


@pytest.mark.parametrize("name", ["recurrent", "transformer", "paper", "single-stack"])
def test_every_network_lowers_the_energy(tiny, name):
    network = NetworkConfig(name=name, depth=2, width=8)
    trained = train(tiny(steps=12, samples=64, network=network), QUIET)
    first = trained.training.history[0]["energy"]
    exact = diagonalize(trained.system.pauli).energy
    assert trained.plain.total < first - 0.3 * (first - exact)
    assert trained.plain.total >= exact - 1e-9


@pytest.mark.parametrize(
    "optimizer",
    [
        OptimizerConfig(method="minsr", learning_rate=0.05),
        OptimizerConfig(method="adam", learning_rate=0.02, stages=((6, 32), (6, 64))),
        OptimizerConfig(temperature=0.5),
        OptimizerConfig(symmetrize=True),
    ],
)
def test_every_optimizer_lowers_the_energy(tiny, optimizer):
    trained = train(tiny(steps=12, samples=64, optimizer=optimizer), QUIET)
    assert trained.energy.total < trained.training.history[0]["energy"]
    assert trained.training.total == 12


def test_a_frustrated_ground_state_is_found_by_a_complex_state():
    config = GroundStateConfig(
        hamiltonian="heisenberg",
        lattice="5",
        boundary="periodic",
        steps=60,
        samples=256,
        optimizer=OptimizerConfig(learning_rate=0.1),
        network=NetworkConfig(depth=3, width=8),
    )
    result = run(config, QUIET)
    assert abs(result.values["relative_error"]) < 1e-2
    assert any("odd side" in warning for warning in result.warnings)


def states(training):
    return torch.nn.utils.parameters_to_vector(training.state.parameters()).detach()


@pytest.mark.parametrize("method", ["spring", "adam"])
def test_a_resumed_run_equals_an_uninterrupted_one(tiny, tmp_path, method, monkeypatch):
    config = tiny(steps=6, optimizer=OptimizerConfig(method=method, learning_rate=0.02))
    whole = train(config, Context(seed=3, device="cpu", folder=tmp_path / "whole"))
    step = VMC.step

    def interrupted(self):
        if self.done == 5:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(VMC, "step", interrupted)
    broken = Context(seed=3, device="cpu", folder=tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        train(config, broken)
    monkeypatch.setattr(VMC, "step", step)
    assert json.loads((tmp_path / "broken" / RECORD).read_text())["steps_done"] == 4
    resumed = train(config, broken)
    assert torch.equal(states(whole.training), states(resumed.training))
    assert len(resumed.training.history) == 6
    assert resumed.energy.total == whole.energy.total


def test_the_same_seed_gives_the_same_state_and_another_seed_another(tiny):
    one, two, other = (train(tiny(), Context(seed=s, device="cpu")) for s in (1, 1, 2))
    assert torch.equal(states(one.training), states(two.training))
    assert not torch.equal(states(one.training), states(other.training))


@pytest.mark.parametrize("shares", [1, 2, 3])
def test_shares_of_processes_make_up_the_whole(shares):
    parts = [uniforms(5, 2, 300, 4, share=share, shares=shares) for share in range(shares)]
    assert torch.equal(torch.cat(parts), uniforms(5, 2, 300, 4))
    assert not torch.equal(uniforms(5, 2, 300, 4), uniforms(5, 3, 300, 4))


SCRIPT = """
import sys, torch
torch.set_num_threads(1)
from seqtant.quantum.config import GroundStateConfig, NetworkConfig
from seqtant.quantum.instruments.ground_state import train
from seqtant.runs.recorder import Context
config = GroundStateConfig(lattice="2x3", steps=3, samples=150, evaluation_samples=32,
                           network=NetworkConfig(depth=2, width=4))
found = train(config, Context(seed=4, device="cpu"))
if found.training.processes.rank == 0:
    torch.save([float(p.double().sum()) for p in found.training.state.parameters()], sys.argv[1])
"""


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    found = []
    for number, start in enumerate(([sys.executable], launch)):
        out = tmp_path / f"{number}.pt"
        done = subprocess.run([*start, str(script), str(out)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(torch.load(out, weights_only=True))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_transfer_starts_lower_than_chance(tiny, context):
    train(tiny(lattice="3x3", steps=30, samples=128), context)
    config = TransferConfig(checkpoint=str(context.folder), lattice="3x4", steps=2, samples=64, evaluation_samples=64)
    values = run(config, QUIET).values
    fresh = train(tiny(lattice="3x4", steps=1, samples=64), QUIET).training.history[0]["energy"] / 12
    assert values["energy_per_site_before"] < 0.5 * (fresh + values["exact_energy_per_site"])


def test_a_checkpoint_of_another_run_is_refused(tiny, context):
    train(tiny(), context)
    with pytest.raises(InputError, match="checkpoint of tfim on 2x3, open") as caught:
        train(tiny(lattice="3x3"), context)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="other settings"):
        train(tiny(steps=5), context)


def test_corrupt_checkpoints_are_refused(tiny, context):
    train(tiny(), context)
    weights, record = context.folder / WEIGHTS, context.folder / RECORD
    good = weights.read_bytes()
    weights.write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match="corrupt"):
        load_state(context.folder)
    weights.write_bytes(good)
    tensors = load_file(weights)
    name = next(name for name in tensors if name.startswith("state."))
    save_file(tensors | {name: tensors[name] * float("nan")}, weights)
    with pytest.raises(InputError, match="not finite"):
        load_state(context.folder)
    save_file({name: tensors[name]}, weights)
    with pytest.raises(InputError, match="another network"):
        load_state(context.folder)
    record.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="not the record of a state"):
        load_state(context.folder)
    record.unlink()
    with pytest.raises(InputError, match="holds no trained state"):
        load_state(context.folder)


def test_a_chain_does_not_fit_a_plane(tiny, context):
    train(tiny(lattice="6"), context)
    with pytest.raises(InputError, match="same dimension"):
        load_state(context.folder, lattice="2x3")


def test_an_energy_that_is_not_finite_stops_the_run(tiny):
    config = tiny()
    system = System.of(config)
    state = make_state(system, config.network, torch.Generator().manual_seed(0))
    training = VMC(state, Hamiltonian(system.pauli), OptimizerConfig(), steps=2, samples=8, seed=0)
    with torch.no_grad():
        next(state.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="energy is nan"):
        training.step()
    with pytest.raises(TrainingError, match="broken"):
        evaluate(state, training.hamiltonian, 16, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hamiltonian": "j1j2", "second_coupling": 0.5, "network": NetworkConfig(kind="positive")}, "has signs"),
        ({"network": NetworkConfig(magnetization=0)}, "does not conserve"),
        ({"network": NetworkConfig(name="chain")}, "cannot see the rows"),
        ({"hamiltonian": "heisenberg", "lattice": "3x3", "network": NetworkConfig(magnetization=0)}, "no sector"),
        ({"lattice": "1"}, "at least 2"),
        ({"field": float("inf")}, "finite number"),
        ({"hamiltonian": "ising"}, "unknown Hamiltonian"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(tiny, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        train(tiny(**changes), QUIET)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_devices_that_are_not_there_are_refused_in_one_line(tiny, device):
    with pytest.raises(InputError, match="cannot be used here"):
        train(tiny(), Context(device=device))


def test_derivatives_are_computed_twice_where_they_are_too_many_to_keep(tiny, monkeypatch):
    kept = train(tiny(), QUIET)
    monkeypatch.setattr("seqtant.quantum.training.natural_gradient.KEPT_NUMBERS", 10)
    assert torch.equal(states(train(tiny(), QUIET).training), states(kept.training))


def test_a_field_of_zero_leaves_a_classical_model(tiny):
    result = run(tiny(field=0.0, steps=20), QUIET)
    assert result.values["exact_energy_per_site"] == pytest.approx(-7 / 6)
    assert result.values["energy_per_site"] >= -7 / 6 - 1e-12


@pytest.mark.parametrize("magnetization", [None, 0])
def test_sampled_energy_agrees_with_the_sum_over_all(magnetization):
    config = SystemConfig(hamiltonian="heisenberg", lattice="2x3")
    system = System.of(config)
    network = NetworkConfig(depth=2, width=4, magnetization=magnetization)
    state = make_state(system, network, torch.Generator().manual_seed(3))
    hamiltonian = Hamiltonian(system.pauli)
    exact = evaluate(state, hamiltonian, 2, torch.Generator())
    sampled = evaluate(state, hamiltonian, 4000, torch.Generator().manual_seed(1), enumerate_up_to=0)
    assert exact.summed
    assert abs(sampled.total - exact.total) < 4 * sampled.error
    assert sampled.variance == pytest.approx(exact.variance, rel=0.2)


def test_an_exact_eigenstate_has_no_variance():
    pauli = build("j1j2", Lattice.parse("2x4"), Couplings(second_coupling=0.4))
    found = diagonalize(pauli)
    energy = energy_of_vector(found.amplitudes, pauli)
    assert energy.total == pytest.approx(found.energy, abs=1e-10)
    assert energy.variance < 1e-12


def test_stages_replace_steps(tiny):
    config = dataclasses.replace(tiny(), optimizer=OptimizerConfig(stages=((2, 16), (1, 64))))
    assert train(config, QUIET).training.schedule == [16, 16, 64]


def test_the_learning_rate_falls_geometrically_after_its_share_of_the_steps():
    state, hamiltonian = RecurrentState("2x2", width=4), transverse_ising("2x2")
    optimizer = OptimizerConfig(learning_rate=0.1, decay_from=0.5, final_rate=0.01)
    vmc = VMC(state, hamiltonian, optimizer, steps=8)
    assert [vmc.rate(step) for step in (0, 3, 4, 6, 8)] == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.001])


def test_annealing_adds_the_falling_temperature_times_log_p(monkeypatch):
    state, hamiltonian = RecurrentState("2x2", width=4), transverse_ising("2x2")
    vmc = VMC(state, hamiltonian, OptimizerConfig(temperature=0.5, decay_from=0.5), steps=8, samples=64)
    seen = []
    step = vmc.natural.step
    monkeypatch.setattr(vmc.natural, "step", lambda *found: (seen.append(found[2]), step(*found))[1])
    spins = torch.tensor([[1, -1, 1, -1], [1, 1, 1, 1]])  # sorted, as a step sees them
    energies = Hamiltonian(hamiltonian).local_energy(state, spins)
    log_prob = state.log_prob(spins).detach()
    monkeypatch.setattr(state, "sample", lambda *_, **__: spins)
    vmc.schedule, vmc.done = [2] * 8, 1
    vmc.step()
    # A quarter of the way to step 4, three quarters of the temperature are left.
    assert torch.allclose(seen[0], energies + 0.375 * log_prob.double(), atol=1e-9)


def test_sampled_energies_have_the_variance_of_their_samples():
    state, hamiltonian = RecurrentState("2x2", width=4, seed=2), Hamiltonian(transverse_ising("2x2"))
    found = evaluate(state, hamiltonian, 10, torch.Generator().manual_seed(1), enumerate_up_to=0)
    energies = hamiltonian.local_energy(state, state.sample(10, torch.Generator().manual_seed(1)))
    assert found.total == pytest.approx(float(energies.mean()), rel=1e-12)
    assert found.variance == pytest.approx(float(energies.var()), rel=1e-12)
    assert found.error == pytest.approx(float(energies.std()) / 10**0.5, rel=1e-12)
    shown = found.per_site(4)
    assert shown.high - shown.low == pytest.approx(2 * 1.96 * found.error / 4)
