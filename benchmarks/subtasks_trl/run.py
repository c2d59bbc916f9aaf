"""Gives what ``subtasks augment`` writes to TRL's SFTTrainer and transformers' Trainer; all must learn the same.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/subtasks_trl/run.py --peer PYTHON_OF_A_VENV_WITH_TRL

Each arm is learned from three ways: TRL on texts (it makes tokens and labels itself), TRL on rows with our tokens, and
transformers on our tokens. All three must learn the same tokens and begin at the same loss, or nothing is written.
Writes ``benchmarks/results/subtasks_trl.json`` and the table of README.md.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from seqtant.findings import Table
from seqtant.report.terminal import to_markdown
from seqtant.runs.recorder import environment
from seqtant.subtasks import augment

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results" / "subtasks_trl.json"
MARKS = "\n abcdefghijklmnopqrstuvwxyz0123456789+-=,.#"


def write_model(folder: Path) -> None:
    """A small fresh Llama whose tokens are single characters."""
    vocabulary = {"<s>": 0, "</s>": 1, "<unk>": 2} | {mark: place + 3 for place, mark in enumerate(MARKS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    LlamaForCausalLM(shape).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True, help="Python of an environment with trl")
    parser.add_argument("--updates", type=int, default=20)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        augment(tokenizer=folder / "model", device="cpu", out=folder / "data")
        command = [chosen.peer, str(FOLDER / "peer.py"), str(folder), str(chosen.updates)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(answer.splitlines()[-1])
    for row in found["arms"]:
        assert row["rows_with_equal_tokens"] == row["rows"], row
        losses = [row[f"first_loss_{way}"] for way in ("trl_texts", "trl_tokens", "transformers")]
        assert max(losses) - min(losses) < 1e-3, row
    RESULTS.write_text(json.dumps(found | {"environment": environment()}, indent=1) + "\n", encoding="utf-8")
    columns = ("arm", "rows", "tokens alike", "first loss", "last loss, TRL", "last loss, transformers")
    rows = tuple(
        (row["arm"], row["rows"], row["rows_with_equal_tokens"], f"{row['first_loss_trl_texts']:.3f}",
         f"{row['last_loss_trl_texts']:.3f}", f"{row['last_loss_transformers']:.3f}")
        for row in found["arms"]
    )  # fmt: skip
    table = to_markdown(Table(name="arms", title="", columns=columns, rows=rows))
    page = FOLDER / "README.md"
    made = f"<!-- arms -->\n\n{table}\n\nTRL {found['trl']}, transformers {found['transformers']}.\n\n<!-- end -->"
    text = re.sub(r"<!-- arms -->.*<!-- end -->", lambda _: made, page.read_text(encoding="utf-8"), flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
