#!/usr/bin/env bash
# The mean of two equal adapters by PEFT's "linear" mixing is twice the adapter.
#
# Guess, written first: "linear" is linear in the change of the weights: 0.5 a + 0.5 a is a, as is 0.9 a + 0.1 a.
# Versions: peft 0.21.2, transformers 5.24.0, torch 2.13.0 (CPU).
# Behavior: the factors A and B are each summed with the square roots of the weights, so their product holds
#   all cross terms. Of equal adapters it is the squared sum of the roots: weights that sum to 1 scale the
#   adapter by anything from 1 to the number of adapters. "cat" is exact.
# Seen: factors 2.0 and 1.6 with "linear" for (0.5, 0.5) and (0.9, 0.1), 1.0 and 1.0 with "cat".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.24.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$work/env/bin/python" - <<'PY'
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
config = LoraConfig(r=4, target_modules=["q_proj"])
sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
model = get_peft_model(LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=100)), config, adapter_name="a")
model.add_adapter("b", config)
layer = model.base_model.model.model.layers[0].self_attn.q_proj
torch.nn.init.normal_(layer.lora_A["a"].weight)
torch.nn.init.normal_(layer.lora_B["a"].weight)
layer.lora_A["b"].load_state_dict(layer.lora_A["a"].state_dict())
layer.lora_B["b"].load_state_dict(layer.lora_B["a"].state_dict())
change = layer.get_delta_weight("a")
seen = {}
for kind in ("linear", "cat"):
    for weights in ((0.5, 0.5), (0.9, 0.1)):
        name = f"{kind}{len(seen)}"
        model.add_weighted_adapter(["a", "b"], list(weights), name, combination_type=kind)
        mixed = layer.get_delta_weight(name)
        factor = ((mixed * change).sum() / (change * change).sum()).item()
        assert torch.allclose(mixed, factor * change, atol=1e-4)
        seen[kind, weights] = round(factor, 3)
print(seen)
assert list(seen.values()) == [2.0, 1.6, 1.0, 1.0]
PY
