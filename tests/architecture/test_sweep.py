"""The sweep: its grid, its pairing, its memory, and the sign of what it concludes."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqtant.architecture.config import SweepConfig
from seqtant.architecture.experiments import grid
from seqtant.architecture.experiments.grid import Cell, GridShape, Outcome, cells, gaps
from seqtant.architecture.instruments.sweep import run_of
from seqtant.data.tokens import TokenWindows
from seqtant.errors import InputError
from seqtant.findings import Result, from_json, to_json
from seqtant.instruments import figures, run
from seqtant.runs.recorder import Context
from seqtant.stats.intervals import mean

TINY = replace(
    SweepConfig.smoke(),
    sizes=(3e3,),
    depths=(1, 4),
    heads=2,
    rows=4,
    context=16,
    steps=4,
    tuning_steps=3,
    warmup=1,
    seeds=2,
    validation_windows=8,
    learning_rates=(3e-3,),
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return folder, run(TINY, Context(folder=folder, device="cpu"))


def test_shapes_match_their_size():
    for cell in cells((2.2e5, 1e6, 3e7), (2, 8, 12), ("plain",), multiple_of=4):
        assert cell.shape.matrix_parameters == pytest.approx(cell.shape.size, rel=0.1)
        assert cell.shape.width % 4 == 0
    with pytest.raises(InputError, match="no width that 4 divides gives 6 layers about 1000 parameters"):
        cells((1e3,), (6, 48), ("plain",), multiple_of=4)


def grid_of(config):
    return cells(config.sizes, config.depths, config.embeddings, multiple_of=config.head_size or config.heads)


def network_of(cell, config):
    return run_of(cell, config, 88, 1e-3, 0, config.steps).network


def test_heads_are_fixed_in_number_or_in_size():
    config = SweepConfig(sizes=(1e7,), depths=(6, 12), embeddings=("plain",))
    assert {network_of(cell, config).heads for cell in grid_of(config)} == {4}
    sized = replace(config, head_size=16)
    assert all(network_of(cell, sized).heads * 16 == cell.shape.width for cell in grid_of(sized))


@pytest.mark.parametrize("preset", ["smoke", "cpu", "gpu"])
def test_presets_have_shapes(preset):
    config = getattr(SweepConfig, preset)()
    assert len(grid_of(config)) == len(config.sizes) * len(config.depths) * len(config.embeddings)


def test_the_control_is_factorized_at_full_rank():
    shallow = {cell.embedding: cell for cell in grid_of(SweepConfig()) if cell.shape.depth == 2}
    ranks = {name: network_of(cell, SweepConfig()).embedding_rank for name, cell in shallow.items()}
    assert ranks == {"plain": None, "control": shallow["control"].shape.width, 2: 2}
    blocks = {network_of(cell, SweepConfig()).block_parameters for cell in shallow.values()}
    assert len(blocks) == 1


def outcome(depth, embedding, seed, loss, size=1e5):
    cell = Cell(GridShape(size, depth, 8), embedding)
    run_ = run_of(cell, SweepConfig(), 88, 1e-3, seed, 400)
    return Outcome(run=run_, loss=loss, bits_per_byte=loss, training_loss=loss, parameters=1, seconds=0.0)


def test_gaps_are_paired_by_seed_and_their_difference_too():
    generator = np.random.default_rng(0)
    losses = {(d, e, s): generator.normal() for d in (2, 8) for e in ("control", 2) for s in (5, 6, 7)}
    control, capped = gaps([outcome(d, e, s, loss) for (d, e, s), loss in losses.items()])
    assert (control.embedding, capped.embedding) == ("control", 2)
    assert control.seeds == (5, 6, 7)
    by_hand = [
        (losses[2, 2, s] - losses[8, 2, s]) - (losses[2, "control", s] - losses[8, "control", s]) for s in (5, 6, 7)
    ]
    assert capped.minus(control) == mean(by_hand, unit="nats")


def test_neighboring_depths_are_compared_at_every_size():
    rows = [outcome(depth, "plain", 0, depth * 0.1, size) for size in (1e5, 1e6) for depth in (8, 2, 4)]
    found = [(gap.shallow.size, gap.shallow.depth, gap.deep.depth) for gap in gaps(rows)]
    assert found == [(1e5, 2, 4), (1e5, 4, 8), (1e6, 2, 4), (1e6, 4, 8)]


def test_record_holds_gaps_losses_and_verdicts(swept):
    folder, result = swept
    assert from_json(Result, to_json(result)) == result
    assert result.values["runs"] == 8
    moved = result.values["gap_rank_2"] - result.values["gap_control"]
    assert result.values["difference_of_differences_rank_2"] == pytest.approx(moved)
    finding = next(f for f in result.findings if f.key.startswith("rank_cap"))
    expected = "inconclusive" if finding.measured.low <= 0 <= finding.measured.high else "agrees"
    assert finding.verdict == (expected if finding.measured.value > 0 or expected == "inconclusive" else "disagrees")
    rows = list(csv.DictReader((folder / "losses.csv").read_text().splitlines()))
    assert len(rows) == 8
    assert {float(row["loss"]) for row in rows} == {m.value for m in result.series("loss")}
    assert [artifact.kind for artifact in result.artifacts] == ["losses"]


def test_a_second_sweep_trains_nothing_and_says_the_same(swept, monkeypatch):
    folder, result = swept
    monkeypatch.setattr("seqtant.architecture.experiments.grid._train", lambda *_: pytest.fail("trained again"))
    assert run(TINY, Context(folder=folder, device="cpu")).values == result.values


def test_a_killed_sweep_trains_only_what_is_missing(swept, monkeypatch, tmp_path):
    folder, result = swept
    shutil.copytree(folder, tmp_path / "half")
    removed = sorted((tmp_path / "half" / "cells").iterdir())[::3]
    for path in removed:
        path.unlink()
    trained = []
    train = grid._train
    monkeypatch.setattr(grid, "_train", lambda run_, *rest: trained.append(run_) or train(run_, *rest))
    again = run(TINY, Context(folder=tmp_path / "half", device="cpu"))
    assert len(trained) == len(removed) == 3
    assert again.values == result.values


def test_another_setting_is_another_network(swept, tmp_path):
    folder, _ = swept
    before = set((folder / "cells").iterdir())
    run(replace(TINY, weight_decay=0.0), Context(folder=folder, device="cpu"))
    assert len(set((folder / "cells").iterdir()) - before) == 8


def test_a_broken_outcome_is_refused(swept, tmp_path):
    folder, _ = swept
    shutil.copytree(folder, tmp_path / "broken")
    for path in (tmp_path / "broken" / "cells").iterdir():
        path.write_text("{}")
    with pytest.raises(InputError, match="cannot be read: delete it to train that network again"):
        run(TINY, Context(folder=tmp_path / "broken", device="cpu"))


def test_the_learning_rate_is_the_best_of_runs_with_a_seed_of_their_own(tmp_path):
    config = replace(TINY, embeddings=("plain",), learning_rates=(1e-6, 1e-2), tuning_steps=12)
    result = run(config, Context(folder=tmp_path, device="cpu"))
    table = next(t for t in result.tables if t.name == "cells")
    assert {row[table.columns.index("learning rate")] for row in table.rows} == {1e-2}
    outcomes = [json.loads(path.read_text()) for path in (tmp_path / "cells").iterdir()]
    tuned = {o["run"]["seed"] for o in outcomes if o["run"]["steps"] == 12}
    assert tuned == {0}
    assert {o["run"]["seed"] for o in outcomes if o["run"]["steps"] == 4} == {1, 2}
    assert any("at the end of those tried" in warning for warning in result.warnings)


def test_same_seed_sees_the_same_batches_at_every_shape(monkeypatch):
    seen = {}
    batch = TokenWindows.batch

    def spy(self, step):
        seen.setdefault((self.seed, step), []).append(batch(self, step)["input_ids"])
        return batch(self, step)

    monkeypatch.setattr(TokenWindows, "batch", spy)
    run(replace(TINY, steps=1, warmup=0), Context(device="cpu"))
    assert {key: len(batches) for key, batches in seen.items()} == {(1, 0): 4, (2, 0): 4}
    assert all((batches[0] == other).all() for batches in seen.values() for other in batches)


def test_text_of_ones_own(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"body": f"line {n} of this text, again and again"}) for n in range(60)))
    result = run(replace(TINY, text=str(path), field="body", tokens="bytes"), Context(device="cpu"))
    assert result.values["runs"] == 8


def test_figure_shows_every_gap_and_seed(swept):
    (figure,) = figures(swept[1])
    assert len(figure.data[0]["y"]) == 2
    assert len(figure.data[1]["y"]) == 4
    assert "nats" in figure.alt


@pytest.mark.slow
def test_an_interrupted_command_goes_on_where_it_stopped(tmp_path, private_store):
    out = tmp_path / "out"
    seqtant = [str(Path(sys.executable).with_name("seqtant")), "architecture", "sweep", "--preset", "smoke", "--json"]
    command = [*seqtant, "--out", str(out), "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not list(out.glob("cells/*.json")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        message = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert message.strip() == "seqtant: interrupted: run the same command again to resume"
    finished = {path: path.stat().st_mtime_ns for path in out.glob("cells/*.json")}
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 3, "so small a sweep decides nothing"
    assert json.loads(again.stdout)["values"]["runs"] == 12
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert (out / "losses.csv").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": (8, 2)}, "at least two, rising"),
        ({"depths": (2,)}, "at least two, rising"),
        ({"embeddings": (2,)}, "a rank needs its control"),
        ({"embeddings": ()}, "at least one value"),
        ({"sizes": (-1.0,)}, "above 0"),
        ({"seeds": 1}, "seeds is 1"),
        ({"warmup": 1000}, "warmup is 1000"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(SweepConfig(), **changes)


def test_a_rank_that_limits_nothing_is_refused():
    with pytest.raises(InputError, match="rank 40 does not limit a width of 36"):
        cells((2.5e5,), (8, 16), ("control", 40), multiple_of=4)
