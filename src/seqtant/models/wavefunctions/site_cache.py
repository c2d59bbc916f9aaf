"""Features kept site by site: what a sampler fills while it draws, and what a spin flip is propagated through.

Arrays are laid out (rows, columns, batch, channels), so that any run of sites in a row is one contiguous block and
every linear tap is one matrix product of that block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqtant.models.wavefunctions.activations import ACTIVATIONS
from seqtant.models.wavefunctions.causal import SPINS, Node, Phase, span

if TYPE_CHECKING:
    from seqtant.models.wavefunctions.causal_network import CausalNetwork


class FrozenWeights:
    """Effective weights of a network as plain tensors, by node, tap and offset; made once per update of the weights."""

    def __init__(self, network: CausalNetwork) -> None:
        self.graph = network.graph
        self.shape = network.shape
        self.channels = network.graph.channels
        self.dtype = network.dtype
        with torch.no_grad():
            self.taps = {n.name: [list(w.detach()) for w in network.weights(n.name).effective()] for n in self.nodes}
            biases = {n.name: network.weights(n.name).bias for n in self.nodes}
        self.bias = {name: None if bias is None else bias.detach() for name, bias in biases.items()}
        self.by_phase = {phase: [n for n in self.nodes if self.graph.phase(n.name) == phase] for phase in Phase}

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the graph."""
        return self.graph.nodes


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

        def array(channels: int) -> Tensor:
            return torch.zeros(*frozen.shape, batch, channels, dtype=frozen.dtype, device=device)

        self.values = {name: array(channels) for name, channels in frozen.channels.items()}
        self.inputs = {n.name: array(n.channels) for n in frozen.nodes if keep_inputs and n.activation != "identity"}

    @classmethod
    def of(cls, frozen: FrozenWeights, spins: Tensor) -> SiteCache:
        """All features of whole configurations, with the inputs of the activations.

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
        out[low:high] = 0 if bias is None else bias
        for tap, weights in zip(node.taps, self.frozen.taps[node.name], strict=True):
            source = self.values[tap.source]
            for (up, across), weight in zip(tap.offsets, weights, strict=True):
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
        """Takes the spins (batch,) drawn at a site."""
        rows, columns = self.frozen.shape
        row, column = divmod(site, columns)
        self.values[SPINS][row, column, :, 0] = spins.to(self.frozen.dtype)
        for node in self.frozen.by_phase[Phase.AFTER]:
            self.fill(node, row, column, column + 1)
        if column == columns - 1 and row < rows - 1:
            for node in self.frozen.by_phase[Phase.ROW_END]:
                self.fill(node, row, 0, columns)

    def select(self, index: Tensor, site: int) -> None:
        """Reorders or repeats the configurations of the batch, all sites up to ``site`` being drawn."""
        last = site // self.frozen.shape[1] + 1
        for name, value in self.values.items():
            chosen = value.new_zeros(*value.shape[:2], index.numel(), value.shape[3])
            chosen[:last] = value[:last].index_select(2, index)
            self.values[name] = chosen
        self.batch = index.numel()


def add_product(out: Tensor, source: Tensor, weight: Tensor) -> None:
    """Adds ``source @ weight`` to ``out`` in place; both are contiguous runs of sites."""
    out.view(-1, out.shape[-1]).addmm_(source.reshape(-1, source.shape[-1]), weight)
