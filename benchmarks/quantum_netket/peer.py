"""NetKet's side: runs in NetKet's own environment, takes commands on stdin, answers in JSON lines."""

import json
import os
import sys
import time

os.environ["JAX_PLATFORMS"] = "cpu"
threads = os.environ.get("OMP_NUM_THREADS", "1")
if threads == "1":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import optax

side, samples, method, layers = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
rate, shift, seed = (float(x) for x in sys.argv[5:8]) if len(sys.argv) > 5 else (2e-2, 1e-3, 0)
lattice = nk.graph.Hypercube(length=side, n_dim=2, pbc=False)
hilbert = nk.hilbert.Spin(0.5, lattice.n_nodes)
hamiltonian = nk.operator.IsingJax(hilbert, lattice, h=3.0, J=-1.0)
model = nk.models.FastARNNConv2D(
    hilbert=hilbert, layers=layers, features=32, kernel_size=(2, 3), param_dtype=jnp.float32
)
sampler = nk.sampler.ARDirectSampler(hilbert, dtype=np.int8)
state = nk.vqs.MCState(sampler, model, n_samples=samples, seed=int(seed), chunk_size=4096)
if method == "adam":
    driver = nk.driver.VMC(hamiltonian, optax.adam(5e-3), variational_state=state)
else:
    driver = nk.driver.VMC_SR(
        hamiltonian,
        optax.sgd(rate),
        variational_state=state,
        diag_shift=shift,
        use_ntk=True,
        on_the_fly=False,
        mode="real",
    )


def timed(action):
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(action())
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def step():
    driver.run(1, out=None, show_progress=False)
    return state.parameters


def fresh():
    state.reset()
    return state.samples


def dump(path):
    leaves = jax.tree_util.tree_leaves_with_path(state.parameters)
    flat = {"/".join(str(key.key) for key in keys): np.asarray(value) for keys, value in leaves}
    spins = np.asarray(state.samples).reshape(-1, hilbert.size)[:64]
    local = np.asarray(hilbert.local_states, dtype=float)
    np.savez(path, local_states=local, spins=spins, log_psi=np.asarray(state.log_value(jnp.asarray(spins))), **flat)


def energy(number):
    before, state.n_samples = state.n_samples, number
    found = state.expect(hamiltonian)
    state.n_samples = before
    return {"mean": float(found.mean.real), "error": float(found.error_of_mean), "variance": float(found.variance)}


step(), step()
print(json.dumps({"ready": True, "netket": nk.__version__, "jax": jax.__version__}), flush=True)
for line in sys.stdin:
    name, _, rest = line.strip().partition(" ")
    if name == "step":
        answer = timed(step)
    elif name == "energy_of_step":
        found = driver._loss_stats  # the drivers of 3.23 share no public name for it
        answer = {"mean": float(found.mean.real), "error": float(found.error_of_mean)}
    elif name == "sample":
        answer = timed(fresh)
    elif name == "local_energy":
        fresh()
        answer = timed(lambda: state.local_estimators(hamiltonian).data)
    elif name == "dump":
        dump(rest)
        answer = {"path": rest}
    elif name == "energy":
        answer = energy(int(rest))
    else:
        break
    print(json.dumps(answer), flush=True)
