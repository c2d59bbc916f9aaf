"""Running a network again from the flipped row on: what deep networks need, where a flip touches every later site.

Rows above the flip keep their features; the rows below are computed anew with those above as context. The cost is
about half of a full pass per flip, exactly (rows + 1) / (2 rows) on average.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from seqtant.models.wavefunctions.causal import SPINS
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.propagation import MoveGroup
from seqtant.models.wavefunctions.readout import accurate
from seqtant.models.wavefunctions.site_cache import SiteCache


class RowSuffix:
    """Outputs below flipped rows, with the features above taken from a cache.

    Args:
        network: The network.
        cache: Features of the configurations before any move.
    """

    def __init__(self, network: CausalNetwork, cache: SiteCache) -> None:
        self._network = network
        self._cache = cache

    @cached_property
    def _context(self) -> int:
        return max(
            (-row for node in self._network.graph.nodes for tap in node.taps for row, _ in tap.offsets), default=0
        )

    def outputs(self, group: MoveGroup) -> Tensor:
        """Outputs after every move of a group.

        Returns:
            Shape (sites from the group's row on, moves, batch, channels), float64.
        """
        columns = self._network.shape[1]
        spins = self._cache.values[SPINS][group.row :, ..., 0].flatten(0, 1)
        below = spins[:, None].expand(-1, group.width, -1).clone()
        for up, across in group.offsets:
            for n in range(group.width):
                below[up * columns + group.low + n + across, n] *= -1
        above = None
        if group.row:
            kept = slice(max(0, group.row - self._context), group.row)
            above = {name: self._repeat(value[kept], group.width) for name, value in self._cache.values.items()}
        features = self._network.features(below.flatten(1).t(), above)
        outputs = accurate(features[self._network.graph.output.name][1])
        return outputs.permute(2, 3, 0, 1).reshape(len(below), group.width, self._cache.batch, -1)

    @staticmethod
    def _repeat(value: Tensor, times: int) -> Tensor:
        """Features (rows, columns, batch, channels) as (times batch, channels, rows, columns)."""
        return value.permute(2, 3, 0, 1).repeat(times, 1, 1, 1).contiguous(memory_format=torch.channels_last)


def suffix_multiplications(network: CausalNetwork, group: MoveGroup) -> int:
    """Multiplications per configuration to run a network again from a group's row on, for all its moves."""
    rows, columns = network.shape
    return multiplications_per_site(network) * group.width * (rows - group.row) * columns


def multiplications_per_site(network: CausalNetwork) -> int:
    """Multiplications of one forward pass, per site, boundaries not counted."""
    channels = network.graph.channels
    return sum(
        len(tap.offsets) * channels[tap.source] * node.channels for node in network.graph.nodes for tap in node.taps
    )
