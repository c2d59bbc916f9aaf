"""Train the ground state of a 3 x 3 Ising lattice in memory, beside exact diagonalization, and draw from it.

Run: python examples/quantum_ground_state.py
"""

# %% A Hamiltonian on a lattice, and its exact ground state
import torch

from seqtant.quantum import VMC, TransformerState, build, diagonalize, evaluate, observe, square, symmetrize

hamiltonian = build("tfim", square(3), field=3.0)
exact = diagonalize(hamiltonian)
print(hamiltonian.convention)

# %% A wave function, and ten steps of variational Monte Carlo: exact samples, natural gradients
state = TransformerState(square(3), depth=1, width=8, seed=0)
vmc = VMC(state, hamiltonian, steps=10, samples=256, seed=0)
vmc.run()
for entry in vmc.history[::3]:
    print(f"step {entry['step']:.0f}: energy per site {entry['energy'] / 9:.4f} +- {entry['error'] / 9:.4f}")

# %% Its energy, summed over all configurations, beside the exact one
even = symmetrize(state, hamiltonian)
for name, psi in (("as trained", state), ("symmetrized", even)):
    print(f"{name}: {evaluate(psi, hamiltonian).total / 9:.6f}, exact {exact.energy / 9:.6f}")

# %% Exact, independent samples of the symmetrized state, each with its probability
spins, log_prob = even.sample(2000, torch.Generator().manual_seed(0), return_log_prob=True)
print(f"mean |m| {spins.double().mean(1).abs().mean():.3f}, entropy {-log_prob.mean():.3f} nats")

# %% Everything that can be measured of it, as a result
result = observe((state, hamiltonian), samples=512)
print(result)
