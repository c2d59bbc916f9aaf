"""Checkpoints are whole, complete, and refused in one line when they do not fit."""

from __future__ import annotations

import copy
import dataclasses
import shutil

import pytest
import torch

from seqtant.errors import TrainingError
from seqtant.models.decoder import Decoder
from seqtant.models.decoder_config import DecoderConfig
from seqtant.runs.recorder import Context
from seqtant.training import TrainingConfig, train
from seqtant.training.checkpoint import checkpoints, read_weights

CONFIG = TrainingConfig(steps=6, checkpoint_every=2, keep=2)


@pytest.fixture
def trained(make_model, masked_tokens, tmp_path):
    model = make_model()
    train(model, masked_tokens(), CONFIG, context=Context(folder=tmp_path))
    return model


def retrain(make_model, masked_tokens, folder, **changes):
    return train(make_model(), masked_tokens(), dataclasses.replace(CONFIG, **changes), context=Context(folder=folder))


def test_only_the_newest_stay_and_hold_no_pickle(trained, tmp_path):
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000004", "step-00000006"]
    names = {path.name for path in checkpoints(tmp_path)[-1].iterdir()}
    assert names == {"weights.safetensors", "optimizer.safetensors", "random-0.safetensors", "state.json"}
    assert not list(tmp_path.glob("*.partial"))


def test_weights_read_back_to_the_bit(trained, tmp_path):
    weights = read_weights(checkpoints(tmp_path)[-1])
    assert weights.keys() == trained.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in trained.state_dict().items())


def test_finished_run_is_not_trained_again(trained, make_model, masked_tokens, tmp_path):
    class Never(masked_tokens):
        def batch(self, step):
            raise AssertionError("no batch is needed")

    model = make_model()
    history = train(model, Never(), CONFIG, context=Context(folder=tmp_path))
    assert history.steps == history.resumed_from == 6
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), trained.parameters(), strict=True))


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "random-0.safetensors"])
def test_one_flipped_byte_is_refused(trained, make_model, masked_tokens, tmp_path, name):
    path = checkpoints(tmp_path)[-1] / name
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrainingError, match=f"is damaged: {name} is not what was written; delete the folder") as caught:
        retrain(make_model, masked_tokens, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [lambda p: p.write_text("{"), lambda p: p.unlink(), lambda p: p.write_text("{}")])
def test_broken_state_is_refused(trained, make_model, masked_tokens, tmp_path, damage):
    damage(checkpoints(tmp_path)[-1] / "state.json")
    with pytest.raises(TrainingError, match="is damaged") as caught:
        retrain(make_model, masked_tokens, tmp_path)
    assert "\n" not in str(caught.value)


def test_after_deleting_the_damaged_one_the_run_goes_on_from_the_one_before(
    trained, make_model, masked_tokens, tmp_path
):
    shutil.rmtree(checkpoints(tmp_path)[-1])
    assert retrain(make_model, masked_tokens, tmp_path).resumed_from == 4


def test_other_configuration_is_refused_by_name(trained, make_model, masked_tokens, tmp_path):
    with pytest.raises(TrainingError, match=r"was made with learning_rate 0\.001, this run has 0\.5"):
        retrain(make_model, masked_tokens, tmp_path, learning_rate=0.5)


def test_how_a_run_is_carried_out_may_change(trained, make_model, masked_tokens, tmp_path):
    assert retrain(make_model, masked_tokens, tmp_path, accumulation=4, keep=1).steps == 6


def test_other_model_and_other_data_are_refused(trained, masked_tokens, make_model, tmp_path):
    other = Decoder(DecoderConfig(vocabulary=13, depth=2, width=8, heads=2, context=12))
    with pytest.raises(
        TrainingError, match=r"made by another model: 'embedding.weight' is \[13, 16\] there and \[13, 8\]"
    ):
        train(other, masked_tokens(), CONFIG, context=Context(folder=tmp_path))
    data = masked_tokens()
    data.fingerprint = "another corpus"
    with pytest.raises(TrainingError, match="on other data or another seed"):
        train(make_model(), data, CONFIG, context=Context(folder=tmp_path))


class Tied(torch.nn.Module):
    """Two names for one table, as in transformers."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(13, 4)
        self.head = torch.nn.Linear(4, 13, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens):
        return self.head(self.table(tokens))


def test_tied_weights_are_kept_once_and_come_back_tied(masked_tokens, tmp_path):
    config = TrainingConfig(steps=4, checkpoint_every=2)
    torch.manual_seed(0)
    straight = Tied()
    again, resumed = copy.deepcopy(straight), Tied()
    train(straight, masked_tokens(), config)
    with pytest.raises(RuntimeError, match="enough"):
        train(again, FailingAt(3, masked_tokens()), config, context=Context(folder=tmp_path))
    train(resumed, masked_tokens(), config, context=Context(folder=tmp_path))
    assert resumed.head.weight is resumed.table.weight
    assert torch.equal(resumed.table.weight, straight.table.weight)
    assert set(read_weights(checkpoints(tmp_path)[-1])) == {"table.weight", "head.weight"}


class FailingAt:
    """Batches that end at a step."""

    def __init__(self, step, source):
        self.step, self.source, self.fingerprint = step, source, source.fingerprint

    def batch(self, step):
        if step == self.step:
            raise RuntimeError("enough")
        return self.source.batch(step)


def test_plain_descent_goes_on_to_the_bit(make_model, masked_tokens, tmp_path):
    whole = make_model()
    config = dataclasses.replace(CONFIG, optimizer="sgd")
    train(whole, masked_tokens(), config, context=Context(folder=tmp_path / "whole"))
    shutil.rmtree(checkpoints(tmp_path / "whole")[-1])
    resumed = make_model()
    history = train(resumed, masked_tokens(), config, context=Context(folder=tmp_path / "whole"))
    assert history.resumed_from == 4
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))
