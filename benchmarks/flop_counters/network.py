"""The network that every counter is shown: a small decoder with kernel attention, a tied head and no biases.

Four layers of width 384 with 6 heads, 256 tokens, 50,257 token ids; like nanoGPT it scores the last token only when it
is asked for the next one. It is written with plain torch modules so that every counter can look into it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

DEPTH, WIDTH, HEADS, TOKENS, VOCABULARY = 4, 384, 6, 256, 50257


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.output = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """Mixes the states of earlier tokens into each."""
        batch, tokens, _ = states.shape
        split = self.query_key_value(states).view(batch, tokens, 3, HEADS, WIDTH // HEADS)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        # Looked up when called: profilers that replace the function by a counting one would miss a name bound early.
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).reshape(batch, tokens, WIDTH))


class Block(nn.Module):
    """One pre-norm layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first_norm = nn.LayerNorm(WIDTH, bias=False)
        self.attention = Attention()
        self.second_norm = nn.LayerNorm(WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.gelu = nn.GELU()
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """Adds what attention and feed-forward make of the states."""
        states = states + self.attention(self.first_norm(states))
        return states + self.down(self.gelu(self.up(self.second_norm(states))))


class Network(nn.Module):
    """Token ids in, scores of the next token out."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Embedding(TOKENS, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.head.weight = self.token.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Scores of the token after the last."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        states = self.blocks(self.token(ids) + self.position(positions))
        return self.head(self.norm(states)[:, -1:])


def example(device: str = "cpu") -> tuple[Network, Tensor]:
    """The network and one sequence for it."""
    with torch.device(device):
        return Network().eval(), torch.zeros(1, TOKENS, dtype=torch.long)
