"""Log-mel features in plain torch, causal: a frame knows nothing that comes after its time stamp, whole or streamed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.errors import InputError


@dataclass(frozen=True)
class LogMelConfig:
    """How sound becomes features."""

    rate: int = 8000
    """Samples per second."""
    window_ms: float = 25.0
    """Length of the Hann window; it ends at the frame's time stamp."""
    hop_ms: float = 10.0
    """Time between frames; frame k has the time stamp (k + 1) hops."""
    bands: int = 40
    """Mel bands between 20 Hz and half the rate."""
    floor: float = 1e-8
    """Smallest band energy: keeps the logarithm of silence finite."""

    @property
    def window(self) -> int:
        """Window in samples."""
        return round(self.rate * self.window_ms / 1000)

    @property
    def hop(self) -> int:
        """Hop in samples."""
        return round(self.rate * self.hop_ms / 1000)

    @property
    def transform(self) -> int:
        """Length of the Fourier transform: the window, padded to a power of two."""
        return 1 << (self.window - 1).bit_length()

    def __post_init__(self) -> None:
        if not 1 <= self.hop <= self.window:
            raise InputError(f"a window of {self.window} and a hop of {self.hop} samples: 1 <= hop <= window is needed")


class LogMel:
    """Turns sound into log-mel frames, in chunks of any size.

    Args:
        config: Settings.

    Example:
        >>> features = LogMel(LogMelConfig())
        >>> features.push(torch.zeros(100)).shape, features.push(torch.zeros(100)).shape
        (torch.Size([1, 40]), torch.Size([1, 40]))
        >>> features.whole(torch.zeros(8000)).shape
        torch.Size([100, 40])
    """

    def __init__(self, config: LogMelConfig) -> None:
        self.config = config
        self._window = torch.hann_window(config.window, periodic=True)
        self._bank = mel_bank(config)
        self._tail = torch.zeros(0)
        self.reset()

    def reset(self) -> None:
        """Forgets what was pushed; silence stands before the first sample."""
        self._tail = torch.zeros(self.config.window - self.config.hop)

    def push(self, samples: Float[Tensor, " n"]) -> Float[Tensor, "T bands"]:
        """Frames whose time stamps the new samples have reached."""
        sound = torch.cat([self._tail, samples.float()])
        frames = max((len(sound) - self.config.window) // self.config.hop + 1, 0)
        self._tail = sound[frames * self.config.hop :]
        if not frames:
            return torch.zeros(0, self.config.bands)
        pieces = sound.unfold(0, self.config.window, self.config.hop)
        power = torch.fft.rfft(pieces * self._window, self.config.transform).abs().square()
        return (power @ self._bank).clamp(min=self.config.floor).log()

    def whole(self, samples: Float[Tensor, " n"]) -> Float[Tensor, "T bands"]:
        """Frames of a whole recording; what was pushed before is not touched."""
        return LogMel(self.config).push(samples)


def mel_bank(config: LogMelConfig) -> Float[Tensor, "frequencies bands"]:
    """Triangular filters, equally wide on the mel scale ``2595 log10(1 + f / 700)``, of height 1.

    Example:
        >>> mel_bank(LogMelConfig()).shape
        torch.Size([129, 40])
    """
    ends = torch.tensor([20.0, config.rate / 2], dtype=torch.float64)
    low, high = (2595 * torch.log10(1 + ends / 700)).tolist()
    corners = 700 * (10 ** (torch.linspace(low, high, config.bands + 2, dtype=torch.float64) / 2595) - 1)
    frequencies = torch.linspace(0, config.rate / 2, config.transform // 2 + 1, dtype=torch.float64)
    rising = (frequencies[:, None] - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies[:, None]) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()
