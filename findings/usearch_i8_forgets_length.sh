#!/usr/bin/env bash
# A usearch index with dtype "i8" measures squared distance between directions, not between vectors.
#
# Guess, written first: i8 storage scales all vectors by one factor or saturates large values, so that the
#   nearest neighbors by squared distance stay about the same as with f16 or bf16.
# Versions: usearch 2.26.6, numpy 2.4.6.
# Behavior: every float vector, stored or asked for, is divided by its own length before it is rounded to
#   [-127, 127]. With the metric "l2sq" (and "ip") lengths are lost in silence: (1,0,0,0) and (10,0,0,0) are
#   both at distance 0 from (9,0,0,0). f32, f16 and bf16 give 64 and 1. The f32 read back has length 1.
# Seen: i8 distances 0 and 0; a vector of length 10 reads back as [1, 0, 0, 0].
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q usearch==2.26.6 numpy==2.4.6
"$work/env/bin/python" - <<'PY'
import numpy as np
from usearch.index import Index

stored = np.array([[1, 0, 0, 0], [10, 0, 0, 0], [0, 3, 0, 0]], np.float32)
asked = np.array([9, 0, 0, 0], np.float32)
for dtype, wanted in (("f32", (64, 1)), ("f16", (64, 1)), ("bf16", (64, 1)), ("i8", (0, 0))):
    index = Index(ndim=4, metric="l2sq", dtype=dtype)
    index.add(np.arange(3), stored)
    found = index.search(asked, 3)
    distance = dict(zip(found.keys.tolist(), found.distances.tolist()))
    print(dtype, distance)
    assert (distance[0], distance[1]) == wanted, distance
assert index.get(1, dtype="f32").tolist() == [1, 0, 0, 0]
# Integers that are int8 already keep their lengths.
index = Index(ndim=4, metric="l2sq", dtype="i8")
index.add(np.arange(3), stored.astype(np.int8))
found = index.search(asked.astype(np.int8), 2)
assert dict(zip(found.keys.tolist(), found.distances.tolist())) == {1: 1, 0: 64}
PY
