"""Listening as sound arrives: features, network and decoder with their states, and when each word comes out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from seqtant.ctc.decoding.greedy import GreedyDecoder
from seqtant.ctc.lattice.forced_alignment import Span
from seqtant.ctc.recognition.recognizer import Recognizer
from seqtant.data.log_mel import LogMel
from seqtant.data.timed_words import TimedWord
from seqtant.models.ctc_encoder import EncoderState


@dataclass
class LiveListener:
    """Takes sound in pieces of any size; what it says is what it would say of the whole.

    Args:
        recognizer: Model to listen with.

    Example:
        >>> from seqtant.ctc.recognition.labels import Labels
        >>> from seqtant.data.log_mel import LogMelConfig
        >>> from seqtant.models.ctc_encoder import CTCEncoder, CTCEncoderConfig
        >>> labels = Labels(("<blank>", "yes"), "word")
        >>> model = Recognizer(CTCEncoder(CTCEncoderConfig(labels=2)), labels, LogMelConfig())
        >>> live = LiveListener(model)
        >>> live.push(np.zeros(800, np.float32)).shape
        torch.Size([3, 2])
    """

    recognizer: Recognizer
    spans: list[Span] = field(default_factory=list)
    """Labels emitted so far, each one frame long."""

    def __post_init__(self) -> None:
        self._features = LogMel(self.recognizer.log_mel)
        self._state: EncoderState | None = None
        self._decoder = GreedyDecoder(self.recognizer.labels.blank)
        self._device = next(self.recognizer.encoder.parameters()).device
        self.recognizer.encoder.eval()

    @torch.no_grad()
    def push(self, samples: NDArray[np.float32]) -> Float[Tensor, "frames labels"]:
        """Hands over the next samples; returns the log-probabilities of the frames they completed."""
        features = self._features.push(torch.from_numpy(samples)).to(self._device)
        log_probs, self._state = self.recognizer.encoder.stream(features[None], self._state)
        self.spans += self._decoder.push(log_probs[0].cpu())
        return log_probs[0].cpu()

    @property
    def words(self) -> list[TimedWord]:
        """Words so far; ``start`` is the time at which a word was complete."""
        return self.recognizer.labels.words(self.spans, frame_seconds=self.recognizer.frame_seconds)
