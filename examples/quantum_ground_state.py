"""Train the ground state of a 3 x 3 Ising lattice, hold it against exact diagonalization, and draw from it.

Run: python examples/quantum_ground_state.py
"""

from __future__ import annotations

import torch

from seqtant import quantum
from seqtant.runs.context import Context

config = quantum.GroundStateConfig(
    hamiltonian="tfim", lattice="3x3", field=3.0, steps=20, samples=128, network=quantum.NetworkConfig(depth=3, width=8)
)
trained = quantum.train(config, Context(device="cpu"))
exact = quantum.ground_state(trained.system.pauli)
print(trained.system.pauli.convention)
print(f"energy per site: {trained.energy.total / 9:.6f}, exact {exact.energy / 9:.6f}")
error = (trained.energy.total - exact.energy) / abs(exact.energy)
print(f"relative error {error:.1e}, variance {trained.energy.variance:.4f}")

# Exact, independent samples of the symmetrized state, each with its probability.
spins, log_prob = trained.state.sample(2000, torch.Generator().manual_seed(0), return_log_prob=True)
magnetization = spins.double().mean(1)
print(f"mean |m| {magnetization.abs().mean():.3f}, entropy {-log_prob.mean():.3f} nats")

# The same network on a larger lattice: its weights do not depend on the size.
network = trained.training.state.network
blind_spots = network.graph.missing_dependencies((3, 3))
print(f"parameters: {network.count_parameters()}, blind spots on 3 x 3: {len(blind_spots)}")
