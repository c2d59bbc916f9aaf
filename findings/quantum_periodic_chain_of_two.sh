#!/usr/bin/env bash
# A periodic chain of two sites: one bond in NetKet and openfermion, two in quimb and tenpy.
#
# Guess, written first: the same model on the same lattice has the same energy in all four: a periodic chain
#   of two either has one bond or two, and libraries agree, as they do from three sites on.
# Versions: netket 3.23.0, quimb 1.16.0, physics-tenpy 1.1.1, openfermion 1.8.1.
# Behavior: NetKet and openfermion keep each bond once, quimb and tenpy add the bond across the boundary to the
#   inner one, so the Heisenberg energy in units of spin 1/2 is -0.75 or -1.5. So do lattices with a side
#   of two, for example 2 x N ladders with periodic legs. On three sites all agree.
# Seen: netket -0.75, quimb -1.5, tenpy -1.5, openfermion's hopping energy -1 (one bond); three sites -0.75 each.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile netket==3.23.0 quimb==1.16.0 physics-tenpy==1.1.1 openfermion==1.8.1
JAX_PLATFORMS=cpu "$work/env/bin/python" - 2> "$work/log" <<'PY' || { cat "$work/log"; exit 1; }
import netket
import numpy as np
import openfermion
import quimb
from tenpy.algorithms.exact_diag import ExactDiag
from tenpy.models.spins import SpinModel


def energies(sites):
    space = netket.hilbert.Spin(0.5, sites)
    graph = netket.graph.Chain(sites, pbc=True)
    first = np.linalg.eigvalsh(netket.operator.Heisenberg(space, graph, sign_rule=False).to_dense())[0] / 4
    second = quimb.groundenergy(quimb.ham_heis(sites, cyclic=True, sparse=False))
    options = {"L": sites, "S": 0.5, "Jx": 1, "Jy": 1, "Jz": 1, "lattice": "Chain", "conserve": None}
    exact = ExactDiag(SpinModel({**options, "bc_MPS": "finite", "bc_x": "periodic"}))
    exact.build_full_H_from_mpo()
    exact.full_diagonalization()
    hopping = openfermion.fermi_hubbard(sites, 1, 1.0, 0.0, periodic=True, spinless=True)
    last = openfermion.eigenspectrum(hopping)[0]
    return [round(float(value), 6) for value in (first, second, exact.groundstate()[0], last)]


two, three = energies(2), energies(3)
print("netket, quimb, tenpy, openfermion; two sites", two, "three sites", three)
assert two == [-0.75, -1.5, -1.5, -1.0]
assert three == [-0.75, -0.75, -0.75, -2.0]
PY
