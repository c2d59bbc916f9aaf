"""Recurrent networks over tokens: the Elman network of the theorems, and an LSTM for comparison.

The Elman network is h_t = ReLU(W h_{t-1} + A e_t) from h_0 = ReLU(m_0), with scores B^T h_t; the first token's score is
fixed at zero, so two tokens need one column of B and the cross-entropy is the logistic loss of that column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float, Int
from torch import nn
from torch.nn import functional

from seqtant.errors import InputError

State = tuple[torch.Tensor, ...]
"""Hidden state of every row, (layers, batch, width); an LSTM has two."""


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """Shape of a recurrent network."""

    vocabulary: int
    """Number of tokens V."""
    width: int
    """Size m of the hidden state."""
    cell: Literal["elman", "lstm"] = "elman"
    """Kind of cell."""
    trained: Literal["recurrent", "all"] = "all"
    """Whether only the hidden-to-hidden matrix is trained, as the theorems assume, or everything."""

    def __post_init__(self) -> None:
        if self.vocabulary < 2 or self.width < 1:
            raise InputError(
                f"RecurrentConfig has vocabulary {self.vocabulary} and width {self.width}: give at least 2 and 1"
            )


class RecurrentNetwork(nn.Module):
    """Scores the next token after every prefix.

    Fresh weights of the Elman network are normal with variance 2/m (W, A, m_0) and 1 (B), which keeps the scale of the
    hidden state; the LSTM has torch's own initial weights, drawn from the generator.

    Args:
        config: Its shape.
        generator: Random generator of the fresh weights (on the CPU); by default seeded with 0.

    Example:
        >>> network = RecurrentNetwork(RecurrentConfig(vocabulary=3, width=8))
        >>> network(torch.zeros(2, 5, dtype=torch.long)).shape
        torch.Size([2, 5, 3])
    """

    def __init__(self, config: RecurrentConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        inputs, width = config.vocabulary, config.width
        if config.cell == "elman":
            self.cell: nn.RNNBase = nn.RNN(inputs, width, nonlinearity="relu", bias=False, batch_first=True)
        else:
            self.cell = nn.LSTM(inputs, width, batch_first=True)
        self.start = nn.Parameter(torch.empty(width))
        self.readout = nn.Parameter(torch.empty(width, inputs - 1))
        generator = generator or torch.Generator().manual_seed(0)
        scale, bound = math.sqrt(2 / width), 1 / math.sqrt(width)
        with torch.no_grad():
            for parameter in self.cell.parameters():
                if config.cell == "elman":
                    parameter.normal_(0.0, scale, generator=generator)
                else:
                    parameter.uniform_(-bound, bound, generator=generator)
            self.start.normal_(0.0, scale, generator=generator)
            self.readout.normal_(0.0, 1.0 if config.cell == "elman" else bound, generator=generator)
        if config.trained == "recurrent":
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(name.startswith("cell.weight_hh"))

    def forward(self, input_ids: Int[torch.Tensor, "B T"]) -> Float[torch.Tensor, "B T V"]:
        """Logits of the next token at every position."""
        return self.extend(input_ids, None)[0]

    def extend(
        self, input_ids: Int[torch.Tensor, "B T"], cache: State | None
    ) -> tuple[Float[torch.Tensor, "B T V"], State]:
        """Continues after the tokens that a cache holds.

        Args:
            input_ids: New tokens.
            cache: What an earlier call returned for the same rows; None at the start.
        """
        # With one-hot inputs A e_t is a column of A: the input matrix is a table of token vectors.
        symbols = functional.one_hot(input_ids, self.config.vocabulary).to(self.readout.dtype)
        if cache is None:
            first = torch.relu(self.start).expand(1, len(input_ids), -1).contiguous()  # h_0 = ReLU(m_0)
            cache = (first,) if self.config.cell == "elman" else (first, torch.zeros_like(first))
        hidden, after = self.cell(symbols, cache if self.config.cell == "lstm" else cache[0])
        # The first token's score is fixed at zero.
        scores = hidden @ self.readout
        logits = torch.cat([torch.zeros_like(scores[..., :1]), scores], dim=-1)
        return logits, cast(State, after if isinstance(after, tuple) else (after,))

    @staticmethod
    def select(cache: State, rows: Int[torch.Tensor, " selected"]) -> State:
        """Selects rows of a cache."""
        return tuple(each[:, rows] for each in cache)
