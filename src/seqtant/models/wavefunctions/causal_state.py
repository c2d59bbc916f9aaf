"""Wave functions on causal networks: one description gives amplitudes, samples and log-ratios of flips."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from seqtant.models.wavefunctions.autoregressive import AutoregressiveState, Move
from seqtant.models.wavefunctions.causal import CausalGraph
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.flip_ratios import Conditionals, local_ratios, spread, suffix_ratios
from seqtant.models.wavefunctions.propagation import MoveGroup, Plan, group_moves, propagate
from seqtant.models.wavefunctions.readout import Kind
from seqtant.models.wavefunctions.site_cache import FrozenWeights, SiteCache
from seqtant.models.wavefunctions.suffix_recompute import RowSuffix, suffix_multiplications

FEATURES_PER_CHUNK = 1 << 17
"""Features of one row and node that a chunk of configurations holds: what a processor's cache takes."""
CALL_COST = {"cpu": 5e4, "cuda": 3e8}
"""Multiplications that a device could do in the time one call costs; decides between the two ways below."""
CONVOLUTION_COST = 2.0
"""Time of a multiplication in a small convolution, against one in a matrix product (measured: 3.5 against 7 per ns)."""


class CausalState(AutoregressiveState):
    """An autoregressive state whose network is a causal graph; see :class:`AutoregressiveState`.

    Log-ratios of flips are found in the cheaper of two exact ways, by counted operations: propagating the touched
    features through the offsets (shallow networks), or running the network again from the flipped row on (deep ones).

    Args:
        network: The causal network.
        kind: ``positive``, ``real`` or ``complex``.
        magnetization: Sum of all spins, if only that sector is allowed.
    """

    network: CausalNetwork

    def __init__(self, network: CausalNetwork, kind: Kind = "positive", magnetization: int | None = None) -> None:
        super().__init__(network, kind, magnetization)

    @torch.no_grad()
    def log_ratios(self, spins: Tensor, moves: tuple[Move, ...], method: str | None = None) -> tuple[Tensor, Tensor]:
        """Log-ratios psi(s') / psi(s) for configurations s' that differ from s by flipped sites.

        Args:
            spins: Shape (batch, sites).
            moves: Sites that each move flips.
            method: ``"propagate"`` or ``"rows"`` to choose the way; None takes the cheaper one.

        Returns:
            Differences of log-amplitude and of phase, each (batch, moves).
        """
        frozen = FrozenWeights(self.network)
        size = self._chunk(frozen)
        parts = [self._chunk_ratios(part, frozen, moves, method) for part in spins.split(size)]
        return torch.cat([a for a, _ in parts]), torch.cat([p for _, p in parts])

    def _chunk(self, frozen: FrozenWeights) -> int:
        return max(16, FEATURES_PER_CHUNK // (self.network.shape[1] * max(frozen.channels.values())))

    def _chunk_ratios(
        self, spins: Tensor, frozen: FrozenWeights, moves: tuple[Move, ...], method: str | None
    ) -> tuple[Tensor, Tensor]:
        cache = SiteCache.of(frozen, spins)
        base = Conditionals.of(cache, self.kind, self.magnetization)
        again = RowSuffix(self.network, cache)
        shape = self.network.shape
        amplitude = torch.empty(len(moves), len(spins), dtype=base.amplitude.dtype, device=spins.device)
        phase = torch.empty_like(amplitude)
        for group, plan in _plans(self.network.graph, shape, moves):
            where = torch.tensor(group.columns, device=spins.device)
            if (method or cheaper(plan, self.network, len(spins), spins.device.type)) == "rows":
                found = suffix_ratios(base, group, again.outputs(group), shape)
            else:
                touched = tuple(cell.at for cell in plan.cells[frozen.graph.output.name])
                change = propagate(plan, frozen, cache)
                if self.magnetization is None:
                    found = local_ratios(base, group, touched, change, shape)
                else:
                    found = suffix_ratios(base, group, spread(base, group, touched, change, shape), shape)
            amplitude[where], phase[where] = found
        return amplitude.t(), phase.t()


def cheaper(plan: Plan, network: CausalNetwork, batch: int, device: str = "cpu") -> str:
    """Which way of finding log-ratios costs less for a group of moves: ``"propagate"`` or ``"rows"``."""
    call = CALL_COST.get(device, CALL_COST["cuda"])
    by_offsets = plan.multiplications * batch + plan.calls * call
    rows = CONVOLUTION_COST * suffix_multiplications(network, plan.group)
    by_rows = rows * batch + 4 * len(network.graph.nodes) * call
    return "propagate" if by_offsets <= by_rows else "rows"


@lru_cache(maxsize=64)
def _plans(graph: CausalGraph, shape: tuple[int, int], moves: tuple[Move, ...]) -> tuple[tuple[MoveGroup, Plan], ...]:
    return tuple((group, Plan.make(graph, shape, group)) for group in group_moves(moves, shape[1]))
