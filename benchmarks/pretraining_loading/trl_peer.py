"""TRL's side: ``trl_peer.py PARQUET VOCABULARY WINDOW SEPARATOR`` trains on the file and prints one JSON line."""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import version

import torch
from datasets import load_dataset
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

STEPS, ROWS = 60, 8


def main() -> None:
    path = sys.argv[1]
    vocabulary, window, separator = map(int, sys.argv[2:])
    data = load_dataset("parquet", data_files=path, split="train", cache_dir=tempfile.mkdtemp())
    data = data.select_columns(["input_ids"])
    shape = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=window,
        pad_token_id=separator,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(shape)
    words = {f"token {number}": number for number in range(vocabulary)}
    # The trainer wants a tokenizer for its padding; the text was turned into tokens long ago.
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words)), pad_token=f"token {separator}", eos_token="token 1"
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            max_steps=STEPS,
            per_device_train_batch_size=ROWS,
            learning_rate=3e-3,
            max_length=window,
            packing=False,
            logging_steps=1,
            report_to="none",
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
            save_strategy="no",
        )
        trainer = SFTTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
        known = {tuple(row) for row in data["input_ids"]}
        batch = next(iter(trainer.get_train_dataloader()))
        rows = [
            tuple(line[mask.bool()].tolist())
            for line, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
        ]
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    print(
        json.dumps(
            {
                "version": version("trl"),
                "same_tokens": all(row in known for row in rows),
                "segments_see_each_other": "position_ids" not in batch and _sees(model, rows[0]),
                "steps": len(losses),
                "first_loss": losses[0],
                "last_loss": losses[-1],
            }
        )
    )


def _sees(model: LlamaForCausalLM, row: tuple[int, ...]) -> bool:
    """Whether the last logits change with the first half of the example."""
    ids = torch.tensor([row])
    other = torch.cat([ids[:, : len(row) // 2].flip(1), ids[:, len(row) // 2 :]], dim=1)
    with torch.no_grad():
        return not torch.equal(model(ids).logits[0, -1], model(other).logits[0, -1])


if __name__ == "__main__":
    main()
