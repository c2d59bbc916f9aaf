"""The hook for other people's models: the right loss is added, at the right lengths, and only in training."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from seqtant.ctc.losses.align_with_purpose import AlignWithPurpose
from seqtant.ctc.losses.base import Schedule
from seqtant.ctc.losses.hf_trainer import AttachedPurpose, compact_labels, trainer_callback
from seqtant.errors import InputError
from tests.ctc.samples import batch_loss


class Stub(nn.Module):
    """Speaks like a Hugging Face CTC model that halves the number of frames."""

    def __init__(self, reduction="sum"):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(2, 10, 5, generator=torch.Generator().manual_seed(0)))
        self.config = SimpleNamespace(ctc_loss_reduction=reduction)

    def _get_feat_extract_output_lengths(self, samples):
        return samples // 2

    def forward(self, values=None, attention_mask=None, labels=None):
        loss = None if labels is None else self.weights.square().sum()
        return SimpleNamespace(loss=loss, logits=self.weights)


LABELS = torch.tensor([[1, -100, 2], [3, -100, -100]])
MASK = torch.tensor([[1] * 20, [1] * 14 + [0] * 6])


def generator():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize(("reduction", "factor"), [("sum", 2), ("mean", 1)])
def test_adds_exactly_the_term_at_the_models_own_lengths(reduction, factor):
    model, term = Stub(reduction), AlignWithPurpose(["low-latency", "minimum-wer"], 0.3)
    own = model(labels=LABELS).loss
    with AttachedPurpose(model, term, generator=generator()) as attached:
        total = model(attention_mask=MASK, labels=LABELS).loss
        assert attached.stats["low-latency.weight"] == 0.3
    expected = batch_loss(
        term,
        model.weights.log_softmax(-1),
        torch.tensor([10, 7]),
        torch.tensor([[1, 2], [3, 0]]),
        torch.tensor([2, 1]),
        generator=generator(),
    ).loss
    assert expected > 0
    torch.testing.assert_close(total, own + factor * expected)
    assert torch.equal(model(attention_mask=MASK, labels=LABELS).loss, own)  # taken off again


def test_changes_nothing_in_evaluation_or_without_labels():
    model = Stub()
    attached = AttachedPurpose(model, AlignWithPurpose())
    assert model(attention_mask=MASK).loss is None
    own = model.weights.square().sum()
    assert torch.equal(model.eval()(labels=LABELS).loss, own)
    assert attached.stats == {}


def test_the_step_moves_the_schedule():
    model = Stub()
    attached = AttachedPurpose(model, AlignWithPurpose(weight=Schedule(((10, 1.0),))), generator=generator())
    own = model.weights.square().sum()
    assert torch.equal(model(labels=LABELS).loss, own)
    attached.step = 10
    total = model(labels=LABELS).loss
    frames, targets, counts = torch.tensor([10, 10]), torch.tensor([[1, 2], [3, 0]]), torch.tensor([2, 1])
    log_probs = model.weights.log_softmax(-1)
    expected = batch_loss(AlignWithPurpose(), log_probs, frames, targets, counts, generator=generator()).loss
    torch.testing.assert_close(total, own + 2 * expected)


def test_a_model_without_a_loss_is_refused():
    model = nn.Linear(2, 2)
    AttachedPurpose(model, AlignWithPurpose())
    model.register_forward_pre_hook(lambda module, args, kwargs: (args, {}), with_kwargs=True)
    with pytest.raises(InputError, match="no loss and logits"):
        AttachedPurpose(model, AlignWithPurpose())._add(model, (), {"labels": LABELS}, torch.zeros(2))


def test_labels_with_padding_anywhere():
    targets, counts = compact_labels(torch.tensor([[-100, 4, -100, 5], [-100] * 4]))
    assert targets.tolist() == [[4, 5, 0, 0], [0, 0, 0, 0]]
    assert counts.tolist() == [2, 0]


@pytest.mark.slow
def test_wav2vec2_in_a_trainer(tmp_path, capsys):
    transformers = pytest.importorskip("transformers")
    config = transformers.Wav2Vec2Config(
        vocab_size=6,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(5, 4),
        conv_kernel=(10, 4),
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        num_feat_extract_layers=2,
        pad_token_id=0,
        mask_time_prob=0.0,
    )
    model = transformers.Wav2Vec2ForCTC(config)
    rows = [
        {
            "input_values": torch.randn(400, generator=torch.Generator().manual_seed(n)),
            "attention_mask": torch.ones(400, dtype=torch.long),
            "labels": torch.tensor([1, 2, 3]),
        }
        for n in range(4)
    ]
    attached = AttachedPurpose(model, AlignWithPurpose(weight=1.0))
    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=3,
            per_device_train_batch_size=2,
            report_to=[],
            use_cpu=True,
            logging_steps=1,
            disable_tqdm=True,
            save_strategy="no",
            remove_unused_columns=False,
        ),
        train_dataset=rows,
        callbacks=[trainer_callback(attached)],
    )
    trainer.train()
    assert attached.step == 2
    assert "purpose/low-latency.gap" in capsys.readouterr().out
