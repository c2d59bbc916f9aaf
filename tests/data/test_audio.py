"""Sound files: every common sample type, odd files, resampling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import wavfile

from seqtant.data.audio import Recording, read_audio, write_wav
from seqtant.errors import InputError

SOUND = np.sin(np.arange(800) / 10) * 0.5


@pytest.mark.parametrize(
    ("kind", "scale", "offset", "tolerance"),
    [("int16", 32768, 0, 1e-4), ("int32", 2**31, 0, 1e-6), ("float32", 1, 0, 1e-6), ("uint8", 128, 128, 1e-2)],
)
def test_every_sample_type_comes_out_the_same(tmp_path, kind, scale, offset, tolerance):
    path = tmp_path / "sound.wav"
    wavfile.write(path, 8000, (SOUND * scale + offset).astype(kind))
    recording = read_audio(path)
    assert recording.rate == 8000
    np.testing.assert_allclose(recording.samples, SOUND, atol=tolerance)


def test_channels_are_averaged(tmp_path):
    wavfile.write(tmp_path / "two.wav", 8000, np.stack([SOUND, 0 * SOUND], 1).astype("float32"))
    np.testing.assert_allclose(read_audio(tmp_path / "two.wav").samples, SOUND / 2, atol=1e-6)


def test_round_trip_and_clipping(tmp_path):
    write_wav(tmp_path / "out.wav", Recording(np.array([0.5, -2.0, 2.0], np.float32), 8000))
    np.testing.assert_allclose(read_audio(tmp_path / "out.wav").samples, [0.5, -1, 1], atol=1e-4)


def test_resampling_keeps_a_tone():
    tone = Recording(np.sin(2 * np.pi * 440 * np.arange(8000) / 8000).astype(np.float32), 8000)
    up = tone.at(16000)
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert up.seconds == tone.seconds
    np.testing.assert_allclose(up.samples[500:-500], expected[500:-500], atol=5e-3)
    assert tone.at(8000) is tone


def test_other_formats_through_libsndfile(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="the extra 'speech' is not installed")
    soundfile.write(tmp_path / "sound.flac", SOUND, 8000)
    np.testing.assert_allclose(read_audio(tmp_path / "sound.flac").samples, SOUND, atol=1e-4)
    (tmp_path / "no.flac").write_bytes(b"nothing")
    with pytest.raises(InputError, match="libsndfile"):
        read_audio(tmp_path / "no.flac")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a wav file at all"])
def test_broken_files_are_named(tmp_path, content):
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.wav"):
        read_audio(tmp_path / "bad.wav")


def test_a_file_whose_end_is_missing_is_refused(tmp_path):
    wavfile.write(tmp_path / "cut.wav", 8000, np.ones(4000, np.int16))
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:4001])
    with pytest.raises(InputError, match=r"cut\.wav"):
        read_audio(tmp_path / "cut.wav")


def test_missing_empty_and_infinite_sound(tmp_path):
    with pytest.raises(InputError, match="no sound file"):
        read_audio(tmp_path / "none.wav")
    wavfile.write(tmp_path / "empty.wav", 8000, np.zeros(0, np.int16))
    with pytest.raises(InputError, match="length is 0"):
        read_audio(tmp_path / "empty.wav")
    wavfile.write(tmp_path / "nan.wav", 8000, np.full(4, np.nan, np.float32))
    with pytest.raises(InputError, match="not finite"):
        read_audio(tmp_path / "nan.wav")
