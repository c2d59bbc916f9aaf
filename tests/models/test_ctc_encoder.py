"""The encoder: causal to the frame, a stream equals the whole, padding changes nothing."""

from __future__ import annotations

import pytest
import torch

from seqtant.errors import InputError
from seqtant.models.ctc_encoder import CTCEncoder, CTCEncoderConfig

SMALL = CTCEncoderConfig(features=4, labels=5, stack=3, channels=8, dilations=(1, 2, 4))


@pytest.fixture
def encoder():
    return CTCEncoder(SMALL, seed=1).double().eval()


@pytest.fixture
def features():
    return torch.randn(2, 62, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@torch.no_grad()
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 62])
def test_a_stream_gives_the_output_of_the_whole(encoder, features, chunk):
    state, pieces = None, []
    for piece in features.split(chunk, 1):
        log_probs, state = encoder.stream(piece, state)
        pieces.append(log_probs)
    whole, lengths = encoder(features, torch.tensor([62, 62]))
    assert lengths.tolist() == [20, 20]
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-6, rtol=0)


def test_no_frame_sees_the_future_and_none_looks_further_back_than_it_says(encoder, features):
    features.requires_grad_()
    log_probs, _ = encoder(features, torch.tensor([62, 62]))
    frame = 18
    (gradient,) = torch.autograd.grad(log_probs[0, frame, 1], features)
    seen = gradient[0].abs().sum(-1).nonzero()[:, 0]
    assert seen.max() == 3 * frame + 2
    assert seen.min() == 3 * (frame - SMALL.context + 1)
    assert gradient[1].abs().max() == 0


@torch.no_grad()
def test_padding_changes_nothing(encoder, features):
    alone, _ = encoder(features[:1, :30], torch.tensor([30]))
    features[0, 30:] = 99.0
    together, lengths = encoder(features, torch.tensor([30, 62]))
    torch.testing.assert_close(together[0, : lengths[0]], alone[0])


def test_output_is_normalized(encoder, features):
    log_probs, _ = encoder(features, torch.tensor([62, 62]))
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 20), atol=1e-5, rtol=0)


def test_seeds_decide_the_weights_and_leave_the_callers_randomness_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second, other = (CTCEncoder(SMALL, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


@torch.no_grad()
def test_normalization_is_part_of_the_weights(features):
    encoder = CTCEncoder(SMALL)
    encoder.set_normalization(torch.full((4,), 2.0), torch.full((4,), 4.0))
    plain = CTCEncoder(SMALL)
    lengths = torch.tensor([62, 62])
    torch.testing.assert_close(encoder(features.float() * 4 + 2, lengths)[0], plain(features.float(), lengths)[0])
    assert {"mean", "scale"} <= set(encoder.state_dict())


def test_size_of_the_default():
    assert sum(parameter.numel() for parameter in CTCEncoder(CTCEncoderConfig()).parameters()) == 146_811


@pytest.mark.parametrize("wrong", [{"stack": 0}, {"labels": 0}, {"dilations": (1, 0)}])
def test_wrong_shapes_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        CTCEncoderConfig(**wrong)
