"""Networks that read a lattice site by site: a recurrent cell in zigzag, and causal attention with a cache.

Source: Hibat-Allah et al., Physical Review Research 2, 023358 (2020), for recurrent wave functions and the zigzag path,
which leaves no blind spot: the upper neighbor's state already depends on everything to its right. The transformer's
positions are sines and cosines of row and column, not a learned table, so that weights carry over to other lattices.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


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
        # At a turn of the zigzag the last site is the upper neighbor, which enters as ``above``.
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


class TransformerNetwork(nn.Module):
    """Outputs of each site by attention to all earlier ones.

    Args:
        shape: Rows and columns of the lattice; weights do not depend on it.
        depth: Layers.
        width: Features per site, a multiple of 4 and of ``heads``.
        channels: Outputs per site.
        heads: Attention heads.
        generator: Random generator of the initial weights.

    Example:
        >>> network = TransformerNetwork((2, 3), 2, 8, 2, heads=2, generator=torch.Generator().manual_seed(0))
        >>> network.outputs(torch.ones(5, 6)).shape
        torch.Size([5, 6, 2])
    """

    positions: Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        depth: int,
        width: int,
        channels: int,
        *,
        heads: int = 4,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.sites = shape[0] * shape[1]
        self.channels = channels
        self.heads = heads

        def weight(rows: int, columns: int, scale: float = 1.0) -> nn.Parameter:
            bound = scale * math.sqrt(3 / rows)
            return nn.Parameter(torch.empty(rows, columns).uniform_(-bound, bound, generator=generator))

        self.embed = weight(2, width)
        self.project = nn.ParameterList(weight(width, 3 * width) for _ in range(depth))
        self.mix = nn.ParameterList(weight(width, width, 0.3) for _ in range(depth))
        self.widen = nn.ParameterList(weight(width, 2 * width) for _ in range(depth))
        self.narrow = nn.ParameterList(weight(2 * width, width, 0.3) for _ in range(depth))
        self.head = weight(width, channels)
        self.head_bias = nn.Parameter(torch.zeros(channels))
        # Sines and cosines of row and column at wavelengths from 2 to 64 sites: [sites, width].
        rows, columns = torch.meshgrid(torch.arange(shape[0]), torch.arange(shape[1]), indexing="ij")
        # Two axes times sine and cosine share the width: a quarter of it is the number of wavelengths.
        frequencies = 2 * math.pi / torch.logspace(1, 6, width // 4, base=2.0)
        angles = [axis.flatten()[:, None] * frequencies for axis in (rows, columns)]
        waves = torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=1)
        self.register_buffer("positions", waves, persistent=False)

    def inputs(self, before: Tensor, above: Tensor, site: slice) -> Tensor:
        """Embeds the spins before and above (zero where there is none) as features (batch, sites, width)."""
        return torch.stack([before, above], dim=-1) @ self.embed + self.positions[site].to(self.embed.dtype)

    def layer(self, number: int, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Runs one layer over new sites, given keys and values of earlier ones; returns features and all of those."""
        normal = functional.layer_norm(x, x.shape[-1:])
        parts = (normal @ self.project[number]).unflatten(-1, (3, self.heads, -1))
        # [batch, heads, sites, head width]
        query, key, value = (parts[..., n, :, :].transpose(-2, -3) for n in range(3))
        if past is not None:
            key, value = torch.cat([past[0], key], dim=-2), torch.cat([past[1], value], dim=-2)
        # Row n of the scores is new site n, column m is site m from the start, cached ones first.
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        new, every = scores.shape[-2:]
        # The last of the new sites sees everything, the one before all but the last, and so on.
        hidden = torch.ones(new, every, dtype=torch.bool, device=x.device).triu(every - new + 1)
        attention = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        x = x + (attention @ value).transpose(-2, -3).flatten(-2) @ self.mix[number]
        wide = functional.silu(functional.layer_norm(x, x.shape[-1:]) @ self.widen[number])
        return x + wide @ self.narrow[number], (key, value)

    def outputs(self, spins: Tensor) -> Tensor:
        """Outputs (batch, sites, channels) in raster order."""
        x = spins.to(self.embed.dtype)
        columns = self.shape[1]
        # Shifting by one site keeps it causal: the attention mask lets a site see itself, but not its own spin.
        before = functional.pad(x[:, :-1], (1, 0))
        above = functional.pad(x[:, : self.sites - columns], (columns, 0))
        features = self.inputs(before, above, slice(None))
        for number in range(len(self.project)):
            features, _ = self.layer(number, features, None)
        return functional.layer_norm(features, features.shape[-1:]) @ self.head + self.head_bias

    def start(self, batch: int, device: torch.device) -> TransformerCache:
        """A cache to draw configurations with."""
        return TransformerCache(self, batch, device)


class TransformerCache:
    """Keys, values and spins of the sites drawn so far."""

    def __init__(self, network: TransformerNetwork, batch: int, device: torch.device) -> None:
        self._network = network
        self._spins = torch.zeros(batch, network.sites, dtype=network.embed.dtype, device=device)
        self._past: list[tuple[Tensor, Tensor] | None] = [None] * len(network.project)

    def outputs_at(self, site: int) -> Tensor:
        """Outputs (batch, channels) of the next site."""
        columns = self._network.shape[1]
        nothing = torch.zeros_like(self._spins[:, 0])
        before = self._spins[:, site - 1] if site else nothing
        above = self._spins[:, site - columns] if site >= columns else nothing
        x = self._network.inputs(before[:, None], above[:, None], slice(site, site + 1))
        for number, past in enumerate(self._past):
            x, self._past[number] = self._network.layer(number, x, past)
        normal = functional.layer_norm(x, x.shape[-1:])
        return (normal @ self._network.head + self._network.head_bias)[:, 0]

    def record(self, site: int, spins: Tensor) -> None:
        """Stores the spins (batch,) of a site."""
        self._spins[:, site] = spins.to(self._spins.dtype)

    def select(self, index: Tensor, site: int) -> None:
        """Reorders or repeats the configurations of the batch."""
        self._spins = self._spins[index]
        self._past = [None if past is None else (past[0][index], past[1][index]) for past in self._past]
