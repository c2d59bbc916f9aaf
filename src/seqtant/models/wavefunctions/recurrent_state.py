"""A recurrent wave function: one gated cell walks a lattice in zigzag and reads its left and upper neighbors.

Source: Hibat-Allah et al., Physical Review Research 2, 023358 (2020), for recurrent wave functions and the zigzag path,
which leaves no blind spot: the upper neighbor's state already depends on everything to its right.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class RecurrentNetwork(nn.Module):
    """Outputs of each site from two hidden states, of the site before in its row and of the site above.

    Args:
        shape: Rows and columns of the lattice; weights do not depend on it.
        width: Size of the hidden state.
        channels: Outputs per site.
        generator: Random generator of the initial weights.

    Example:
        >>> network = RecurrentNetwork((2, 3), 4, 2, torch.Generator().manual_seed(0))
        >>> network.order.tolist(), network.outputs(torch.ones(5, 6)).shape
        ([0, 1, 2, 5, 4, 3], torch.Size([5, 6, 2]))
    """

    order: Tensor

    def __init__(
        self, shape: tuple[int, int], width: int, channels: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.shape = shape
        self.sites = shape[0] * shape[1]
        self.width = width
        self.channels = channels
        inputs = 2 * width + 2
        bound = math.sqrt(3 / inputs)

        def weight(rows: int, columns: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(rows, columns).uniform_(-bound, bound, generator=generator))

        self.gate = weight(inputs, width)
        self.gate_bias = nn.Parameter(torch.zeros(width))
        self.candidate = weight(inputs, width)
        self.candidate_bias = nn.Parameter(torch.zeros(width))
        self.carry = weight(2 * width, width)
        self.head = weight(width, channels)
        self.head_bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("order", torch.tensor(snake(shape)), persistent=False)

    def cell(self, states: tuple[Tensor, Tensor], spins: tuple[Tensor, Tensor]) -> Tensor:
        """Computes a new hidden state (batch, width) from the states and spins of the two neighbors.

        With x the states and spins side by side, g = sigmoid(x G) and c = tanh(x C): h = g c + (1 - g) (states K).
        """
        before = torch.cat(states, dim=1)
        everything = torch.cat([before, torch.stack(spins, dim=1)], dim=1)
        gate = torch.sigmoid(everything @ self.gate + self.gate_bias)
        candidate = torch.tanh(everything @ self.candidate + self.candidate_bias)
        return gate * candidate + (1 - gate) * (before @ self.carry)

    def outputs(self, spins: Tensor) -> Tensor:
        """Outputs (batch, sites, channels) in the order of visit."""
        cache = RecurrentCache(self, spins.shape[0], spins.device)
        found: list[Tensor] = []
        for site, place in enumerate(self.order.tolist()):
            found.append(cache.outputs_at(site))
            cache.record(site, spins[:, place])
        return torch.stack(found, dim=1)

    def start(self, batch: int, device: torch.device) -> RecurrentCache:
        """A cache to draw configurations with."""
        return RecurrentCache(self, batch, device)


class RecurrentCache:
    """Hidden states and spins of the sites visited so far."""

    def __init__(self, network: RecurrentNetwork, batch: int, device: torch.device) -> None:
        self._network = network
        self._path = network.order.tolist()
        dtype = network.head.dtype
        self._nothing = (
            torch.zeros(batch, network.width, dtype=dtype, device=device),
            torch.zeros(batch, dtype=dtype, device=device),
        )
        self._states: dict[int, Tensor] = {}
        self._spins: dict[int, Tensor] = {}

    def outputs_at(self, site: int) -> Tensor:
        """Outputs (batch, channels) of the next site of the path."""
        place, columns = self._path[site], self._network.shape[1]
        row = place // columns
        # A row starts without a left neighbor; -1 stands for no site.
        before = self._path[site - 1] if site and self._path[site - 1] // columns == row else -1
        above = place - columns
        states = (self._states.get(before, self._nothing[0]), self._states.get(above, self._nothing[0]))
        spins = (self._spins.get(before, self._nothing[1]), self._spins.get(above, self._nothing[1]))
        self._states[place] = self._network.cell(states, spins)
        return self._states[place] @ self._network.head + self._network.head_bias

    def record(self, site: int, spins: Tensor) -> None:
        """Stores the spins (batch,) of a site of the path."""
        self._spins[self._path[site]] = spins.to(self._nothing[1].dtype)

    def select(self, index: Tensor, site: int) -> None:
        """Reorders or repeats the configurations of the batch."""
        self._states = {place: value[index] for place, value in self._states.items()}
        self._spins = {place: value[index] for place, value in self._spins.items()}
        self._nothing = (
            self._nothing[0].new_zeros(index.numel(), self._network.width),
            self._nothing[1].new_zeros(index.numel()),
        )


def snake(shape: tuple[int, int]) -> list[int]:
    """Sites row by row, every other row backwards.

    Example:
        >>> snake((2, 3))
        [0, 1, 2, 5, 4, 3]
    """
    rows, columns = shape
    return [row * columns + (c if row % 2 == 0 else columns - 1 - c) for row in range(rows) for c in range(columns)]
