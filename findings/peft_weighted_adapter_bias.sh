#!/usr/bin/env bash
# PEFT's add_weighted_adapter with one adapter and weight 1 is not a copy if the adapter has a LoRA bias.
#
# Guess, written first: add_weighted_adapter(["a"], [1.0], "copy") and the exact combination type "cat" give
#   what the adapters give; where a bias cannot be combined there is an error, as for other unsupported parts.
# Versions: peft 0.21.2, transformers 5.24.0, torch 2.13.0 (CPU).
# Behavior: the new adapter has lora_bias=True in its config and a bias of zeros: the weights are combined
#   and the trained biases left out, with "linear", "cat" and "svd" alike, without a warning.
# Seen: the weight change of the copy is exact, its bias 0, and the logits are off.
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
sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
for has_bias in (False, True):
    model = get_peft_model(
        LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=100)).eval(),
        LoraConfig(r=4, target_modules=["v_proj"], lora_bias=has_bias),
        adapter_name="trained",
    ).eval()
    for name, value in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(value, std=0.5)
    layer = model.base_model.model.model.layers[0].self_attn.v_proj
    ids = torch.arange(10)[None]
    with torch.no_grad():
        trained = model(input_ids=ids).logits
        for kind in ("linear", "cat", "svd"):
            model.add_weighted_adapter(["trained"], [1.0], kind, combination_type=kind)
            model.set_adapter(kind)
            error = (model(input_ids=ids).logits - trained).abs().max().item()
            print("lora_bias", has_bias, kind, f"logits off by {error:.3g}")
            weights = layer.get_delta_weight(kind), layer.get_delta_weight("trained")
            assert torch.allclose(*weights, atol=1e-5)
            assert (error > 1e-2) if has_bias else (error < 1e-4)
            if has_bias:
                assert model.peft_config[kind].lora_bias and not layer.lora_B[kind].bias.any()
                assert layer.lora_B["trained"].bias.any()
PY
