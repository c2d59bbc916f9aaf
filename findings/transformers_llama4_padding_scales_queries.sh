#!/usr/bin/env bash
# Llama 4 scales queries by their column, so left padding moves scores even with the right position_ids.
#
# Guess, written first: with a mask and position_ids that count real tokens, a left-padded row has the logits of
#   the row alone, to rounding, as in other decoders with rotary positions.
# Versions: transformers 5.23.0, torch 2.13.0 (CPU, eager).
# Behavior: layers without rotary positions multiply queries by 1 + attn_scale log(1 + floor((column + 1) / floor_scale)).
#   The column counts padding; position_ids are not asked. Below floor_scale (8192 by default) the factor is 1, so that
#   short texts show nothing; here floor_scale is 16. Nothing is logged.
# Seen: 24 tokens behind 8 or 16 paddings differ by 0.26 nats from themselves alone; by 0 where floor_scale is 8192.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.23.0
HF_HUB_OFFLINE=1 "$work/env/bin/python" - <<'PY'
import torch
from transformers import Llama4ForCausalLM, Llama4TextConfig

torch.manual_seed(0)
sizes = {"vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 16}
sizes |= {"num_key_value_heads": 2, "intermediate_size": 64, "intermediate_size_mlp": 64, "num_local_experts": 2}
config = Llama4TextConfig(**sizes, no_rope_layers=[1, 1, 1, 0], floor_scale=16, attn_scale=0.5, pad_token_id=0)
model = Llama4ForCausalLM(config).eval()
for weight in model.parameters():
    if weight.ndim > 1:
        torch.nn.init.normal_(weight, std=0.2)
ids = torch.randint(3, 100, (1, 24))


@torch.no_grad()
def moved(pads):
    row = torch.cat([torch.zeros(1, pads, dtype=torch.long), ids], dim=1)
    mask = (torch.arange(pads + 24) >= pads).long()[None]
    places = (mask.cumsum(1) - 1).clamp(min=0)
    padded = model(input_ids=row, attention_mask=mask, position_ids=places, use_cache=False).logits[:, pads:]
    alone = model(input_ids=ids, use_cache=False).logits
    return (padded.log_softmax(-1) - alone.log_softmax(-1)).abs().max().item()


short = [moved(pads) for pads in (8, 16)]
for layer in model.model.layers:
    layer.self_attn.floor_scale = 8192
long = [moved(pads) for pads in (8, 16)]
print("floor_scale 16:", [round(each, 3) for each in short], "floor_scale 8192:", [round(each, 7) for each in long])
assert min(short) > 0.1 and max(long) < 1e-5
PY
