"""Measures with a model that counts its passes, alone or as one of several processes; each writes what it knows.

Arguments: where to write (the rank is added), then ``fail`` to have the fourth batch fail.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import seqtant
from seqtant.errors import InputError
from seqtant.lm import (
    MarkovLM,
    batch_continuation_log_probs,
    generate,
    next_token_log_probs,
    token_log_probs,
)
from seqtant.processes import over_batches


class Counting(MarkovLM):
    passes = 0

    def forward(self, *arguments: Any, **options: Any) -> Any:
        self.passes += 1
        return super().forward(*arguments, **options)


def main(target: str, fail: bool) -> None:
    rank = os.environ.get("RANK", "0")

    def odd(group: list[int]) -> dict[int, int]:
        if group == [3]:
            raise InputError("no number in batch 3: mend it")
        return dict.fromkeys(group, 0)

    if fail:
        with seqtant.share_among_processes():
            try:
                over_batches([[number] for number in range(6)], odd)
            except InputError as error:
                Path(f"{target}{rank}.txt").write_text(str(error))
                raise
    model = Counting.from_chain([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]])
    draw = torch.Generator().manual_seed(0)
    rows = [[model.bos_id, *torch.randint(2, (8,), generator=draw).tolist()] for _ in range(24)]
    kinds = {
        "tokens": lambda: token_log_probs(model, rows, tokens_per_batch=27),
        "next": lambda: next_token_log_probs(model, rows, tokens_per_batch=27),
        "after": lambda: batch_continuation_log_probs(model, rows, [[[0], [1]]] * 24, tokens_per_batch=27),
        "drawn": lambda: generate(
            model, rows, max_tokens=1, generator=torch.Generator().manual_seed(1), tokens_per_batch=30
        ),
    }
    scores, passes = {}, {}
    with seqtant.share_among_processes():
        for kind, measure in kinds.items():
            model.passes = 0
            scores[kind] = plain(measure())
            passes[kind] = model.passes
    Path(f"{target}{rank}.json").write_text(json.dumps({"scores": scores, "passes": passes}))


def plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist()
    return [plain(each) for each in value] if isinstance(value, list) else value.tokens


if __name__ == "__main__":
    main(sys.argv[1], "fail" in sys.argv[2:])
