"""Our side of the comparison with NetKet: the same commands on stdin, the same JSON lines."""

import json
import sys
import time
from functools import partial

import numpy as np
import torch

from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.stacks import light_two_stack, single_stack
from seqtant.quantum.config import OptimizerConfig, SystemConfig
from seqtant.quantum.observation import Hamiltonian, evaluate
from seqtant.quantum.training.systems import System
from seqtant.quantum.training.vmc import VMC

side, samples, method, layers, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
seed = int(sys.argv[7]) if len(sys.argv) > 7 else 0
system = System.of(SystemConfig(lattice=f"{side}x{side}", field=3.0))
generator = torch.Generator().manual_seed(seed)
graph = single_stack(layers, 32) if kind == "same" else light_two_stack(layers, 16)
state = CausalState(CausalNetwork(graph, (side, side), generator))
hamiltonian = Hamiltonian(system.pauli)
like_netket = {
    "adam": OptimizerConfig(method="adam", learning_rate=5e-3, momentum=0.999, decay_from=1.0),
    "minsr": OptimizerConfig(method="minsr", learning_rate=2e-2, damping=1e-3, decay_from=1.0),
}
trust = 0.4 if kind == "bold" else OptimizerConfig().trust
settings = like_netket[method] if kind == "same" else OptimizerConfig(method=method, trust=trust)
training = VMC(state, hamiltonian, settings, steps=int(sys.argv[6]), samples=samples, seed=seed)
draw = torch.Generator().manual_seed(1)


def timed(action):
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def load(path):
    """Takes NetKet's weights and returns the largest difference of log psi, ours against theirs."""
    data = np.load(path)
    with torch.no_grad():
        for layer in range(layers):
            node = graph.nodes[layer]
            weights = state.network.weights(node.name)
            kernel = torch.from_numpy(data[f"_layers_{layer}/kernel"])
            bias = torch.from_numpy(data[f"_layers_{layer}/bias"])
            # The order of the two outputs follows NetKet's list of local states; ours is +1, -1.
            up_first = data["local_states"][0] > 0
            flip = [1, 0] if layer == layers - 1 and not up_first else list(range(kernel.shape[-1]))
            for n, (row, column) in enumerate(node.taps[0].offsets):
                weights.taps[0][n] = kernel[row + 1, column + 1][:, flip]
            weights.bias.copy_(bias[flip])
    spins = torch.from_numpy(data["spins"]).float()
    with torch.no_grad():
        found = state.log_psi(spins)[0].numpy()
    return float(np.abs(found - data["log_psi"].real).max())


training.step(), training.step()
print(
    json.dumps({"ready": True, "torch": torch.__version__, "parameters": state.network.count_parameters()}), flush=True
)
for line in sys.stdin:
    name, _, rest = line.strip().partition(" ")
    if name == "step":
        answer = timed(training.step) | {"parts": training.history[-1]}
    elif name == "energy_of_step":
        answer = {"mean": training.history[-1]["energy"], "error": training.history[-1]["error"]}
    elif name == "sample":
        answer = timed(lambda: state.sample(samples, draw))
    elif name == "local_energy":
        spins = state.sample(samples, draw)
        answer = timed(partial(hamiltonian.local_energy, state, spins))
    elif name == "load":
        answer = {"difference": load(rest)}
    elif name == "energy":
        found = evaluate(state, hamiltonian, int(rest), draw)
        answer = {"mean": found.total, "error": found.error, "variance": found.variance}
    else:
        break
    print(json.dumps(answer), flush=True)
