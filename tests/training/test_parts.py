"""Schedule, decay groups and dealing out of rows against closed forms and torch's own schedulers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqtant.errors import InputError
from seqtant.runs.recorder import Context
from seqtant.training import train
from seqtant.training.batches import rows_of, share_of, split
from seqtant.training.config import TrainingConfig
from seqtant.training.losses import LossSum, next_token_loss
from seqtant.training.optimizer import build_optimizer, decay_groups, learning_rate


def test_cosine_is_torchs_cosine():
    config = TrainingConfig(steps=21, learning_rate=0.5, final_fraction=0.2)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20, eta_min=0.1)
    for step in range(21):
        assert learning_rate(config, step) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_peak_at_the_end_of_the_warm_up_and_floor_at_the_last_step(schedule):
    config = TrainingConfig(steps=50, learning_rate=2.0, warmup=10, schedule=schedule, final_fraction=0.25)
    rates = [learning_rate(config, step) for step in range(50)]
    assert rates[0] == pytest.approx(0.2)
    assert rates.index(max(rates)) == 9
    assert max(rates) == 2.0
    assert rates[-1] == pytest.approx(0.5)
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_constant_stays_and_warm_up_of_all_steps_ends_at_the_peak():
    assert {learning_rate(TrainingConfig(steps=4, schedule="constant"), step) for step in range(4)} == {1e-3}
    assert learning_rate(TrainingConfig(steps=4, warmup=4, learning_rate=1.0), 3) == 1.0


def test_only_matrices_are_decayed():
    model = nn.ModuleDict({"table": nn.Embedding(5, 4), "matrix": nn.Linear(4, 4), "norm": nn.LayerNorm(4)})
    decayed, plain = decay_groups(model)
    assert [tuple(p.shape) for p in decayed] == [(4, 4)]
    assert len(plain) == 4
    assert {tuple(p.shape) for p in decay_groups(model, decay_embeddings=True)[0]} == {(5, 4), (4, 4)}


def test_tied_and_frozen_parameters_are_counted_once_and_not_at_all():
    table, head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
    head.weight = table.weight
    frozen = nn.Linear(4, 4).requires_grad_(False)
    decayed, plain = decay_groups(nn.ModuleList([table, head, frozen]))
    assert (len(decayed), len(plain)) == (0, 1)
    optimizer = build_optimizer(nn.ModuleList([table, head]), TrainingConfig(steps=1), torch.device("cpu"))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0]


def test_shares_and_parts_cover_every_row_once():
    batch = {"x": torch.arange(12), "y": torch.arange(12) * 10}
    seen = [
        int(row)
        for process in range(3)
        for part in split(share_of(batch, process, 3), 2)
        for row in part["x"]
        if torch.equal(part["y"], part["x"] * 10)
    ]
    assert seen == list(range(12))


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="6 rows cannot be shared by 4 processes"):
        share_of({"x": torch.zeros(6)}, 0, 4)
    with pytest.raises(InputError, match="2 rows cannot be split into 3"):
        split({"x": torch.zeros(2)}, 3)
    for bad in ({}, {"x": torch.zeros(0)}, {"x": torch.zeros(2), "y": torch.zeros(3)}):
        with pytest.raises(InputError, match="same positive number of rows"):
            rows_of(bad)


class Fixed(nn.Module):
    """Answers with given logits, wrapped as transformers wraps them."""

    def __init__(self, logits):
        super().__init__()
        self.logits, self.masks = logits, []

    def forward(self, input_ids, attention_mask=None):
        self.masks.append(attention_mask)
        return self


def test_next_token_loss_is_that_of_transformers():
    from transformers.loss.loss_utils import ForCausalLMLoss

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, 5, generator=generator)
    tokens = torch.randint(5, (3, 6), generator=generator)
    labels = tokens.masked_fill(torch.rand(3, 6, generator=generator) < 0.4, -100)
    model = Fixed(logits)
    sums = next_token_loss(model, {"input_ids": tokens, "labels": labels, "attention_mask": torch.ones(3, 6)})
    assert isinstance(sums, LossSum)
    assert float(sums.total / sums.count) == pytest.approx(float(ForCausalLMLoss(logits, labels, 5)), rel=1e-6)
    assert model.masks[0] is not None
    assert int(next_token_loss(model, {"input_ids": tokens}).count) == 15


def test_plain_descent_is_the_gradient_times_the_rate():
    model = nn.Linear(3, 1, bias=False)
    before = model.weight.detach().clone()

    class Ones:
        def batch(self, step):
            return {"x": torch.ones(4, 3)}

    def loss(module, batch):
        output = module(batch["x"])
        return LossSum((output**2).sum(), torch.tensor(len(output)))

    config = TrainingConfig(steps=1, optimizer="sgd", learning_rate=0.1, schedule="constant", clip=None, weight_decay=0)
    train(model, Ones(), config, loss=loss, context=Context(device="cpu"))
    gradient = 2 * before.sum() * torch.ones(1, 3)
    assert torch.allclose(model.weight, before - 0.1 * gradient, atol=1e-6)
