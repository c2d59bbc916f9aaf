#!/usr/bin/env bash
# Probabilities that pyctcdecode reads rightly in float32 it takes for raw scores once they are made float64.
#
# Guess, written first: a decoder that takes probabilities or scores tells them apart with some room for
#   rounding; if any type fails it is float16, and going to a wider float can only help.
# Versions: pyctcdecode 0.5.0, numpy 1.26.4.
# Behavior: the test is that the mean of the row sums, in the array's own type, is 1 within one part in 10^9.
#   float16 and float32 sums round to exactly 1. The same float32 numbers widened to float64 (lists, JSON,
#   pandas), or float16 ones widened to float32, keep their rounding error of about 1e-8 or 1e-4, miss the
#   test and go through a second softmax in silence, which nearly flattens them.
# Seen: four sure rows score -0.31 in float16 and float32 and -2.01 in float64 or when float16 goes to float32;
#   of 20 noisy texts 13 change in float64, and all 20 when float16 goes to float32.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile pyctcdecode==0.5.0 numpy==1.26.4
"$work/env/bin/python" - 2> /dev/null <<'PY'
import numpy as np
from pyctcdecode import build_ctcdecoder

decoder = build_ctcdecoder(["", "a", "b", "c"])
# Rows that say "a" or blank with 0.9; their sum is 1 in float32 and not within 1e-9 of it in float64.
rest = np.float32(0.1) / np.float32(3)
sure = np.full((4, 4), rest, np.float32)
sure[[0, 1, 2, 3], [1, 0, 2, 0]] = 0.9
score = {kind: decoder.decode_beams(sure.astype(kind))[0][3] for kind in ("float16", "float32", "float64")}
score["float16 as float32"] = decoder.decode_beams(sure.astype("float16").astype("float32"))[0][3]
score = {kind: round(float(value), 2) for kind, value in score.items()}
print(score)
assert score == {"float16": -0.31, "float32": -0.31, "float64": -2.01, "float16 as float32": -2.01}

labels = ["", *"abcdefghijklmnopqrstuvwxyz", " ", "'", "-", ".", "?"]
decoder = build_ctcdecoder(labels)
generator = np.random.default_rng(0)
changed = {"float16": 0, "float64": 0, "float16 as float32": 0}
for _ in range(20):
    raw = np.exp(3 * generator.normal(size=(100, 32)))
    single = (raw / raw.sum(1, keepdims=True)).astype("float32")
    text = decoder.decode(single)
    changed["float16"] += decoder.decode(single.astype("float16")) != text
    changed["float64"] += decoder.decode(single.astype("float64")) != text
    changed["float16 as float32"] += decoder.decode(single.astype("float16").astype("float32")) != text
print("texts changed of 20", changed)
assert changed["float16 as float32"] == 20 and changed["float64"] >= 10 > changed["float16"]
PY
