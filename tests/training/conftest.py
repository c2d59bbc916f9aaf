"""A tiny decoder and batches with unequal numbers of labels, shared by the tests of the loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seqtant.models.decoder import Decoder
from seqtant.models.decoder_config import DecoderConfig

SHAPE = DecoderConfig(vocabulary=13, depth=2, width=16, heads=2, context=12)


class MaskedTokens:
    """Random tokens; row r of a batch keeps only its first labels, a different number in every row."""

    fingerprint = "masked tokens, seed 0"

    def __init__(self, rows: int = 8, poison: int | None = None) -> None:
        self.rows, self.poison = rows, poison

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(1000 + step)
        tokens = torch.randint(13, (self.rows, 12), generator=generator)
        lengths = torch.randint(2, 13, (self.rows, 1), generator=generator)
        labels = tokens.where(torch.arange(12) < lengths, torch.tensor(-100))
        weights = torch.full((self.rows,), float("nan") if step == self.poison else 1.0)
        return {"input_ids": tokens, "labels": labels, "row_weights": weights}


@pytest.fixture
def make_model() -> Callable[[], Decoder]:
    return lambda: Decoder(SHAPE, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def masked_tokens() -> type[MaskedTokens]:
    return MaskedTokens


@pytest.fixture
def worker() -> Path:
    """A script that trains the same model; for tests that need processes of their own."""
    return Path(__file__).with_name("worker.py")
