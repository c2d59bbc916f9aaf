"""What the loop refuses, reports and leaves untouched."""

from __future__ import annotations

import json
import signal

import pytest
import torch
from torch import nn

from seqtant.errors import InputError, TrainingError
from seqtant.runs.recorder import Context
from seqtant.training import LossSum, Periodic, TrainingConfig, next_token_loss, train


def weighted_loss(model, batch):
    sums = next_token_loss(model, batch)
    return LossSum(sums.total * batch["row_weights"].mean(), sums.count)


def test_a_loss_that_is_not_finite_stops_the_run(make_model, masked_tokens, tmp_path):
    config = TrainingConfig(steps=9, checkpoint_every=2)
    with pytest.raises(TrainingError, match=r"step 5: the loss is nan; the last checkpoint is '.*step-00000004'"):
        train(make_model(), masked_tokens(poison=5), config, loss=weighted_loss, context=Context(folder=tmp_path))


def test_a_gradient_that_is_not_finite_stops_the_run(masked_tokens):
    def root(model, batch):  # finite at zero, with an infinite slope
        return LossSum(model.weight.abs().sqrt().sum(), torch.tensor(1))

    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    with pytest.raises(TrainingError, match=r"step 0: the gradient is nan; there is no checkpoint"):
        train(model, masked_tokens(), TrainingConfig(steps=2), loss=root)


def test_a_batch_without_labels_is_refused(make_model):
    class Masked:
        def batch(self, step):
            tokens = torch.zeros(2, 5, dtype=torch.long)
            return {"input_ids": tokens, "labels": torch.full_like(tokens, -100)}

    with pytest.raises(TrainingError, match="step 0: the batch has nothing to learn from"):
        train(make_model(), Masked(), TrainingConfig(steps=1))


def test_training_leaves_the_callers_random_state_and_model_mode(make_model, masked_tokens):
    model = make_model().eval()
    before = torch.get_rng_state()
    train(model, masked_tokens(), TrainingConfig(steps=2, precision="bf16"))
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
    assert "forward" not in vars(model) or model.forward.__func__ is type(model).forward
    assert model(torch.zeros(1, 3, dtype=torch.long)).dtype == torch.float32


def test_bf16_follows_float32_closely_but_not_exactly(make_model, masked_tokens):
    exact = train(make_model(), masked_tokens(), TrainingConfig(steps=4))
    mixed = train(make_model(), masked_tokens(), TrainingConfig(steps=4, precision="bf16"))
    assert mixed.losses != exact.losses
    assert mixed.losses == pytest.approx(exact.losses, rel=0.02)


def test_evaluation_runs_in_eval_mode_on_schedule(make_model, masked_tokens):
    modes = []

    def evaluate(model):
        modes.append((model.training, torch.is_grad_enabled()))
        return {"calls": float(len(modes))}

    history = train(make_model(), masked_tokens(), TrainingConfig(steps=5, evaluate_every=2), evaluate=evaluate)
    assert history.evaluations == {2: {"calls": 1.0}, 4: {"calls": 2.0}, 5: {"calls": 3.0}}
    assert history.evaluated("calls") == 3.0
    assert set(modes) == {(False, False)}


def test_callbacks_come_every_so_many_steps(make_model, masked_tokens):
    seen = []
    train(
        make_model(),
        masked_tokens(),
        TrainingConfig(steps=7),
        callbacks=[Periodic(3, lambda step, _: seen.append(step))],
    )
    assert seen == [3, 6]


def test_progress_shows_loss_rate_and_speed(make_model, masked_tokens):
    class Bar:
        def __init__(self):
            self.steps, self.shown = 0.0, []

        def advance(self, steps=1):
            self.steps += steps

        def show(self, **numbers):
            self.shown.append(numbers)

        def close(self):
            self.shown.append("closed")

    class Watch:
        bar = Bar()

        def task(self, description, total=None):
            assert (description, total) == ("training", 3)
            return self.bar

        def note(self, message):
            raise AssertionError("nothing to note")

    history = train(make_model(), masked_tokens(), TrainingConfig(steps=3, warmup=3), context=Context(progress=Watch()))
    assert Watch.bar.steps == 3
    assert [numbers["loss"] for numbers in Watch.bar.shown[:-1]] == history.losses
    assert Watch.bar.shown[0]["lr"] == pytest.approx(1e-3 / 3)
    assert Watch.bar.shown[-1] == "closed"


def test_second_interrupt_does_not_wait(make_model, masked_tokens):
    steps = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press_twice(step, model):
        steps.append(step)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(make_model(), masked_tokens(), TrainingConfig(steps=9), callbacks=[Periodic(1, press_twice)])
    assert steps == [1]
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_one_step_of_adamw_in_closed_form():
    """From zero moments AdamW moves by lr * sign(g), after shrinking matrices by lr * decay."""
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[2.0, -1.0]]))
        model.bias.fill_(0.5)

    class Rows:
        def batch(self, step):
            return {"x": torch.tensor([[1.0, -3.0]])}

    def loss(model, batch):
        return LossSum(model(batch["x"]).sum(), torch.tensor(1))

    train(model, Rows(), TrainingConfig(steps=1, learning_rate=0.1, weight_decay=0.5), loss=loss)
    torch.testing.assert_close(model.weight.data, torch.tensor([[2.0 * 0.95 - 0.1, -1.0 * 0.95 + 0.1]]))
    torch.testing.assert_close(model.bias.data, torch.tensor([0.4]))


def test_recorded_norm_is_that_of_the_gradient_of_the_mean(make_model, masked_tokens):
    history = train(make_model(), masked_tokens(), TrainingConfig(steps=1, accumulation=2))
    model = make_model()
    sums = next_token_loss(model, masked_tokens().batch(0))
    (sums.total / sums.count).backward()
    norm = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
    assert history.gradient_norms[0] == pytest.approx(float(norm), rel=1e-4)


def test_clipping_scales_the_gradient_to_the_limit():
    """With epsilon far above the gradient, a step of AdamW is lr * g / epsilon: the clipped gradient shows."""
    model = nn.Linear(2, 1, bias=False)
    start = model.weight.detach().clone()

    class Rows:
        def batch(self, step):
            return {"x": torch.tensor([[3.0, 4.0]])}

    def loss(model, batch):
        return LossSum(model(batch["x"]).sum(), torch.tensor(1))

    config = TrainingConfig(steps=1, learning_rate=1.0, weight_decay=0.0, clip=0.5, epsilon=1e4)
    train(model, Rows(), config, loss=loss)
    moved = (start - model.weight.detach()) * 1e4
    torch.testing.assert_close(moved, torch.tensor([[0.3, 0.4]]), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("device", ["quantum", "cuda:64", "cuda:first"])
def test_missing_device_is_refused(device, make_model, masked_tokens):
    with pytest.raises(InputError, match=f"device '{device}' is not here"):
        train(make_model(), masked_tokens(), TrainingConfig(steps=1), context=Context(device=device))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device, so fp16 is possible")
def test_fp16_without_a_gpu_is_refused(make_model, masked_tokens):
    with pytest.raises(InputError, match="fp16 needs a CUDA device: use bf16"):
        train(make_model(), masked_tokens(), TrainingConfig(steps=1, precision="fp16"))


def test_frozen_model_is_refused(make_model, masked_tokens):
    with pytest.raises(InputError, match="no trainable parameter"):
        train(make_model().requires_grad_(False), masked_tokens(), TrainingConfig(steps=1))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"steps": 0}, "steps"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"warmup": 9}, "warmup"),
        ({"clip": -1.0}, "clip"),
    ],
)
def test_config_refuses_nonsense_by_name(change, name):
    with pytest.raises(InputError, match=f"TrainingConfig.{name} is"):
        TrainingConfig(**({"steps": 5} | change))


def test_history_survives_json(make_model, masked_tokens, tmp_path):
    history = train(make_model(), masked_tokens(), TrainingConfig(steps=3), context=Context(folder=tmp_path))
    state = json.loads((tmp_path / "step-00000003" / "state.json").read_text())
    assert state["history"]["losses"] == history.losses
