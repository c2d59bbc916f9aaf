#!/usr/bin/env bash
# A Fortran-ordered numpy array saved by safetensors 0.8.0 comes back with its values in other places.
#
# Guess, written first: save_file writes any numpy array by value, or refuses one that is not in C order
#   as the torch side does; a round trip is exact or an error.
# Versions: safetensors 0.8.0 (and 0.7.0 beside it), numpy 2.4.6.
# Behavior: 0.7.0 is exact. 0.8.0 hands the raw memory of the array over together with its logical shape,
#   so a transposed or Fortran-ordered array (PCA components, pandas values, many LAPACK results) is
#   written in memory order, in silence. The shape is right and the sum is right; only the places are wrong.
# Seen: [[0,1,2],[3,4,5]] in Fortran order loads as [[0,3,1],[4,2,5]].
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/run.py" <<'PY'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

plain = np.arange(6, dtype=np.float32).reshape(2, 3)
back = load(save({"w": np.asfortranarray(plain)}))["w"]
print(safetensors.__version__, back.tolist())
wanted = [[0, 1, 2], [3, 4, 5]] if sys.argv[1] == "right" else [[0, 3, 1], [4, 2, 5]]
assert back.tolist() == wanted, back.tolist()
# A transposed view, the usual way to such an array.
back = load(save({"w": plain.T}))["w"]
assert back.shape == (3, 2)
assert np.array_equal(back, plain.T) == (sys.argv[1] == "right"), back.tolist()
# What helps: copy to C order before saving.
assert np.array_equal(load(save({"w": np.ascontiguousarray(plain.T)}))["w"], plain.T)
PY
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q safetensors==0.7.0 numpy==2.4.6
"$work/env/bin/python" "$work/run.py" right
"$work/env/bin/pip" install -q safetensors==0.8.0
"$work/env/bin/python" "$work/run.py" wrong
