#!/usr/bin/env bash
# Packed rows with restarting position_ids are kept apart only if the caller also switches the cache off.
#
# Guess, written first: position_ids that restart at 0 mark documents packed in one row; transformers reads
#   them and keeps the documents apart, at least in training mode, and a mask of all ones changes nothing.
# Versions: transformers 5.24.0, torch 2.13.0 (CPU, sdpa).
# Behavior: boundaries are looked for only where there is neither a cache nor a 2-d mask. The default
#   use_cache makes a fresh empty cache, also under model.train(), and that alone lets the second document
#   attend to the first. An all-ones attention_mask does so too. Gradient checkpointing switches the cache
#   off, so turning it on changes the loss. Nothing is logged for the leak.
# Seen: the second document's logits differ from those alone by 0.24, and by less than 1e-6 with use_cache=False.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.24.0
HF_HUB_OFFLINE=1 "$work/env/bin/python" - <<'PY'
import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
model = LlamaForCausalLM(
    LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4, vocab_size=100)
)
ids = torch.arange(5, 13)[None]
places = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3]])
alone = model(input_ids=ids[:, 4:], use_cache=False).logits


def leak(**options):
    packed = model(input_ids=ids, position_ids=places, **options).logits[:, 4:]
    return (packed - alone).abs().max().item()


for mode in ("eval", "train"):
    getattr(model, mode)()
    default, off = leak(), leak(use_cache=False)
    ones = leak(use_cache=False, attention_mask=torch.ones_like(ids))
    print(mode, f"default {default:.3g}, cache off {off:.3g}, cache off with a mask of ones {ones:.3g}")
    assert default > 0.05 and ones > 0.05 and off < 1e-5
model.gradient_checkpointing_enable()
assert leak() < 1e-5
PY
