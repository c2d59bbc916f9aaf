#!/usr/bin/env bash
# In bitsandbytes' 8-bit layers a row's output depends on the other rows: a later token moves the scores of earlier ones.
#
# Guess, written first: activations are scaled row by row, so that a row's output is the same whatever else is in the
#   batch, and a causal model stays causal in 8 bits.
# Versions: bitsandbytes 0.50.2 (CPU), torch 2.13.0, transformers 5.24.0.
# Behavior: a column in which any row reaches the outlier threshold (6 by default) is taken out of the integer product
#   of all rows and multiplied in half precision. Rows are those of the whole batch, tokens of a text among them.
#   With llm_int8_threshold=0 there are no such columns, and rows are independent.
# Seen: a linear layer's first row moves by 0.00098 when only its second row changes; in a two-layer Llama whose last
#   token is loud in one feature, the log-probabilities before it move by 0.0024 nats. Both are exactly 0 at threshold 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 bitsandbytes==0.50.2
HF_HUB_OFFLINE=1 "$work/env/bin/python" - "$work/model" <<'PY'
import sys

import bitsandbytes as bnb
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
plain = torch.nn.Linear(64, 64, bias=False)
calm = torch.randn(2, 64)
loud = calm.clone()
loud[1, 5] = 20.0

config = LlamaConfig(
    vocab_size=50, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    tie_word_embeddings=False,
)
made = LlamaForCausalLM(config)
with torch.no_grad():
    for block in made.model.layers:
        block.input_layernorm.weight[5] = 8.0  # one feature is loud in trained models, too
    made.model.embed_tokens.weight[49] = 0.0
    made.model.embed_tokens.weight[49, 5] = 1.0
made.save_pretrained(sys.argv[1])
one = torch.arange(10)[None]
other = one.clone()
other[0, -1] = 49

for threshold in (6.0, 0.0):
    layer = bnb.nn.Linear8bitLt(64, 64, bias=False, has_fp16_weights=False, threshold=threshold)
    layer.load_state_dict(plain.state_dict())
    layer = layer.to("cpu").eval().requires_grad_(False)
    moved = (layer(calm.half())[0] - layer(loud.half())[0]).abs().max().item()
    model = AutoModelForCausalLM.from_pretrained(
        sys.argv[1],
        quantization_config=BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=threshold),
        device_map="cpu",
        dtype=torch.float32,
    ).eval()
    with torch.no_grad():
        scores = [model(input_ids=ids).logits.log_softmax(-1)[0, :-1] for ids in (one, other)]
    ahead = (scores[0] - scores[1]).abs().max().item()
    print(f"threshold {threshold:g}: the other row moves by {moved:.2g}, earlier log-probabilities by {ahead:.2g}")
    assert (moved > 1e-5) == (threshold > 0)
    assert (ahead > 1e-5) == (threshold > 0)
PY
