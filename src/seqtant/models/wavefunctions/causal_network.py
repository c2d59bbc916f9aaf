"""A causal graph with weights: the parallel forward pass that gradients flow through, and features kept site by site.

The cache is what a sampler fills while it draws, and what a spin flip is propagated through. Its arrays are laid out
(rows, columns, batch, channels), so that any run of sites in a row is one contiguous block and every linear tap is one
matrix product of that block.
"""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqtant.models.wavefunctions.causal_graph import ACTIVATIONS, SPINS, CausalGraph, Node, Phase, Tap, span


class CausalNetwork(nn.Module):
    """Features of a lattice by causal convolutions, one stack of offsets per node of the graph.

    Weights do not depend on the lattice, so a network trained on one shape runs on any other.

    Args:
        graph: The nodes.
        shape: Rows and columns of the lattice.
        generator: Random generator of the initial weights.
        fan: ``"in"`` scales initial weights by the inputs, ``"both"`` by inputs and outputs (Glorot).

    Example:
        >>> from seqtant.models.wavefunctions.stacks import light_two_stack
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
        self.sites = shape[0] * shape[1]
        self.channels = graph.output.channels
        self.of = nn.ModuleDict({node.name: NodeWeights(node, graph, generator, fan) for node in graph.nodes})

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
        return self.features(spins)[self.graph.output.name][1].flatten(2).transpose(1, 2)

    def start(self, batch: int, device: torch.device) -> SiteCache:
        """A cache to draw configurations with, site by site."""
        return SiteCache(FrozenWeights(self), batch, device)

    def features(self, spins: Tensor, above: dict[str, Tensor] | None = None) -> dict[str, tuple[Tensor, Tensor]]:
        """Computes every node before and after its activation.

        Args:
            spins: Shape (batch, sites), or only those of the last rows.
            above: Features just above those rows, by node name, each (batch, channels, some rows, columns).

        Returns:
            By node name: pre-activation and activation, shape (batch, channels, rows, columns).
        """
        x = spins.to(self.dtype).reshape(len(spins), 1, -1, self.shape[1])
        x = x.contiguous(memory_format=torch.channels_last)  # [batch, 1, rows, columns]
        features: dict[str, tuple[Tensor, Tensor]] = {SPINS: (x, x)}
        for node in self.graph.nodes:
            weights = self.weights(node.name)
            bias, total = weights.bias, None
            for tap, weight in zip(node.taps, weights.effective(), strict=True):
                source = features[tap.source][1]
                # The farthest row up that this tap reads: so many known rows give each new row its full context.
                context = -min(row for row, _ in tap.offsets)
                if above is not None and context > 0:
                    # Rows above enter as context of the convolution; their own outputs are cut off again.
                    kept = above[tap.source][:, :, -context:]
                    term = convolve(torch.cat([kept, source], dim=2), tap, weight, bias)[:, :, kept.shape[2] :]
                else:
                    term = convolve(source, tap, weight, bias)
                # The bias belongs to the node, not to a tap: the first convolution adds it.
                total, bias = term if total is None else total + term, None
            for skip in node.skips:
                total = features[skip][1] if total is None else total + features[skip][1]
            if total is None:
                raise ValueError(f"node '{node.name}' has no inputs")
            z = total if bias is None else total + bias[:, None, None]
            features[node.name] = (z, ACTIVATIONS[node.activation].plain(z))
        return features

    def count_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.parameters())


def norm(raw: list[Tensor]) -> Tensor:
    """Euclidean norm of a node's weights per output channel, over all its taps."""
    return torch.stack([weight.square().sum(dim=(0, 1)) for weight in raw]).sum(0).sqrt()


def convolve(source: Tensor, tap: Tap, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Reads a feature map at the tap's offsets: a convolution whose output has the input's shape.

    Args:
        source: Shape (batch, inputs, rows, columns).
        tap: Where it is read.
        weight: One matrix per offset, shape (offsets, inputs, outputs).
        bias: Shape (outputs,).
    """
    # The smallest regular kernel that holds all offsets: per axis its ends and its common step (the dilation).
    ends, steps, sizes = [], [], []
    for axis in zip(*tap.offsets, strict=True):
        low, high = min(axis), max(axis)
        step = max(1, math.gcd(*(x - low for x in axis)))
        ends.append((low, high))
        steps.append(step)
        sizes.append((high - low) // step + 1)
    cells = list(product(*(range(low, high + 1, step) for (low, high), step in zip(ends, steps, strict=True))))
    if len(cells) != len(tap.offsets):
        # Cells that the tap does not read get weight zero.
        index = torch.tensor([cells.index(offset) for offset in tap.offsets], device=weight.device)
        weight = weight.new_zeros(len(cells), *weight.shape[1:]).index_copy(0, index, weight)
    elif cells != list(tap.offsets):
        weight = weight[[tap.offsets.index(cell) for cell in cells]]
    kernel = weight.permute(2, 1, 0).unflatten(2, sizes)  # [outputs, inputs, height, width]
    (top, bottom), (left, right) = ends
    # conv2d does not flip its kernel, so cell k reads offset k. A negative pad crops: offsets may lie on one side only.
    padded = functional.pad(source, (-left, right, -top, bottom))
    return functional.conv2d(padded, kernel, bias, dilation=steps)


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
        # The norm runs over all taps of the node together, one number per output channel.
        scale = self.log_gain.exp() / norm(raw)
        return [weight * scale for weight in raw]


class FrozenWeights:
    """Effective weights of a network as plain tensors, by node, tap and offset; made once per update of the weights."""

    def __init__(self, network: CausalNetwork) -> None:
        self.graph = network.graph
        self.nodes = network.graph.nodes
        self.shape = network.shape
        self.channels = network.graph.channels
        self.dtype = network.dtype
        with torch.no_grad():
            self.taps = {n.name: [list(w.detach()) for w in network.weights(n.name).effective()] for n in self.nodes}
            biases = {n.name: network.weights(n.name).bias for n in self.nodes}
        self.bias = {name: None if bias is None else bias.detach() for name, bias in biases.items()}
        self.by_phase = {phase: [n for n in self.nodes if self.graph.phases[n.name] == phase] for phase in Phase}


class SiteCache:
    """Features of a batch of configurations, filled a run of sites at a time.

    Args:
        frozen: The network's weights.
        batch: Number of configurations.
        device: Where the arrays live.
        keep_inputs: Keep what goes into the activations as well.
    """

    def __init__(self, frozen: FrozenWeights, batch: int, device: torch.device, keep_inputs: bool = False) -> None:
        self.frozen = frozen
        self.batch = batch
        size = (*frozen.shape, batch)
        self.values = {
            name: torch.zeros(*size, channels, dtype=frozen.dtype, device=device)
            for name, channels in frozen.channels.items()
        }
        # What goes into the activations, where derivatives or changes will need it.
        nonlinear = [node.name for node in frozen.nodes if keep_inputs and node.activation != "identity"]
        self.inputs = {name: torch.zeros_like(self.values[name]) for name in nonlinear}

    @classmethod
    def of(cls, frozen: FrozenWeights, spins: Tensor) -> SiteCache:
        """Computes all features of whole configurations, and keeps the inputs of the activations.

        Args:
            frozen: The network's weights.
            spins: Shape (batch, sites).
        """
        cache = cls(frozen, spins.shape[0], spins.device, keep_inputs=True)
        rows, columns = frozen.shape
        cache.values[SPINS].copy_(spins.t().reshape(rows, columns, -1, 1))
        for node in frozen.nodes:
            for row in range(rows):
                cache.fill(node, row, 0, columns)
        return cache

    def fill(self, node: Node, row: int, low: int, high: int) -> None:
        """Computes one node at columns ``low`` to ``high`` (exclusive) of a row from what it reads."""
        out = self.values[node.name][row]
        bias = self.frozen.bias[node.name]
        # ``out`` is a view of the cache: sums and activation are written in place, so the order of these steps matters.
        out[low:high] = 0 if bias is None else bias
        for tap, weights in zip(node.taps, self.frozen.taps[node.name], strict=True):
            source = self.values[tap.source]
            for (up, across), weight in zip(tap.offsets, weights, strict=True):
                # Reads outside the lattice are zero: only columns whose neighbor exists take part.
                here, _ = span(source.shape[1], across)
                a, b = max(low, here.start), min(high, here.stop)
                if row + up >= 0 and a < b:
                    add_product(out[a:b], source[row + up, a + across : b + across], weight)
        for skip in node.skips:
            out[low:high] += self.values[skip][row, low:high]
        if node.name in self.inputs:
            self.inputs[node.name][row, low:high] = out[low:high]
        ACTIVATIONS[node.activation].in_place(out[low:high])

    def outputs_at(self, site: int) -> Tensor:
        """Outputs (batch, channels) at a site, all earlier spins being known."""
        columns = self.frozen.shape[1]
        row, column = divmod(site, columns)
        if column == 0:
            for node in self.frozen.by_phase[Phase.ROW_START]:
                self.fill(node, row, 0, columns)
        for node in self.frozen.by_phase[Phase.BEFORE]:
            self.fill(node, row, column, column + 1)
        return self.values[self.frozen.graph.output.name][row, column]

    def record(self, site: int, spins: Tensor) -> None:
        """Stores the spins (batch,) drawn at a site, and computes the nodes that they complete."""
        rows, columns = self.frozen.shape
        row, column = divmod(site, columns)
        self.values[SPINS][row, column, :, 0] = spins.to(self.frozen.dtype)
        for node in self.frozen.by_phase[Phase.AFTER]:
            self.fill(node, row, column, column + 1)
        # Nodes that need the whole row serve later rows only; after the last row nothing reads them.
        if column == columns - 1 and row < rows - 1:
            for node in self.frozen.by_phase[Phase.ROW_END]:
                self.fill(node, row, 0, columns)

    def select(self, index: Tensor, site: int) -> None:
        """Reorders or repeats the configurations of the batch, all sites up to ``site`` being drawn."""
        # Rows below are still empty: only rows up to the site's are copied.
        last = site // self.frozen.shape[1] + 1
        for name, value in self.values.items():
            chosen = value.new_zeros(*value.shape[:2], index.numel(), value.shape[3])
            chosen[:last] = value[:last].index_select(2, index)
            self.values[name] = chosen
        self.batch = index.numel()


def add_product(out: Tensor, source: Tensor, weight: Tensor) -> None:
    """Adds ``source @ weight`` to ``out`` in place; both are contiguous runs of sites."""
    # ``view`` fails on an output that is not contiguous, where ``reshape`` would copy and lose the sum.
    out.view(-1, out.shape[-1]).addmm_(source.reshape(-1, source.shape[-1]), weight)
