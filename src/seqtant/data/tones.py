"""A stand-in where no recordings are at hand: ten "digits" of two tones each, in voices of different pitch."""

from __future__ import annotations

import numpy as np

from seqtant.data.audio import Recording
from seqtant.data.digits import SpokenDigit

FIRST = (300.0, 420.0, 590.0, 830.0, 1160.0)
SECOND = (1800.0, 2600.0)


def tone_digits(
    rng: np.random.Generator, *, voices: tuple[str, ...] = ("high", "low", "middle"), takes: int = 12, rate: int = 8000
) -> list[SpokenDigit]:
    """Takes of ten synthetic digits: a low tone, then a high one, every pair of tones once.

    They are no speech: they let the instruments run anywhere, and nothing measured on them says anything of speech.

    Args:
        rng: Source of pitch, length and loudness.
        voices: Names of the voices; each has a pitch of its own.
        takes: Takes of each digit and voice; those below 5 are for testing, 5 to 9 for development.
        rate: Samples per second.

    Example:
        >>> digits = tone_digits(np.random.default_rng(0), takes=2)
        >>> len(digits), digits[0].digit, digits[0].speaker
        (60, 0, 'high')
    """
    pitches = np.linspace(0.96, 1.04, len(voices))
    return [
        SpokenDigit(digit, voice, take, Recording(_sound(digit, pitch, rng, rate), rate))
        for voice, pitch in zip(voices, pitches, strict=True)
        for digit in range(10)
        for take in range(takes)
    ]


def _sound(digit: int, pitch: float, rng: np.random.Generator, rate: int) -> np.ndarray:
    seconds = rng.uniform(0.2, 0.4)
    share = np.linspace(0, 1, round(seconds * rate))
    tone = np.where(share < 0.5, FIRST[digit % 5], SECOND[digit // 5])
    frequency = pitch * rng.normal(1, 0.01) * tone
    phase = 2 * np.pi * np.cumsum(frequency) / rate
    loudness = rng.uniform(0.1, 0.3) * np.sin(np.pi * share) ** 0.5
    return (loudness * (np.sin(phase) + 0.3 * np.sin(2 * phase))).astype(np.float32)
