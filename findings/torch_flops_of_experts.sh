#!/usr/bin/env bash
# torch's FLOP counter sees none of the experts of a mixture model at transformers' default settings.
#
# Guess, written first: FlopCounterMode counts matrix products below the Python level, so the way in which
#   transformers runs the experts does not matter; eager and grouped runs give one number.
# Versions: torch 2.13.0 (CPU), transformers 5.24.0.
# Behavior: transformers 5 runs experts as grouped products by default, also on a CPU. The counter has no
#   formula for that operator and adds 0 for it, without a warning; outputs agree.
# Seen: 4,440,064 with "eager" and "batched_mm", 2,867,200 with the default: the missing 1,572,864 are
#   2 layers x 32 tokens x 2 experts a token x 3 matrices x 64 x 32 x 2, all of the experts' work.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.24.0
HF_HUB_OFFLINE=1 "$work/env/bin/python" - <<'PY'
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

torch.manual_seed(0)
model = Qwen3MoeForCausalLM(
    Qwen3MoeConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        moe_intermediate_size=32,
        head_dim=16,
        vocab_size=300,
        num_local_experts=8,
        num_experts_per_tok=2,
    )
).eval()


def count():
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        logits = model(input_ids=torch.arange(32)[None], use_cache=False).logits
    return counter.get_total_flops(), logits


default, logits = count()
seen = {"default": default}
for way in ("grouped_mm", "batched_mm", "eager"):
    model.set_experts_implementation(way)
    seen[way], again = count()
    assert torch.allclose(logits, again, atol=1e-5)
print(seen)
assert seen == {"default": 2867200, "grouped_mm": 2867200, "batched_mm": 4440064, "eager": 4440064}
assert seen["eager"] - seen["default"] == 2 * 32 * 2 * 3 * 64 * 32 * 2
PY
