"""Examples for a training loop: seed and epoch decide the order, whatever the number of workers; exact resumption."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch.utils.data import IterableDataset, get_worker_info

from seqtant.errors import InputError
from seqtant.pretraining.build.build import Build

IGNORED = -100


class ExampleTable:
    """The examples of one arm, held as flat arrays, in the order of a seed and an epoch.

    Args:
        build: Where the examples lie.
        arm: Which arm.
        seed: Seed of the order.

    Raises:
        InputError: There is no such arm, or it is empty.
    """

    def __init__(self, build: Build, arm: str, *, seed: int = 0) -> None:
        self.tokens, self.offsets = build.column(arm, "input_ids")
        self.seed, self.arm = seed, arm
        self.separator = int(build.manifest["separator"])
        self.fingerprint = f"{build.manifest['examples'][arm]['path']} seed {seed}"
        if len(self) == 0:
            raise InputError(f"the arm '{arm}' of '{build.folder}' holds no example: build with more text")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def order(self, epoch: int) -> Int[np.ndarray, " examples"]:
        """Order of the examples in an epoch."""
        return np.random.default_rng([self.seed, epoch]).permutation(len(self))

    def example(self, row: int) -> Int[torch.Tensor, " time"]:
        """Token ids of one example."""
        return torch.from_numpy(self.tokens[self.offsets[row] : self.offsets[row + 1]].astype(np.int64))

    def padded(self, rows: list[int]) -> dict[str, Int[torch.Tensor, "batch time"]]:
        """Examples side by side: ``input_ids`` filled with separators on the right, ``labels`` ignored there.

        No attention mask comes along: all segments of an example see each other, and what is filled in stands to the
        right, where a causal model cannot see it.
        """
        examples = [self.example(row) for row in rows]
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "input_ids": pad(examples, batch_first=True, padding_value=self.separator),
            "labels": pad(examples, batch_first=True, padding_value=IGNORED),
        }


class ExampleBatches:
    """Batches for :func:`seqtant.training.train`: found from the step alone, hence exact resumption and sharding.

    Args:
        table: The examples.
        rows: Examples per batch; an epoch's last, incomplete batch is filled up from the next epoch.
    """

    def __init__(self, table: ExampleTable, *, rows: int) -> None:
        self.table, self.rows = table, rows
        self.fingerprint = f"{table.fingerprint} rows {rows}"
        self._epoch, self._order = -1, np.zeros(0, dtype=np.int64)

    def batch(self, step: int) -> dict[str, Int[torch.Tensor, "batch time"]]:
        """The batch of one step."""
        return self.table.padded([self._row(index) for index in range(step * self.rows, (step + 1) * self.rows)])

    def _row(self, index: int) -> int:
        epoch, place = divmod(index, len(self.table))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self.table.order(epoch)
        return int(self._order[place])


class ExampleStream(IterableDataset[dict[str, Any]]):
    """Examples for any other training loop, e.g. under a ``DataLoader`` with ``batch_size=rows``.

    Worker w of W yields the examples of batches w, w + W, w + 2W ..., which is the order in which a ``DataLoader``
    asks: the batches are the same for any number of workers.

    Args:
        build: Where the examples lie.
        arm: Which arm.
        rows: Examples per batch of the loader.
        seed: Seed of the order.
        epochs: After how many epochs it ends; None never ends.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from seqtant.pretraining.build.build import build
        >>> from seqtant.pretraining.config import BuildConfig
        >>> built, _ = build(BuildConfig.smoke(), Path(tempfile.mkdtemp()))
        >>> stream = ExampleStream(built, "knn", rows=4)
        >>> first = next(iter(stream))["input_ids"]
        >>> len(first) <= built.window
        True
    """

    def __init__(self, build: Build, arm: str, *, rows: int, seed: int = 0, epochs: int | None = None) -> None:
        super().__init__()
        self.table = ExampleTable(build, arm, seed=seed)
        self.rows, self.epochs = rows, epochs
        self._start = 0
        self._yielded = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        total = None if self.epochs is None else self.epochs * len(self.table)
        epoch, order = -1, np.zeros(0, dtype=np.int64)
        index = self._start
        first_batch = self._start // self.rows
        while total is None or index < total:
            if (index // self.rows - first_batch) % workers == number:
                if index // len(self.table) != epoch:
                    epoch = index // len(self.table)
                    order = self.table.order(epoch)
                self._yielded = index + 1
                yield {"input_ids": self.table.example(int(order[index % len(self.table)])).tolist()}
            index += 1

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Where to go on.

        Args:
            consumed: Examples that the loop has used since the start or the loaded state. With workers it must be
                given, since they run ahead; without, the stream counts itself.
        """
        index = self._yielded if consumed is None else self._start + consumed
        return {"index": max(index, self._start), "data": self.table.fingerprint, "rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where a state was taken, with any number of workers.

        Raises:
            InputError: The state is of other examples, another seed or another batch size.
        """
        own = {"data": self.table.fingerprint, "rows": self.rows}
        for key, value in own.items():
            if state.get(key) != value:
                raise InputError(f"the state is of other data ({key} {state.get(key)!r}, here {value!r}): build alike")
        self._start = self._yielded = int(state["index"])
