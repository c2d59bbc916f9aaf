"""Log-mel features against the reference of transformers, and against themselves in pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import stft

from seqtant.data.log_mel import LogMel, LogMelConfig, mel_bank
from seqtant.errors import InputError


@pytest.fixture
def sound():
    return torch.randn(4000, generator=torch.Generator().manual_seed(0)) * 0.1


def test_filters_equal_those_of_transformers():
    from transformers import audio_utils

    config = LogMelConfig()
    theirs = audio_utils.mel_filter_bank(
        num_frequency_bins=config.transform // 2 + 1,
        num_mel_filters=config.bands,
        min_frequency=20.0,
        max_frequency=4000.0,
        sampling_rate=8000,
        mel_scale="htk",
    )
    np.testing.assert_allclose(mel_bank(config).numpy(), theirs, atol=1e-5)


def test_frames_equal_scipys_spectrogram(sound):
    config = LogMelConfig()
    ours = LogMel(config).whole(sound)
    padded = np.concatenate([np.zeros(config.window - config.hop), sound.numpy()])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.window) / config.window)
    _, _, spectrum = stft(
        padded,
        8000,
        window=window,
        nperseg=config.window,
        noverlap=config.window - config.hop,
        nfft=config.transform,
        boundary=None,
        padded=False,
        scaling="spectrum",
    )
    power = np.abs(spectrum.T * window.sum()) ** 2
    expected = np.log(np.maximum(power @ mel_bank(config).double().numpy(), config.floor))
    assert ours.shape == (50, 40)
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("chunk", [1, 79, 80, 81, 1000])
def test_a_stream_gives_the_frames_of_the_whole(sound, chunk):
    stream = LogMel(LogMelConfig())
    pieces = [stream.push(piece) for piece in sound.split(chunk)]
    torch.testing.assert_close(torch.cat(pieces), stream.whole(sound), atol=1e-5, rtol=0)


def test_a_frame_knows_nothing_after_its_time_stamp(sound):
    changed = sound.clone()
    changed[1600:] = 9.0
    before, after = (LogMel(LogMelConfig()).whole(samples) for samples in (sound, changed))
    assert torch.equal(before[:20], after[:20])
    assert not torch.equal(before[20], after[20])


def test_reset_and_too_little_sound(sound):
    stream = LogMel(LogMelConfig())
    stream.push(sound[:123])
    stream.reset()
    torch.testing.assert_close(stream.push(sound), stream.whole(sound))
    assert stream.whole(sound[:79]).shape == (0, 40)


def test_silence_is_finite():
    assert torch.isfinite(LogMel(LogMelConfig()).whole(torch.zeros(800))).all()


def test_windows_shorter_than_the_hop_are_refused():
    with pytest.raises(InputError, match="1 <= hop <= window"):
        LogMelConfig(window_ms=5.0)
