#!/usr/bin/env bash
# A config with both names for the number of experts: each family obeys the other family's name.
#
# Guess, written first: Qwen3-MoE reads num_experts, the name in its published configs, and Mixtral
#   num_local_experts; the other name is a dead entry. Or: two numbers that differ are refused.
# Versions: transformers 5.24.0, torch 2.13.0 (CPU).
# Behavior: both names are aliases of one field, and the alias that the family did not publish wins in either
#   order: Qwen3-MoE obeys num_local_experts, Mixtral obeys num_experts. Nothing is logged, and the config
#   written out again holds only the winner. A pruning script that edits one of two names changes nothing.
# Seen: Qwen3-MoE with num_experts 4 and num_local_experts 8 builds 8 experts; Mixtral builds 4.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.24.0
HF_HUB_OFFLINE=1 "$work/env/bin/python" - "$work" <<'PY'
import json
import pathlib
import sys

from transformers import AutoConfig, AutoModelForCausalLM

sizes = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "head_dim": 16,
    "vocab_size": 300,
    "num_experts_per_tok": 2,
}
for family, wanted in (("qwen3_moe", 8), ("mixtral", 4)):
    for pair in ({"num_experts": 4, "num_local_experts": 8}, {"num_local_experts": 8, "num_experts": 4}):
        path = pathlib.Path(sys.argv[1]) / "config.json"
        path.write_text(json.dumps({"model_type": family, **sizes, **pair}))
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path.parent))
        built = model.model.layers[0].mlp.experts.down_proj.shape[0]
        print(family, pair, "builds", built)
        assert built == wanted, built
        kept = model.config.to_dict()
        assert kept["num_local_experts"] == wanted and "num_experts" not in kept
PY
