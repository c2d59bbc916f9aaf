#!/usr/bin/env bash
# Moshi's cache keeps a window of tokens; the same model without a cache looks back on all of them.
#
# Guess, written first: sliding_window limits what a token sees, with and without a cache, so that generation with the
#   cache scores tokens as one pass over the whole text does.
# Versions: transformers 5.23.0, torch 2.13.0 (CPU).
# Behavior: the configuration's sliding_window makes DynamicCache keep sliding_window - 1 tokens per layer, but no mask
#   has that window: in one pass the last token is moved by the first one, far outside of it. Beyond the window (3000
#   by default; 8 here) the two ways are two models. Nothing is logged.
# Seen: token by token over the cache, log-probabilities differ by 6.7 nats from the whole pass; within the window by 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.23.0
HF_HUB_OFFLINE=1 "$work/env/bin/python" - <<'PY'
import torch
from transformers import MoshiConfig, MoshiForCausalLM

torch.manual_seed(0)
sizes = {"vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 16}
model = MoshiForCausalLM(MoshiConfig(**sizes, ffn_dim=96, sliding_window=8, max_position_embeddings=64)).eval()
for weight in model.parameters():
    if weight.ndim > 1:
        torch.nn.init.normal_(weight, std=0.2)
ids = torch.randint(3, 100, (1, 24))


@torch.no_grad()
def differs(start, end):
    whole = model(input_ids=ids[:, :end], use_cache=False).logits.log_softmax(-1)
    output, steps = model(input_ids=ids[:, :start], use_cache=True), []
    for place in range(start, end):
        output = model(input_ids=ids[:, place : place + 1], past_key_values=output.past_key_values, use_cache=True)
        steps.append(output.logits[0, 0].log_softmax(-1))
    return (torch.stack(steps) - whole[0, start:]).abs().max().item()


with torch.no_grad():
    other = ids.clone()
    other[0, 0] = (ids[0, 0] + 1) % 100
    both = [model(input_ids=each, use_cache=False).logits.log_softmax(-1)[0, -1] for each in (ids, other)]
reach = (both[0] - both[1]).abs().max().item()
inside, outside = differs(4, 7), differs(20, 24)
print(f"inside the window {inside:.2g}, beyond it {outside:.3g}; the first token moves the last one by {reach:.3g}")
assert inside < 1e-4 and outside > 1 and reach > 0.1
PY
