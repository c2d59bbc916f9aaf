"""lm-evaluation-harness on the same ids, in its own environment: ``python peer.py < request.json``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from work import Size, network

ROWS = 16
"""Batch size, which the harness leaves to the user; the fastest of 1, 8, 16 and 64 here."""


def ask(python: str, size: Size, prompts: list[list[int]], choices: list[list[int]], repeats: int) -> dict[str, Any]:
    """The harness's scores and CPU seconds, from the environment of that Python."""
    request = {"size": asdict(size), "prompts": prompts, "choices": choices, "repeats": repeats}
    with tempfile.TemporaryDirectory() as home:
        settings = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": home, "TQDM_DISABLE": "1"}
        done = subprocess.run(
            [python, str(Path(__file__))],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=True,
            env=settings,
        )
    return json.loads(done.stdout.splitlines()[-1])


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Scores every prompt with every choice through the harness's own request queue, timed."""
    import lm_eval
    import torch
    import transformers
    from lm_eval.models.huggingface import HFLM
    from tokenizers import Tokenizer, models

    torch.set_num_threads(1)
    words = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2}, unk_token="<unk>"))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )
    harness = HFLM(pretrained=network(Size(**request["size"])), tokenizer=tokenizer, batch_size=ROWS, max_length=1024)
    queue = [
        ((str(row), str(column)), prompt, choice)
        for row, prompt in enumerate(request["prompts"])
        for column, choice in enumerate(request["choices"])
    ]

    def score() -> list[float]:
        return [value for value, _ in harness._loglikelihood_tokens(queue, disable_tqdm=True)]

    scores = torch.tensor(score()).reshape(len(request["prompts"]), -1)
    seconds = []
    for _ in range(request["repeats"]):
        start = time.process_time()
        score()
        seconds.append(time.process_time() - start)
    return {
        "version": lm_eval.__version__,
        "transformers": transformers.__version__,
        "scores": scores.tolist(),
        "cpu_seconds": median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "repeats": len(seconds),
    }


if __name__ == "__main__":
    print(json.dumps(answer(json.load(sys.stdin))))
