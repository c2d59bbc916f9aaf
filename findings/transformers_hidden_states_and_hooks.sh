#!/usr/bin/env bash
# Whether output_hidden_states shows a hook's change to a layer depends on what was asked of the model before.
#
# Guess, written first: hidden_states[i + 1] is what layer i hands to layer i + 1, forward hooks included,
#   as it was while transformers gathered the states inside the model's own loop.
# Versions: transformers 5.24.0, torch 2.13.0 (CPU).
# Behavior: transformers 5 gathers the states with forward hooks set at the first request and kept. Hooks run
#   in the order in which they were set: a steering hook set before the first request is seen, one set after
#   it is not, though it acts on the next layers and on the logits either way (the logits are equal).
#   So one earlier look at the hidden states makes a later check of a steering hook show "no change" there.
# Seen: change at the hooked layer 1.0 when the hook came first, 0.0 when a request came first.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.24.0
HF_HUB_OFFLINE=1 "$work/env/bin/python" - <<'PY'
import torch
from transformers import LlamaConfig, LlamaForCausalLM


def run(look_first):
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, vocab_size=100)
    ).eval()
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        if look_first:
            model(input_ids=ids, output_hidden_states=True)
        model.model.layers[1].register_forward_hook(lambda module, inputs, output: output + 1)
        return model(input_ids=ids, output_hidden_states=True)


first, later = run(False), run(True)
change = [(a - b).abs().max().item() for a, b in zip(first.hidden_states, later.hidden_states)]
print("hidden states, hook first against request first:", [round(x, 3) for x in change])
assert change[0] == change[1] == change[3] == 0
assert abs(change[2] - 1) < 1e-5
assert torch.equal(first.logits, later.logits)
PY
