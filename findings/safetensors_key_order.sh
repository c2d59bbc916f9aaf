#!/usr/bin/env bash
# safetensors gives one file's tensors in three orders, one of them drawn anew at every call.
#
# Guess, written first: load and load_file return the tensors in the order in which they were saved,
#   as a Python dict, numpy's npz and torch.save do; or both sort them by name.
# Versions: safetensors 0.8.0, numpy 2.4.6.
# Behavior: load_file goes by place in the file, which is by descending width of the dtype and then by name
#   ("layer.10" before "layer.2"); safe_open(...).keys() goes by name; load(bytes) goes in the order of a
#   randomly seeded hash table, another at each call in the same process. Anything that zips the values
#   with a list of layers, or seeds noise in iteration order, differs between them and between runs.
# Seen: saved z, a, m, b; load_file m, z, a, b; keys a, b, m, z; load(bytes) more than one order in 60 calls.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q safetensors==0.8.0 numpy==2.4.6
"$work/env/bin/python" - "$work/x.safetensors" <<'PY'
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load, load_file, save_file

path = sys.argv[1]
save_file(
    {
        "z": np.zeros(1, np.float32),
        "a": np.zeros(1, np.float16),
        "m": np.zeros(1, np.int64),
        "b": np.zeros(1, np.uint8),
    },
    path,
)
in_file = list(load_file(path))
with safe_open(path, "np") as opened:
    by_name = list(opened.keys())
data = open(path, "rb").read()
from_bytes = {tuple(load(data)) for _ in range(60)}
print("load_file", in_file, "keys", by_name, "orders of load", len(from_bytes))
assert in_file == ["m", "z", "a", "b"], in_file
assert by_name == ["a", "b", "m", "z"], by_name
assert len(from_bytes) > 1
save_file({"layer.2": np.zeros(1), "layer.10": np.zeros(1)}, path)
assert list(load_file(path)) == ["layer.10", "layer.2"]
PY
