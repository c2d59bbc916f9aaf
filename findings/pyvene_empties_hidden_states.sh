#!/usr/bin/env bash
# One call of a pyvene model and transformers' output_hidden_states returns an empty tuple from then on.
#
# Guess, written first: pyvene takes its own hooks off after a call and leaves the wrapped model as it was;
#   at worst it keeps its own hooks on.
# Versions: pyvene 0.1.8, transformers 5.24.0, torch 2.13.0 (CPU).
# Behavior: pyvene clears the forward hooks of every module, whoever set them. transformers 5 gathers hidden
#   states with hooks of its own that it sets once, at the first request. After one intervention the model
#   answers output_hidden_states=True with a tuple of length 0, without an error, and a user's steering hook
#   is gone too: the logits are those of the bare model.
# Seen: 4 hidden states before, 0 after; hooks left on the layers: 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.24.0 pyvene==0.1.8
HF_HUB_OFFLINE=1 "$work/env/bin/python" - <<'PY'
import pyvene
import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
model = LlamaForCausalLM(
    LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, vocab_size=100)
).eval()
ids = torch.arange(5, 15)[None]
with torch.no_grad():
    bare = model(input_ids=ids).logits
    assert len(model(input_ids=ids, output_hidden_states=True).hidden_states) == 4
    model.model.layers[1].register_forward_hook(lambda module, inputs, output: output + 1)
    steered = model(input_ids=ids).logits
    assert not torch.allclose(steered, bare)
    wrapped = pyvene.IntervenableModel(
        {"layer": 2, "component": "block_output", "intervention_type": pyvene.ZeroIntervention}, model=model
    )
    wrapped(base={"input_ids": ids}, unit_locations={"base": 3})
    after = model(input_ids=ids, output_hidden_states=True)
print("hidden states", len(after.hidden_states), "hooks", sum(len(x._forward_hooks) for x in model.model.layers))
assert after.hidden_states == ()
assert torch.equal(after.logits, bare)
PY
