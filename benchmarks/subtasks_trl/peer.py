"""The side with TRL: ``peer.py FOLDER UPDATES`` trains on the arms in FOLDER/data and prints one JSON line."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets import Dataset, disable_caching, disable_progress_bars
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
    set_seed,
)
from trl import SFTConfig, SFTTrainer

ROWS = 256
COMMON: dict[str, Any] = {
    "per_device_train_batch_size": 16,
    "learning_rate": 3e-3,
    "logging_steps": 1,
    "report_to": [],
    "save_strategy": "no",
    "use_cpu": True,
    "seed": 0,
    "disable_tqdm": True,
    "bf16": False,
}


def losses(trainer: Trainer) -> list[float]:
    """Trains and gives the loss of every update."""
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def with_trl(folder: Path, rows: list[dict[str, Any]], columns: tuple[str, ...], updates: int) -> SFTTrainer:
    """TRL's trainer on some columns of the rows."""
    set_seed(0)
    settings = SFTConfig(
        output_dir=str(folder / "out"),
        max_steps=updates,
        completion_only_loss=True,
        max_length=None,
        gradient_checkpointing=False,
        **COMMON,
    )
    return SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder / "model"),
        args=settings,
        processing_class=AutoTokenizer.from_pretrained(folder / "model"),
        train_dataset=Dataset.from_list([{name: row[name] for name in columns} for row in rows]),
    )


def with_transformers(folder: Path, rows: list[dict[str, Any]], updates: int) -> Trainer:
    """transformers' own trainer on our tokens and labels."""
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    return Trainer(
        model=AutoModelForCausalLM.from_pretrained(folder / "model"),
        args=TrainingArguments(output_dir=str(folder / "out"), max_steps=updates, **COMMON),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
        train_dataset=Dataset.from_list([{name: row[name] for name in ("input_ids", "labels")} for row in rows]),
    )


def main() -> None:
    folder, updates = Path(sys.argv[1]), int(sys.argv[2])
    disable_caching()
    disable_progress_bars()
    found = []
    for arm in sorted(each.name for each in (folder / "data").iterdir() if each.is_dir()):
        lines = (folder / "data" / arm / "train.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines[:ROWS]]
        texts = with_trl(folder, rows, ("prompt", "completion", "spans"), updates)
        made = [(list(row["input_ids"]), list(row["labels"])) for row in texts.train_dataset]
        ours = [(row["input_ids"], row["labels"]) for row in rows]
        curves = {
            "trl_texts": losses(texts),
            "trl_tokens": losses(with_trl(folder, rows, tuple(rows[0]), updates)),
            "transformers": losses(with_transformers(folder, rows, updates)),
        }
        found.append(
            {
                "arm": arm,
                "rows": len(rows),
                "rows_with_equal_tokens": sum(a == b for a, b in zip(made, ours, strict=True)),
            }
            | {f"first_loss_{way}": curve[0] for way, curve in curves.items()}
            | {f"last_loss_{way}": curve[-1] for way, curve in curves.items()}
        )
    print(json.dumps({"trl": version("trl"), "transformers": version("transformers"), "arms": found}))


if __name__ == "__main__":
    main()
