"""Feeds examples into a training loop with exact resumption, and checks that the loop's attention sees whole examples.

Seed and epoch alone decide the order, whatever the number of workers. Any option that hides packed documents from each
other (block-diagonal masks, restarted positions with flash attention) silently turns examples of related text into
separate examples: :func:`logit_changes` finds it out by exchanging the context of an anchor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from seqtant.errors import InputError
from seqtant.lm import CausalLM
from seqtant.pretraining.build.build import Build

IGNORED = -100


class ExampleTable:
    """Holds the examples of one arm as flat arrays.

    Args:
        build: The build.
        arm: Which arm.
        seed: Seed of the order.

    Raises:
        InputError: There is no such arm, or it is empty.
    """

    def __init__(self, build: Build, arm: str, *, seed: int = 0) -> None:
        self.tokens, self.offsets = build.column(arm, "input_ids")
        self.seed, self.arm = seed, arm
        self._epoch, self._order = -1, np.zeros(0, dtype=np.int64)
        self.separator = int(build.manifest["separator"])
        self.fingerprint = f"{build.manifest['examples'][arm]['path']} seed {seed}"
        if len(self) == 0:
            raise InputError(f"the arm '{arm}' of '{build.folder}' holds no example: build with more text")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def order(self, epoch: int) -> Int[np.ndarray, " examples"]:
        """Shuffles the examples of an epoch."""
        return np.random.default_rng([self.seed, epoch]).permutation(len(self))

    def row(self, index: int) -> int:
        """Finds the example at a place among all epochs, one after the other."""
        epoch, place = divmod(index, len(self))
        # ``_order`` is that of ``_epoch``: kept, as most batches lie within one epoch.
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self.order(epoch)
        return int(self._order[place])

    def example(self, row: int) -> Int[Tensor, " time"]:
        """Returns the token ids of one example."""
        return torch.from_numpy(self.tokens[self.offsets[row] : self.offsets[row + 1]].astype(np.int64))

    def padded(self, rows: list[int]) -> dict[str, Int[Tensor, "batch time"]]:
        """Pads examples to a batch: ``input_ids`` with separators on the right, ``labels`` with -100.

        There is no attention mask: all segments of an example see each other, and a causal model cannot see the padding
        on the right.
        """
        examples = [self.example(row) for row in rows]
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "input_ids": pad(examples, batch_first=True, padding_value=self.separator),
            "labels": pad(examples, batch_first=True, padding_value=IGNORED),
        }


class ExampleBatches:
    """Makes batches for :func:`seqtant.training.train` from the step alone: hence exact resumption and sharding.

    Args:
        table: The examples.
        rows: Examples per batch; an epoch's last, incomplete batch is filled up from the next epoch.
    """

    def __init__(self, table: ExampleTable, *, rows: int) -> None:
        self.table, self.rows = table, rows
        self.fingerprint = f"{table.fingerprint} rows {rows}"

    def batch(self, step: int) -> dict[str, Int[Tensor, "batch time"]]:
        """Returns the batch of one step."""
        return self.table.padded([self.table.row(step * self.rows + place) for place in range(self.rows)])


class ExampleStream(IterableDataset[dict[str, Any]]):
    """Streams examples to any other training loop, e.g. under a ``DataLoader`` with ``batch_size=rows``.

    Worker w of W yields the examples of batches w, w + W, w + 2W ..., which is the order in which a ``DataLoader``
    asks: the batches are the same for any number of workers.

    Args:
        build: The build.
        arm: Which arm.
        rows: Examples per batch of the loader.
        seed: Seed of the order.
        epochs: Number of epochs; None never ends.

    Example:
        >>> documents = [f"Thing {n} lies in box {n % 7}. Box {n % 7} stands in room {n % 3}." for n in range(60)]
        >>> built = Build.from_corpus([documents], segment={"tokenizer": "bytes"}, examples={"window": 128})
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
        index = self._start
        first_batch = self._start // self.rows
        while total is None or index < total:
            # Batches are dealt to the workers in turn, counted from the batch where the stream (re)starts.
            if (index // self.rows - first_batch) % workers == number:
                self._yielded = index + 1
                yield {"input_ids": self.table.example(self.table.row(index)).tolist()}
            index += 1

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Returns the state from which another stream continues.

        Args:
            consumed: Examples that the loop has used since the start or the loaded state. With workers it must be
                given, since they run ahead; without workers the stream counts itself.
        """
        # Without ``consumed`` the stream's own count is right only if nothing was prefetched.
        index = self._yielded if consumed is None else self._start + consumed
        return {"index": max(index, self._start), "data": self.table.fingerprint, "rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where a state was taken, with any number of workers.

        Raises:
            InputError: The state is of other examples, another seed or another batch size.
        """
        own = {"data": self.table.fingerprint, "rows": self.rows}
        for key, value in own.items():
            if state.get(key) != value:
                raise InputError(f"the state is of other data ({key} {state.get(key)!r}, here {value!r}): build alike")
        self._start = self._yielded = int(state["index"])


Forward = Callable[[Int[Tensor, "batch time"]], Float[Tensor, "batch time vocabulary"]]
"""From token ids to logits exactly as in the user's training loop, with its masks and positions."""


@dataclass(frozen=True)
class SwappedContext:
    """An example, and its anchor after another context of the same length."""

    tokens: Int[np.ndarray, " time"]
    """Token ids of the example up to the end of its anchor."""
    swapped: Int[np.ndarray, " time"]
    """The same with other tokens before the anchor."""
    anchor: int
    """Index of the anchor's first token."""


def logit_changes(forward: Forward, contexts: list[SwappedContext]) -> Float[np.ndarray, " examples"]:
    """Measures the largest change of any logit within each anchor when its context is exchanged.

    Args:
        forward: From token ids to logits, exactly as in training.
        contexts: From :func:`swapped_contexts`.

    Returns:
        One number per example; zero means that the model cannot see the context.

    Example:
        >>> blind = lambda ids: torch.nn.functional.one_hot(ids, 10).double()
        >>> logit_changes(blind, [SwappedContext(np.array([1, 2, 3]), np.array([4, 5, 3]), 2)]).tolist()
        [0.0]
    """
    changes = []
    with torch.no_grad():
        for each in contexts:
            # [2, time] -> [2, anchor, vocabulary]
            pair = torch.from_numpy(np.stack([each.tokens, each.swapped]).astype(np.int64))
            logits = forward(pair)[:, each.anchor :].double()
            changes.append(float((logits[0] - logits[1]).abs().max()))
    return np.array(changes)


def swapped_contexts(build: Build, arm: str, *, most: int = 16) -> list[SwappedContext]:
    """Pairs anchors of a build's examples with their own context and with the tokens of the example before.

    Args:
        build: The build.
        arm: Which arm.
        most: Largest number of examples.

    Raises:
        InputError: No example of the arm has an anchor after other text.
    """
    tokens = build.tokens(arm)
    lengths, offsets = build.column(arm, "segment_lengths")
    anchors, anchor_offsets = build.column(arm, "anchors")
    found: list[SwappedContext] = []
    filler = np.zeros(0, dtype=np.int32)
    for row, ids in enumerate(tokens):
        own = anchors[anchor_offsets[row] : anchor_offsets[row + 1]]
        # An anchor that comes first in its example has no context to exchange.
        own = own[own > 0]
        # Token where each part of the example begins; one more at the end.
        starts = np.concatenate([[0], np.cumsum(lengths[offsets[row] : offsets[row + 1]])])
        if len(own) and len(filler) >= starts[own[0]]:
            begin, end = int(starts[own[0]]), int(starts[own[0] + 1])
            # Equal lengths keep the anchor's positions: a change of the logits can come from the context's tokens only.
            swapped = np.concatenate([filler[:begin], ids[begin:end]])
            found.append(SwappedContext(ids[:end], swapped, begin))
        # This example's tokens become the other context of the next one's anchor.
        filler = ids
        if len(found) == most:
            break
    if not found:
        raise InputError(f"no example of the arm '{arm}' has an anchor after other text: build with --arm knn")
    return found


def check_vocabulary(model: CausalLM, contexts: list[SwappedContext]) -> None:
    """Checks that a model knows the tokens of a build and can read its examples."""
    largest = max(int(max(each.tokens.max(), each.swapped.max())) for each in contexts)
    if largest >= model.vocabulary_size:
        raise InputError(
            f"the examples hold token {largest}, but '{model.name}' knows {model.vocabulary_size}: "
            "build with --tokenizer and the model's folder"
        )
    longest = max(len(each.tokens) for each in contexts)
    if model.context_length is not None and longest > model.context_length:
        raise InputError(
            f"an example has {longest} tokens, '{model.name}' reads {model.context_length}: build smaller ones"
        )
