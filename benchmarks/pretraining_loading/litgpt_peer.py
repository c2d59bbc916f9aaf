"""litgpt's side: ``litgpt_peer.py PARQUET VOCABULARY WINDOW SEPARATOR`` trains on the file and prints one JSON line.

``litgpt pretrain --data LitData`` reads blocks of equal length, so examples that are not full are filled up with
separators; a block holds one more token than the model's ``max_seq_length``.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from litdata import optimize
from litdata.streaming import TokensLoader
from litgpt import GPT, Config
from litgpt.args import EvalArgs, TrainArgs
from litgpt.data import LitData
from litgpt.pretrain import setup
from pyarrow import parquet

STEPS, ROWS = 60, 8


def tokens_of(row: list[int], window: int, separator: int) -> torch.Tensor:
    """One example as one block."""
    return torch.tensor(row + [separator] * (window - len(row)))


def main() -> None:
    path = sys.argv[1]
    vocabulary, window, separator = map(int, sys.argv[2:])
    examples = parquet.read_table(path, columns=["input_ids"]).column("input_ids").to_pylist()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "chunks"
        optimize(
            fn=partial(tokens_of, window=window, separator=separator),
            inputs=examples,
            output_dir=str(folder),
            num_workers=1,
            chunk_size=window * len(examples),
            item_loader=TokensLoader(block_size=window),
        )
        data = LitData(data_path=folder, num_workers=0)
        data.connect(batch_size=ROWS, max_seq_length=window - 1)
        known = {tuple(tokens_of(row, window, separator).tolist()) for row in examples}
        batch = next(iter(data.train_dataloader()))
        shape = Config(
            name="small",
            block_size=window - 1,
            vocab_size=vocabulary,
            padded_vocab_size=vocabulary,
            n_layer=2,
            n_head=2,
            n_embd=32,
        )
        torch.manual_seed(0)
        sys.argv[1:] = ["small"]  # litgpt parses the command line once more when it saves the model
        setup(
            "small",
            model_config=shape,
            out_dir=Path(place) / "out",
            precision="32-true",
            data=LitData(data_path=folder, num_workers=0),
            train=TrainArgs(
                global_batch_size=ROWS,
                micro_batch_size=ROWS,
                max_tokens=STEPS * ROWS * (window - 1),
                log_interval=1,
                lr_warmup_steps=1,
                max_norm=1.0,
                min_lr=1e-4,
            ),
            eval=EvalArgs(interval=10**6, max_iters=1, final_validation=False),
            optimizer={"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3}},
            devices=1,
            logger_name="csv",
        )
        with next(Path(place).rglob("metrics.csv")).open() as file:
            losses = [float(row["loss"]) for row in csv.DictReader(file) if row.get("loss")]
    model = GPT(shape)
    print(
        json.dumps(
            {
                "version": version("litgpt"),
                "same_tokens": all(tuple(row.tolist()) in known for row in batch),
                "segments_see_each_other": _sees(model, batch[:1]),
                "steps": len(losses),
                "first_loss": losses[0],
                "last_loss": losses[-1],
            }
        )
    )


def _sees(model: GPT, ids: torch.Tensor) -> bool:
    """Whether the last logits change with the first half of the example."""
    ids = ids[:, :-1].long()
    half = ids.shape[1] // 2
    other = torch.cat([ids[:, :half].flip(1), ids[:, half:]], dim=1)
    with torch.no_grad():
        return not torch.equal(model(ids)[0, -1], model(other)[0, -1])


if __name__ == "__main__":
    main()
