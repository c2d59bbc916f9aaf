"""The order of examples: seed, epoch and index alone decide; workers and resumption change nothing."""

from __future__ import annotations

import ast
import importlib
import itertools
import pkgutil
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from seqtant.errors import InputError
from seqtant.pretraining.build.build import Build
from seqtant.pretraining.build.dataset import (
    ExampleBatches,
    ExampleStream,
    ExampleTable,
    logit_changes,
    swapped_contexts,
)

ROWS = 4
# Few cores make a DataLoader of several workers slow, not wrong.
MORE_WORKERS_THAN_CORES = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def as_lists(batch: list[dict]) -> list[list[int]]:
    return [row["input_ids"] for row in batch]


def batches(stream: ExampleStream, workers: int, count: int) -> list[list[list[int]]]:
    loader = DataLoader(stream, batch_size=ROWS, num_workers=workers, collate_fn=as_lists)
    return list(itertools.islice(iter(loader), count))


def test_an_epoch_holds_every_example_once(built: Build) -> None:
    table = ExampleTable(built, "knn")
    rows = [tuple(row["input_ids"]) for row in ExampleStream(built, "knn", rows=ROWS, epochs=1)]
    assert sorted(rows) == sorted(tuple(table.example(i).tolist()) for i in range(len(table)))


def test_epochs_and_seeds_are_in_different_orders(built: Build) -> None:
    table = ExampleTable(built, "knn", seed=1)
    assert table.order(0).tolist() != table.order(1).tolist()
    assert table.order(0).tolist() != ExampleTable(built, "knn", seed=2).order(0).tolist()


@pytest.mark.slow
@MORE_WORKERS_THAN_CORES
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_batches_do_not_depend_on_the_number_of_workers(built: Build, workers: int) -> None:
    alone = batches(ExampleStream(built, "knn", rows=ROWS), 0, 9)
    assert batches(ExampleStream(built, "knn", rows=ROWS), workers, 9) == alone


def test_resumed_stream_goes_on_where_it_stopped(built: Build) -> None:
    whole = [row["input_ids"] for row in itertools.islice(ExampleStream(built, "knn", rows=ROWS), 50)]
    stream = ExampleStream(built, "knn", rows=ROWS)
    first = [row["input_ids"] for row in itertools.islice(stream, 23)]
    resumed = ExampleStream(built, "knn", rows=ROWS)
    resumed.load_state_dict(stream.state_dict())
    rest = [row["input_ids"] for row in itertools.islice(resumed, 27)]
    assert first + rest == whole


@pytest.mark.slow
@MORE_WORKERS_THAN_CORES
def test_resumed_with_another_number_of_workers(built: Build) -> None:
    whole = batches(ExampleStream(built, "knn", rows=ROWS), 0, 12)
    stream = ExampleStream(built, "knn", rows=ROWS)
    batches(stream, 2, 5)
    resumed = ExampleStream(built, "knn", rows=ROWS)
    resumed.load_state_dict(stream.state_dict(consumed=5 * ROWS))
    assert batches(resumed, 3, 7) == whole[5:]


def test_a_state_of_other_data_is_refused(built: Build) -> None:
    state = ExampleStream(built, "knn", rows=ROWS).state_dict()
    for other in (ExampleStream(built, "split", rows=ROWS), ExampleStream(built, "knn", rows=ROWS, seed=1)):
        with pytest.raises(InputError, match="state is of other data"):
            other.load_state_dict(state)


def test_batches_by_step_are_the_stream(built: Build) -> None:
    table = ExampleTable(built, "knn")
    source = ExampleBatches(table, rows=ROWS)
    streamed = iter(ExampleStream(built, "knn", rows=ROWS))
    for step in range(20):
        batch = source.batch(step)
        for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
            own = next(streamed)["input_ids"]
            assert ids[: len(own)].tolist() == labels[: len(own)].tolist() == own
            assert (labels[len(own) :] == -100).all()
            assert (ids[len(own) :] == built.manifest["separator"]).all()


def test_parquet_is_a_pretokenized_dataset(built: Build, tmp_path) -> None:
    data = datasets.load_dataset("parquet", data_files=str(built.path("knn")), split="train", cache_dir=str(tmp_path))
    assert data["input_ids"][0] == next(iter(built.tokens("knn"))).tolist()
    assert {"input_ids", "segment_lengths", "segment_ids", "doc_ids", "anchors"} == set(data.column_names)


class Averaging(torch.nn.Module):
    """Logits from the mean embedding of all tokens so far, or of one's own segment only."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.table = torch.randn(257, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.masked = masked

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table[ids]
        if not self.masked:
            return x.cumsum(1)
        ends = torch.nn.functional.pad((ids == 256).cumsum(1)[:, :-1], (1, 0))
        own = ends[:, :, None] == ends[:, None, :]
        return own.tril().double() @ x


def test_masking_between_segments_is_found_out(built: Build) -> None:
    contexts = swapped_contexts(built, "knn", most=5)
    for each in contexts:
        assert (each.tokens[each.anchor :] == each.swapped[each.anchor :]).all()
        assert (each.tokens[: each.anchor] != each.swapped[: each.anchor]).any()
    model = Averaging(masked=False)
    moved = [model.table[each.tokens] - model.table[each.swapped] for each in contexts]
    expected = [float(each.sum(dim=0).abs().max()) for each in moved]
    assert logit_changes(model, contexts) == pytest.approx(expected, rel=1e-9)
    assert min(expected) > 1e-3
    # The filler's last segment may run into the anchor; a separator before it closes that door.
    for each in contexts:
        each.swapped[each.anchor - 1] = 256
    assert np.abs(logit_changes(Averaging(masked=True), contexts)).max() == 0


class TwoExamples:
    """Two examples of two segments each, the second of them the anchor."""

    def tokens(self, arm: str) -> list[np.ndarray]:
        return [np.array([1, 2, 3, 4, 5]), np.array([6, 7, 8, 9])]

    def column(self, arm: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        if name == "anchors":
            return np.array([1, 1]), np.array([0, 1, 2])
        return np.array([3, 2, 2, 2]), np.array([0, 2, 4])


def test_an_anchor_after_one_segment_gets_the_tokens_of_the_example_before() -> None:
    (found,) = swapped_contexts(TwoExamples(), "knn")  # type: ignore[arg-type]
    assert (found.tokens.tolist(), found.swapped.tolist(), found.anchor) == ([6, 7, 8, 9], [1, 2, 8, 9], 2)


def test_an_arm_without_anchors_cannot_be_checked(built: Build) -> None:
    with pytest.raises(InputError, match="no example of the arm 'contiguous' has an anchor"):
        swapped_contexts(built, "contiguous")


def test_public_names_do_not_depend_on_what_was_imported_before() -> None:
    """A sub-package of the same name would hide a public function once it is imported."""
    package = importlib.import_module("seqtant.pretraining")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"seqtant.pretraining.{module.name}")
    stub = ast.parse(Path(str(package.__file__)).with_suffix(".pyi").read_text())
    lines = [line for line in stub.body if isinstance(line, ast.ImportFrom)]
    assert sorted(line.names[0].name for line in lines) == sorted(package.__all__)
    for line in lines:
        name = line.names[0].name
        assert getattr(package, name) is getattr(importlib.import_module(f"seqtant.pretraining.{line.module}"), name)
