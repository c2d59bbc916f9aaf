"""Sound files in and out: one channel, floats, at the rate that is asked for."""

from __future__ import annotations

import math
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqtant.errors import InputError
from seqtant.optional import require


@dataclass(frozen=True)
class Recording:
    """One channel of sound.

    Args:
        samples: Amplitudes between -1 and 1, float32.
        rate: Samples per second.
    """

    samples: NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.rate

    def at(self, rate: int) -> Recording:
        """The same sound at another rate, band-limited.

        Example:
            >>> Recording(np.zeros(800, np.float32), 8000).at(16000).samples.shape
            (1600,)
        """
        if rate == self.rate:
            return self
        from scipy.signal import resample_poly

        shared = math.gcd(rate, self.rate)
        resampled = resample_poly(self.samples, rate // shared, self.rate // shared)
        return Recording(resampled.astype(np.float32), rate)

    def played(self, speed: float) -> Recording:
        """The same sound played faster or slower, pitch and all; the speed is taken to a hundredth.

        Example:
            >>> Recording(np.zeros(800, np.float32), 8000).played(1.25).samples.shape
            (640,)
        """
        hundredths = round(100 * speed)
        if hundredths == 100:
            return self
        from scipy.signal import resample_poly

        return Recording(resample_poly(self.samples, 100, hundredths).astype(np.float32), self.rate)


def read_audio(path: Path) -> Recording:
    """Reads a WAV file, or with the extra ``speech`` any format libsndfile knows; channels are averaged."""
    if not path.is_file():
        raise InputError(f"no sound file '{path}': give an existing WAV file")
    if path.suffix.lower() == ".wav":
        from scipy.io import wavfile

        try:
            with warnings.catch_warnings():
                # Chunks that are not sound (tags, broadcast data) are no fault of the file; a missing end is.
                warnings.simplefilter("ignore", wavfile.WavFileWarning)
                warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
                rate, samples = wavfile.read(path)
        except (ValueError, EOFError, OSError, struct.error, UnboundLocalError, wavfile.WavFileWarning) as error:
            raise InputError(f"'{path}' is not a readable WAV file: {error}") from error
        if samples.dtype == np.uint8:  # 8-bit WAV is unsigned, all other integers are signed
            samples = (samples.astype(np.float64) - 128) / 128
        elif samples.dtype.kind != "f":
            samples = samples.astype(np.float64) / float(2 ** (8 * samples.dtype.itemsize - 1))
    else:
        soundfile = require("soundfile", extra="speech")
        try:
            samples, rate = soundfile.read(path)
        except soundfile.LibsndfileError as error:
            raise InputError(f"'{path}' is not a sound file that libsndfile reads: {error}") from error
    samples = samples.astype(np.float64)
    if samples.ndim == 2:
        samples = samples.mean(1)
    if not len(samples):
        raise InputError(f"'{path}' holds no sound: its length is 0")
    if not np.isfinite(samples).all():
        raise InputError(f"'{path}' holds samples that are not finite: record or convert it again")
    return Recording(samples.astype(np.float32), int(rate))


def write_wav(path: Path, recording: Recording) -> None:
    """Writes 16-bit PCM, whole or not at all."""
    from scipy.io import wavfile

    from seqtant.runs.files import whole_file

    scaled = np.clip(np.rint(recording.samples * 32768), -32768, 32767).astype(np.int16)
    with whole_file(path) as temporary:
        wavfile.write(temporary, recording.rate, scaled)
