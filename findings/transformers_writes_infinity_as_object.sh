#!/usr/bin/env bash
# A configuration with an infinite number cannot be made again from the JSON that it wrote.
#
# Guess, written first: config.json holds Infinity, as Python's json writes it, and CONFIG.from_dict(json.load(...))
#   gives the configuration back, since from_pretrained does.
# Versions: transformers 5.23.0.
# Behavior: save_pretrained writes {"__float__": "Infinity"}, an object where the field is a number. Only from_pretrained
#   knows how to read it; from_dict and the class itself refuse the very file, and other readers of config.json meet an
#   object. Mamba 2 at default settings has such a field (time_step_limit).
# Seen: written [0.0, {'__float__': 'Infinity'}]; AutoConfig reads [0.0, inf], from_dict raises a validation error.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile transformers==5.23.0
HF_HUB_OFFLINE=1 "$work/env/bin/python" - "$work" <<'PY'
import json
import math
import sys
from pathlib import Path

from transformers import AutoConfig, Mamba2Config

Mamba2Config(num_hidden_layers=2).save_pretrained(sys.argv[1])
data = json.loads(Path(sys.argv[1], "config.json").read_text())
print("written", data["time_step_limit"])
assert data["time_step_limit"] == [0.0, {"__float__": "Infinity"}]
assert math.isinf(AutoConfig.from_pretrained(sys.argv[1]).time_step_limit[1])
refused = 0
for make in (Mamba2Config.from_dict, lambda given: Mamba2Config(**given)):
    try:
        make(dict(data))
    except Exception as error:
        refused += 1
        print("refused:", type(error).__name__)
assert refused == 2
PY
