"""The same run must come out however the work is split, stopped and taken up again.

In double precision, because AdamW follows the sign of a gradient however small: in single precision the rounding of a
sum taken in another order would hide what is tested.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from seqtant.runs.recorder import Context
from seqtant.training import Periodic, TrainingConfig, train
from seqtant.training.checkpoint import checkpoints

CONFIG = TrainingConfig(steps=7, learning_rate=1e-2, warmup=2, checkpoint_every=3)


def run_worker(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_same_bits(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name


@pytest.mark.parametrize("accumulation", [2, 3, 8])
def test_accumulation_changes_nothing(make_model, masked_tokens, accumulation):
    whole, parts = make_model().double(), make_model().double()
    one = train(whole, masked_tokens(), CONFIG)
    many = train(
        parts, masked_tokens(), TrainingConfig(steps=7, learning_rate=1e-2, warmup=2, accumulation=accumulation)
    )
    assert one.losses == pytest.approx(many.losses, rel=1e-12)
    for name, parameter in whole.named_parameters():
        torch.testing.assert_close(parameter, parts.get_parameter(name), rtol=1e-8, atol=1e-9)
    assert one.tokens == many.tokens


def test_loss_is_the_mean_over_all_labels_of_the_global_batch(make_model, masked_tokens):
    model = make_model()
    batch = masked_tokens().batch(0)
    with torch.no_grad():
        logits = model(batch["input_ids"])[:, :-1].log_softmax(-1)
    labels = batch["labels"][:, 1:]
    picked = [logits[b, t, labels[b, t]] for b in range(8) for t in range(11) if labels[b, t] >= 0]
    history = train(model, masked_tokens(), TrainingConfig(steps=1, accumulation=4))
    assert history.losses[0] == pytest.approx(-float(torch.stack(picked).mean()), rel=1e-5)
    assert history.tokens == len(picked)


def test_resumed_equals_uninterrupted_to_the_bit(make_model, masked_tokens, tmp_path):
    straight, stopped, resumed = make_model(), make_model(), make_model()
    expected = train(straight, masked_tokens(), CONFIG)

    def interrupt(step, model):
        if step == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(stopped, masked_tokens(), CONFIG, context=Context(folder=tmp_path), callbacks=[Periodic(1, interrupt)])
    history = train(resumed, masked_tokens(), CONFIG, context=Context(folder=tmp_path))
    assert_same_bits(straight.state_dict(), resumed.state_dict())
    assert history.losses == expected.losses
    assert history.gradient_norms == expected.gradient_norms
    assert history.tokens == expected.tokens
    assert history.resumed_from == 6, "the interrupt is noticed at the end of the following step"


def noisy_model() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Embedding(13, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 13))


def fail(step: int, model: torch.nn.Module) -> None:
    raise RuntimeError("enough")


def test_resumed_dropout_draws_on_from_where_it_was(masked_tokens, tmp_path):
    straight, resumed = noisy_model(), noisy_model()
    expected = train(straight, masked_tokens(), CONFIG)
    with pytest.raises(RuntimeError, match="enough"):
        train(noisy_model(), masked_tokens(), CONFIG, context=Context(folder=tmp_path), callbacks=[Periodic(5, fail)])
    history = train(resumed, masked_tokens(), CONFIG, context=Context(folder=tmp_path))
    assert history.resumed_from == 3
    assert history.losses == expected.losses
    assert_same_bits(straight.state_dict(), resumed.state_dict())


def test_nothing_is_left_of_a_run_that_failed_before_its_first_checkpoint(masked_tokens, tmp_path):
    with pytest.raises(RuntimeError, match="enough"):
        train(noisy_model(), masked_tokens(), CONFIG, context=Context(folder=tmp_path), callbacks=[Periodic(2, fail)])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_killed_process_resumes_to_the_bit(worker, tmp_path):
    straight, resumed = tmp_path / "straight.safetensors", tmp_path / "resumed.safetensors"
    assert run_worker(sys.executable, worker, tmp_path / "a", "8", straight, "-1").returncode == 0
    killed = run_worker(sys.executable, worker, tmp_path / "b", "8", resumed, "5")
    assert killed.returncode == -signal.SIGKILL
    assert not resumed.exists()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["step-00000003"]
    done = run_worker(sys.executable, worker, tmp_path / "b", "8", resumed, "-1")
    assert done.returncode == 0, done.stderr
    assert_same_bits(load_file(straight), load_file(resumed))


@pytest.mark.slow
def test_two_processes_equal_one(worker, tmp_path):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    alone = run_worker(sys.executable, worker, tmp_path / "a", "8", one, "-1")
    assert alone.returncode == 0, alone.stderr
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    together = run_worker(sys.executable, *launch, worker, tmp_path / "b", "8", two, "-1")
    assert together.returncode == 0, together.stderr
    for name, tensor in load_file(one).items():
        torch.testing.assert_close(tensor, load_file(two)[name], rtol=1e-8, atol=1e-9)
    assert read_losses(one) == pytest.approx(read_losses(two), rel=1e-12)
    # one process goes on from what two processes wrote
    resumed = tmp_path / "resumed.safetensors"
    again = run_worker(sys.executable, worker, tmp_path / "b", "8", resumed, "-1")
    assert again.returncode == 0, again.stderr
    assert_same_bits(load_file(two), load_file(resumed))


@pytest.mark.slow
def test_sharded_weights_equal_whole_ones_and_resume(worker, tmp_path):
    alone = run_worker(sys.executable, worker, tmp_path / "a", "8", tmp_path / "one.safetensors", "-1")
    assert alone.returncode == 0, alone.stderr
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    sharded = worker.with_name("sharded_worker.py")
    stopped = run_worker(sys.executable, *launch, sharded, tmp_path / "b", "5", "8")
    assert stopped.returncode != 0
    assert [path.name for path in checkpoints(tmp_path / "b")] == ["step-00000003"]
    done = run_worker(sys.executable, *launch, sharded, tmp_path / "b", "-1", "8")
    assert done.returncode == 0, done.stderr
    for name in ("weights.safetensors", "optimizer.safetensors"):
        whole = load_file(tmp_path / "a" / "step-00000008" / name)
        gathered = load_file(tmp_path / "b" / "step-00000008" / name)
        assert whole.keys() == gathered.keys()
        for key, tensor in whole.items():
            torch.testing.assert_close(tensor, gathered[key], rtol=1e-8, atol=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs a C++ compiler, and there is none")
@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script_method. is deprecated:DeprecationWarning"
)  # torch's own, on import
def test_compiled_follows_eager(make_model, masked_tokens):
    eager = train(make_model(), masked_tokens(), TrainingConfig(steps=3))
    model = make_model()
    compiled = train(model, masked_tokens(), TrainingConfig(steps=3, compile=True))
    assert compiled.losses == pytest.approx(eager.losses, rel=1e-4)
    assert model._compiled_call_impl is None


def read_losses(path: Path) -> list[float]:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["losses"])
