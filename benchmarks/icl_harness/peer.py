"""lm-evaluation-harness in its own environment, kept running: one JSON line in, one JSON line out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS = 16
"""Batch size, which the harness leaves to the user; the fastest of 1, 8, 16 and 64 here."""


class Peer:
    """The harness in a process of its own, so that contenders can take turns."""

    def __init__(self, python: str, model: Path) -> None:
        self._home = tempfile.TemporaryDirectory()
        home = self._home.name
        settings = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": home, "TQDM_DISABLE": "1"}
        self._process = subprocess.Popen(
            [python, str(Path(__file__)), str(model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=settings,
        )  # fmt: skip

    def score(self, pairs: list[tuple[str, str]]) -> dict[str, Any]:
        """Log-likelihood of every continuation of its context, with CPU seconds and the version."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(pairs) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith('{"scores"'):
                return json.loads(line)
        raise RuntimeError("the harness ended without an answer")

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        self._home.cleanup()


def serve(model: str) -> None:
    """Loads the model once and answers until the input ends."""
    import lm_eval
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(1)
    harness = HFLM(pretrained=model, batch_size=ROWS, device="cpu", dtype="float32", add_bos_token=True)
    for line in sys.stdin:
        requests = [
            Instance("loglikelihood", {}, (context, end), number, metadata=("sweep", number, 1))
            for number, (context, end) in enumerate(json.loads(line))
        ]
        start = time.process_time()
        scores = [value for value, _ in harness.loglikelihood(requests, disable_tqdm=True)]
        seconds = time.process_time() - start
        print(json.dumps({"scores": scores, "cpu_seconds": seconds, "version": lm_eval.__version__}), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
