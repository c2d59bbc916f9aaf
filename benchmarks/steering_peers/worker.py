"""One side of the comparison, in its own environment: reads jobs from stdin, answers with CPU seconds and outputs.

Every job is a JSON line ``{"job": ..., ...}``; the answer is a JSON line. Jobs: extract, generate, sweep. With
``"count": true`` the answer holds the multiplications by weights instead of the seconds.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

SIDE, FOLDER = sys.argv[1], Path(sys.argv[2])
PAIRS = json.loads((FOLDER / "pairs.json").read_text(encoding="utf-8"))
PROMPTS = [positive for positive, _ in PAIRS[:16]]
TARGETS = (70, 80, 90, 100)
"""Tokens whose probability after each prompt is swept."""


def load() -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    # Both versions of transformers read tokenizer.json; the class name beside it is known to the newer one only.
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(FOLDER / "tokenizer.json"),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )
    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval(), tokenizer


MODEL, TOKENIZER = load()


class Ours:
    def __init__(self) -> None:
        from seqtant.lm.huggingface import HuggingFaceLM
        from seqtant.steering.data.items import ContrastPair

        self.model = HuggingFaceLM(MODEL, TOKENIZER)
        self.pairs = [ContrastPair(*pair) for pair in PAIRS]
        # The peers' tokenizer calls add no first token; neither must ours.
        self.model.bos_id = None
        self.by_hooks = False

    def extract(self, layers: list[int]) -> dict[int, Any]:
        from seqtant.steering.vectors.extraction import extract

        self.vector = extract(self.model, self.pairs, layers, folds=0)
        return {k: self.vector.facts[k].raw_norm * v for k, v in self.vector.directions.items()}

    def steering(self, rows: dict[int, Any], strength: float) -> Any:
        from contextlib import contextmanager

        from seqtant.steering import SteeringVector, apply_steering, apply_steering_as_bias

        vector = SteeringVector(rows)
        weights = {k: float(row.norm()) for k, row in rows.items()}

        @contextmanager
        def inside() -> Any:
            context = apply_steering if self.by_hooks else apply_steering_as_bias
            with context(self.model, vector, strength, weights=weights):
                yield None

        return inside()

    def sweep(self, rows: dict[int, Any], strengths: list[float]) -> list[list[list[float]]]:
        import torch

        from seqtant.lm.interface import encode
        from seqtant.steering.sweeping.sweep import plan_scoring, sweep_log_probs
        from seqtant.steering.vectors.vector import SteeringVector

        (layer,) = rows  # one steered block: unit vector times length
        vector, length = SteeringVector(rows), float(rows[layer].norm())
        items = [(ids, [[t] for t in TARGETS]) for ids in encode(self.model, PROMPTS)]
        scaled = [strength * length for strength in strengths]
        found = sweep_log_probs(self.model, vector, plan_scoring(self.model, items), scaled)
        return torch.tensor([own.tolist() for own in found]).transpose(0, 1).tolist()


class Repeng:
    def extract(self, layers: list[int]) -> dict[int, Any]:
        import torch
        from repeng import ControlModel, ControlVector, DatasetEntry

        model = ControlModel(MODEL, layers)
        data = [DatasetEntry(positive=p, negative=n) for p, n in PAIRS]
        vector = ControlVector.train(model, TOKENIZER, data, method="pca_diff", hidden_layers=layers, batch_size=32)
        model.unwrap()
        return {k: torch.tensor(v) for k, v in vector.directions.items()}

    def steering(self, rows: dict[int, Any], strength: float) -> Any:
        from contextlib import contextmanager

        from repeng import ControlModel, ControlVector

        @contextmanager
        def wrapped() -> Any:
            model = ControlModel(MODEL, list(rows))
            directions = {k: v.numpy() for k, v in rows.items()}
            model.set_control(ControlVector(model_type="llama", directions=directions), strength)
            try:
                yield model
            finally:
                model.unwrap()

        return wrapped()


class SteeringVectors:
    def _samples(self) -> list[Any]:
        from steering_vectors import SteeringVectorTrainingSample

        return [SteeringVectorTrainingSample(positive_str=p, negative_str=n) for p, n in PAIRS]

    def extract(self, layers: list[int]) -> dict[int, Any]:
        from steering_vectors import train_steering_vector

        vector = train_steering_vector(
            MODEL, TOKENIZER, self._samples(), layers=layers, read_token_index=-1, batch_size=32
        )
        return dict(vector.layer_activations)

    def steering(self, rows: dict[int, Any], strength: float) -> Any:
        from steering_vectors import SteeringVector

        vector = SteeringVector(layer_activations=rows, layer_type="decoder_block")
        return vector.apply(MODEL, multiplier=strength)


def looped_sweep(side: Any, rows: dict[int, Any], strengths: list[float], *, last: bool) -> list[list[list[float]]]:
    """How a peer sweeps: one strength after the other, all prompts in one left-padded batch.

    ``last`` asks the model for the last position's logits only, as one writes who minds the cost; without it, all.
    """
    import torch

    batch = TOKENIZER(PROMPTS, return_tensors="pt", padding=True)
    # repeng finds padding by position ids of the batch's own shape, which a bare forward does not make.
    batch["position_ids"] = (batch["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    found = []
    for strength in strengths:
        with side.steering(rows, strength) as wrapped, torch.no_grad():
            model = wrapped if wrapped is not None and hasattr(wrapped, "forward") else MODEL
            logits = model(**batch, logits_to_keep=1 if last else 0).logits[:, -1].double()
        found.append(torch.log_softmax(logits, dim=-1)[:, list(TARGETS)].tolist())
    return found


def generate(side: Any, rows: dict[int, Any] | None, strength: float, tokens: int, batch: int) -> list[list[int]]:
    import torch

    ids = TOKENIZER(PROMPTS[:batch], return_tensors="pt", padding=True)
    context = nullcontext() if rows is None else side.steering(rows, strength)
    with context as wrapped, torch.no_grad():
        model = wrapped if wrapped is not None and hasattr(wrapped, "generate") else MODEL
        out = model.generate(**ids, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=2)
    return out[:, ids["input_ids"].shape[1] :].tolist()


def answer(side: Any, job: dict[str, Any]) -> Any:
    """Does one job."""
    import torch

    rows = {int(k): torch.tensor(v) for k, v in job.get("rows", {}).items()} or None
    if job["job"] == "extract":
        return {k: v.flatten().tolist() for k, v in side.extract(job["layers"]).items()}
    if job["job"] == "generate":
        side.by_hooks = job.get("hooks", False)
        return generate(side, rows, job["strength"], job["tokens"], job["batch"])
    if SIDE == "seqtant":
        return side.sweep(rows, job["strengths"])
    return looped_sweep(side, rows or {}, job["strengths"], last=job["last"])


def counted(side: Any, job: dict[str, Any]) -> int:
    """Multiplications by weights that a job takes; what attention multiplies among tokens is not among them."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        answer(side, job)
    return counter.get_total_flops() // 2


def main() -> None:
    """Answers jobs until stdin ends."""
    side = {"seqtant": Ours, "repeng": Repeng, "steering-vectors": SteeringVectors}[SIDE]()
    for line in sys.stdin:
        job = json.loads(line)
        if job.pop("count", False):
            print(json.dumps({"multiplications": counted(side, job)}), flush=True)
            continue
        started = time.process_time()
        out = answer(side, job)
        seconds = time.process_time() - started
        print(json.dumps({"seconds": seconds, "output": out}), flush=True)


if __name__ == "__main__":
    main()
