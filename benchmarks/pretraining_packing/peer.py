"""TRL's side of the comparison; runs in TRL's environment: ``peer.py DOCUMENTS REPEATS`` prints one JSON line."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

import datasets
import numpy as np
import pyarrow as pa
from trl.data_utils import pack_dataset

WINDOW = 2048


def main() -> None:
    documents, repeats = int(sys.argv[1]), int(sys.argv[2])
    # The same draw as in run.py, made twice because the two environments share no code.
    drawn = np.random.default_rng(0).normal(5.7, 1.18, documents)
    sizes = np.maximum(1, np.round(np.exp(drawn))).astype(np.int64)
    tokens = pa.array(np.arange(int(sizes.sum()), dtype=np.int32))
    lists = pa.LargeListArray.from_arrays(np.concatenate([[0], np.cumsum(sizes)]), tokens)
    data = datasets.Dataset(pa.table({"input_ids": lists}))
    datasets.disable_caching()
    datasets.disable_progress_bars()
    rows = {}
    for name, strategy, batch in (
        ("TRL bfd", "bfd", 1000),
        ("TRL bfd_split", "bfd_split", 1000),
        ("TRL bfd_split, one batch", "bfd_split", documents),
        ("TRL wrapped", "wrapped", 1000),
        ("TRL wrapped, one batch", "wrapped", documents),
    ):
        seconds = []
        options = {"batch_size": batch, "keep_in_memory": True}
        pack_dataset(data, WINDOW, strategy, map_kwargs=options)
        for _ in range(repeats):
            started = time.process_time()
            packed = pack_dataset(data, WINDOW, strategy, map_kwargs=options)
            seconds.append(time.process_time() - started)
        kept = sum(len(chunk.flatten()) for chunk in packed.data.column("input_ids").chunks)
        rows[name] = {"sequences": len(packed), "tokens_kept": kept, "seconds": seconds}
    versions = {name: version(name) for name in ("trl", "datasets", "pyarrow")}
    print(json.dumps({"rows": rows, "versions": versions}))


if __name__ == "__main__":
    main()
