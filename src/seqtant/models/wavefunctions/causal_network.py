"""A causal graph with weights: the parallel forward pass that gradients flow through."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqtant.models.wavefunctions.activations import ACTIVATIONS
from seqtant.models.wavefunctions.causal import SPINS, CausalGraph, Node, Offset, Tap
from seqtant.models.wavefunctions.site_cache import FrozenWeights, SiteCache


class CausalNetwork(nn.Module):
    """Features of a lattice by causal convolutions, one stack of offsets per node of the graph.

    Weights do not depend on the lattice, so a network trained on one shape runs on any other.

    Args:
        graph: The nodes.
        shape: Rows and columns of the lattice.
        generator: Source of the initial weights.
        fan: ``"in"`` scales initial weights by the inputs, ``"both"`` by inputs and outputs (Glorot).

    Example:
        >>> from seqtant.models.wavefunctions.two_stack import light_two_stack
        >>> network = CausalNetwork(light_two_stack(2, 4), (3, 3), torch.Generator().manual_seed(0))
        >>> network.outputs(torch.ones(5, 9)).shape
        torch.Size([5, 9, 2])
    """

    def __init__(
        self, graph: CausalGraph, shape: tuple[int, int], generator: torch.Generator | None = None, fan: str = "in"
    ) -> None:
        super().__init__()
        self.graph = graph
        self.shape = shape
        self.of = nn.ModuleDict({node.name: NodeWeights(node, graph, generator, fan) for node in graph.nodes})

    @property
    def sites(self) -> int:
        """Number of lattice sites."""
        return self.shape[0] * self.shape[1]

    @property
    def channels(self) -> int:
        """Number of outputs per site."""
        return self.graph.output.channels

    def weights(self, name: str) -> NodeWeights:
        """The weights of a node."""
        return self.of[name]  # type: ignore[return-value]

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return next(self.parameters()).dtype

    def outputs(self, spins: Tensor) -> Tensor:
        """Runs the network on whole configurations.

        Args:
            spins: Values +1 and -1, shape (batch, sites) in raster order.

        Returns:
            Outputs of shape (batch, sites, channels); those of a site depend on earlier spins only.
        """
        return self.final(self.features(spins))

    def final(self, features: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Outputs (batch, sites, channels) out of all features."""
        return features[self.graph.output.name][1].flatten(2).transpose(1, 2)

    def start(self, batch: int, device: torch.device) -> SiteCache:
        """A cache to draw configurations with, site by site."""
        return SiteCache(FrozenWeights(self), batch, device)

    def features(self, spins: Tensor, above: dict[str, Tensor] | None = None) -> dict[str, tuple[Tensor, Tensor]]:
        """Every node before and after its activation.

        Args:
            spins: Shape (batch, sites), or only those of the last rows.
            above: Features just above those rows, by node name, each (batch, channels, some rows, columns).

        Returns:
            By node name: pre-activation and activation, shape (batch, channels, rows, columns).
        """
        batch = spins.shape[0]
        x = spins.to(self.dtype).reshape(batch, 1, -1, self.shape[1])
        x = x.contiguous(memory_format=torch.channels_last)
        values: dict[str, Tensor] = {SPINS: x}
        found: dict[str, tuple[Tensor, Tensor]] = {SPINS: (x, x)}
        for node in self.graph.nodes:
            z = self._linear(node, values, above)
            values[node.name] = ACTIVATIONS[node.activation].plain(z)
            found[node.name] = (z, values[node.name])
        return found

    def _linear(self, node: Node, values: dict[str, Tensor], above: dict[str, Tensor] | None) -> Tensor:
        weights = self.weights(node.name)
        bias = weights.bias
        total: Tensor | None = None
        for tap, weight in zip(node.taps, weights.effective(), strict=True):
            source = values[tap.source]
            context = -min(row for row, _ in tap.offsets)
            if above is not None and context > 0:
                kept = above[tap.source][:, :, -context:]
                term = convolve(torch.cat([kept, source], dim=2), tap, weight, bias)[:, :, kept.shape[2] :]
            else:
                term = convolve(source, tap, weight, bias)
            total, bias = term if total is None else total + term, None
        for skip in node.skips:
            total = values[skip] if total is None else total + values[skip]
        if total is None:
            raise ValueError(f"node '{node.name}' has no inputs")
        return total if bias is None else total + bias[:, None, None]

    def count_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.parameters())


def norm(raw: list[Tensor]) -> Tensor:
    """Euclidean norm of a node's weights per output, over all its taps."""
    return torch.stack([weight.square().sum(dim=(0, 1)) for weight in raw]).sum(0).sqrt()


def convolve(source: Tensor, tap: Tap, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Reads a feature map at the tap's offsets: a convolution whose output has the input's shape."""
    low, high, dilation = window(tap)
    return functional.conv2d(pad(source, low, high), kernel(tap, weight), bias, dilation=dilation)


def pad(source: Tensor, low: Offset, high: Offset) -> Tensor:
    """Zeros around a feature map so that every offset between ``low`` and ``high`` can be read."""
    return functional.pad(source, (-low[1], high[1], -low[0], high[0]))


def window(tap: Tap) -> tuple[Offset, Offset, Offset]:
    """Lowest and highest offset of a tap, and the common step between its rows and columns."""
    rows, columns = zip(*tap.offsets, strict=True)
    steps = tuple(max(1, math.gcd(*(x - min(axis) for x in axis))) for axis in (rows, columns))
    return (min(rows), min(columns)), (max(rows), max(columns)), steps  # type: ignore[return-value]


def cells(tap: Tap) -> Iterator[Offset]:
    """The offsets of the smallest regular kernel that holds a tap, row by row."""
    low, high, step = window(tap)
    return product(range(low[0], high[0] + 1, step[0]), range(low[1], high[1] + 1, step[1]))  # type: ignore[return-value]


def kernel(tap: Tap, weight: Tensor) -> Tensor:
    """Weights (offsets, inputs, outputs) as a convolution kernel (outputs, inputs, height, width)."""
    places = {offset: n for n, offset in enumerate(cells(tap))}
    low, high, step = window(tap)
    size = [(b - a) // s + 1 for a, b, s in zip(low, high, step, strict=True)]
    if len(places) != len(tap.offsets):
        index = torch.tensor([places[offset] for offset in tap.offsets], device=weight.device)
        weight = weight.new_zeros(len(places), *weight.shape[1:]).index_copy(0, index, weight)
    elif list(places) != list(tap.offsets):
        weight = weight[[list(tap.offsets).index(offset) for offset in places]]
    return weight.permute(2, 1, 0).unflatten(2, size)


class NodeWeights(nn.Module):
    """Weights of one node: one tensor (offsets, inputs, outputs) per tap, a bias, and the logarithm of the gain."""

    def __init__(self, node: Node, graph: CausalGraph, generator: torch.Generator | None, fan: str) -> None:
        super().__init__()
        inputs = sum(len(tap.offsets) * graph.channels[tap.source] for tap in node.taps)
        outputs = node.channels * len(node.taps[0].offsets) if node.taps and fan == "both" else 0
        bound = math.sqrt((6 if outputs else 3) / max(1, inputs + outputs))
        sizes = [(len(tap.offsets), graph.channels[tap.source], node.channels) for tap in node.taps]
        self.taps = nn.ParameterList(torch.empty(size).uniform_(-bound, bound, generator=generator) for size in sizes)
        self.bias = nn.Parameter(torch.zeros(node.channels)) if node.taps else None
        self.log_gain = nn.Parameter(norm(list(self.taps)).log().detach()) if node.normalized else None

    def effective(self) -> list[Tensor]:
        """The weights that the network applies: exp(gain) V / |V| where they are normalized."""
        raw = list(self.taps)
        if self.log_gain is None:
            return raw
        scale = self.log_gain.exp() / norm(raw)
        return [weight * scale for weight in raw]
