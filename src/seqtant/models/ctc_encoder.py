"""A causal convolutional encoder for streaming speech recognition: small, exact frame by frame, no look-ahead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.errors import InputError


@dataclass(frozen=True)
class CTCEncoderConfig:
    """Shape of the network."""

    features: int = 40
    """Features per input frame."""
    labels: int = 11
    """Labels, blank included."""
    stack: int = 3
    """Input frames per model frame."""
    channels: int = 80
    """Width."""
    kernel: int = 3
    """Taps of each convolution, all of them at or before the frame."""
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4)
    """Frames between the taps, one residual block each."""

    def __post_init__(self) -> None:
        for name in ("features", "labels", "stack", "channels", "kernel"):
            if getattr(self, name) < 1:
                raise InputError(f"CTCEncoderConfig.{name} is {getattr(self, name)}: it must be at least 1")
        if any(dilation < 1 for dilation in self.dilations):
            raise InputError(f"CTCEncoderConfig.dilations are {self.dilations}: each must be at least 1")

    @property
    def context(self) -> int:
        """Model frames that an output frame depends on, itself included."""
        return 1 + sum((self.kernel - 1) * dilation for dilation in self.dilations)


@dataclass
class EncoderState:
    """State of a stream between chunks: input frames that make no model frame yet, and each block's past inputs."""

    pending: Float[Tensor, "B rest features"]
    past: list[Float[Tensor, "B width channels"]]


class _Block(nn.Module):
    """Norm, causal dilated convolution, SiLU, added to its input."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        # One matrix over all taps: on (B, T, C) this is faster than a convolution, and needs no transposition.
        self.taps = nn.Linear(kernel * channels, channels)
        self.kernel, self.dilation = kernel, dilation
        self.width = (kernel - 1) * dilation  # frames of past input that the block reads

    def forward(self, x: Float[Tensor, "B T C"], past: Float[Tensor, "B width C"]) -> tuple[Tensor, Tensor]:
        seen = torch.cat([past, self.norm(x)], 1)
        T = x.shape[1]
        # ``seen`` begins ``width`` frames before the first new one, so the last tap reads the frame itself, none a
        # later one.
        taps = torch.cat([seen[:, tap * self.dilation : tap * self.dilation + T] for tap in range(self.kernel)], -1)
        # Not ``-self.width :``, which would keep everything where the width is 0.
        return x + nn.functional.silu(self.taps(taps)), seen[:, seen.shape[1] - self.width :]


class CTCEncoder(nn.Module):
    """Features to log-probabilities of labels, one model frame per ``stack`` input frames.

    The output at a model frame depends on the input up to its last stacked frame and on nothing later, so streaming
    in chunks of any size gives the output of the whole utterance.

    Args:
        config: Shape.
        seed: Seed of the initial weights.

    Example:
        >>> encoder = CTCEncoder(CTCEncoderConfig(), seed=0)
        >>> log_probs, lengths = encoder(torch.zeros(2, 10, 40), torch.tensor([10, 7]))
        >>> log_probs.shape, lengths.tolist()
        (torch.Size([2, 3, 11]), [3, 2])
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: CTCEncoderConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embed = nn.Linear(config.stack * config.features, config.channels)
            self.blocks = nn.ModuleList(
                _Block(config.channels, config.kernel, dilation) for dilation in config.dilations
            )
            self.norm = nn.LayerNorm(config.channels)
            self.head = nn.Linear(config.channels, config.labels)
        self.register_buffer("mean", torch.zeros(config.features))
        self.register_buffer("scale", torch.ones(config.features))

    def set_normalization(self, mean: Float[Tensor, " features"], deviation: Float[Tensor, " features"]) -> None:
        """Sets the mean and standard deviation by which features are standardized."""
        self.mean.copy_(mean)
        self.scale.copy_(1 / deviation.clamp(min=1e-3))

    def forward(
        self, features: Float[Tensor, "B T features"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B frames labels"], Int[Tensor, " B"]]:
        """Log-probabilities and the number of model frames of each utterance; an unfinished stack is dropped."""
        log_probs, _ = self.stream(features, None)
        return log_probs, torch.div(lengths, self.config.stack, rounding_mode="floor")

    def stream(
        self, features: Float[Tensor, "B T features"], state: EncoderState | None
    ) -> tuple[Float[Tensor, "B frames labels"], EncoderState]:
        """Runs the next chunk of a stream; None starts one.

        Returns:
            Log-probabilities of the model frames that the chunk completed, and the state to pass with the next one.
        """
        if state is None:
            # A stream starts with zeros as the past inputs of every block.
            config = self.config
            widths = [(config.kernel - 1) * dilation for dilation in config.dilations]
            past = [features.new_zeros(len(features), width, config.channels) for width in widths]
            state = EncoderState(features[:, :0], past)
        waiting = torch.cat([state.pending, features], 1)
        B, T, F = waiting.shape
        frames = T // self.config.stack
        used = waiting[:, : frames * self.config.stack]
        x = self.embed(((used - self.mean) * self.scale).reshape(B, frames, self.config.stack * F))
        ends: list[Tensor] = []
        for block, before in zip(self.blocks, state.past, strict=True):
            x, after = block(x, before)
            ends.append(after)
        log_probs = self.head(self.norm(x)).float().log_softmax(-1)
        return log_probs, EncoderState(waiting[:, frames * self.config.stack :], ends)
