#!/usr/bin/env bash
# NetKet numbers the basis of a fixed-magnetization space in the opposite order of its full space.
#
# Guess, written first: the states of a sector are numbered as in the full space with the others left out, so
#   that a boolean mask over the full vector gives the sector's vector.
# Versions: netket 3.23.0.
# Behavior: the full spin-1/2 space begins with all spins +1 (local states are [1, -1]) and counts down, the
#   constrained one begins with -1s and counts up. A ground state taken from one and read in the other has
#   the same length and norm and is the mirror image; with total_sz=0 and no field no energy shows it.
# Seen: masking the full list gives the constrained list backwards.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile netket==3.23.0
JAX_PLATFORMS=cpu "$work/env/bin/python" - <<'PY'
import netket
import numpy as np

full = np.asarray(netket.hilbert.Spin(0.5, 4).all_states())
for twice_sz in (0, 2, -2):
    sector = np.asarray(netket.hilbert.Spin(0.5, 4, total_sz=twice_sz / 2).all_states())
    masked = full[full.sum(1) == twice_sz]
    print("total_sz", twice_sz / 2, "masked first", masked[0].tolist(), "sector first", sector[0].tolist())
    assert not np.array_equal(sector, masked)
    assert np.array_equal(sector, masked[::-1])
assert full[0].tolist() == [1, 1, 1, 1]
assert np.asarray(netket.hilbert.Spin(0.5, 4, total_sz=0).all_states())[0].tolist() == [-1, -1, 1, 1]
PY
