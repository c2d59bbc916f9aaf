"""Wave functions on causal networks: one description gives amplitudes, samples and log-ratios of flips.

Log-ratios are found in the cheaper of two exact ways. Shallow networks propagate a flip through the offsets it touches
(:mod:`~seqtant.models.wavefunctions.propagation`). In deep ones a flip touches every later site: the rows from the
flipped one on are computed anew, with the features above as context, which costs (rows + 1) / (2 rows) of a full pass
on average. Ratios of conditionals are formed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from seqtant.models.wavefunctions.autoregressive import (
    AutoregressiveState,
    Kind,
    Move,
    accurate,
    conditional_phase,
    constrained_log_conditional,
    log_conditional,
)
from seqtant.models.wavefunctions.causal_graph import SPINS, CausalGraph, Offset
from seqtant.models.wavefunctions.causal_network import CausalNetwork, FrozenWeights, SiteCache
from seqtant.models.wavefunctions.propagation import MoveGroup, Plan, group_moves, propagate

FEATURES_PER_CHUNK = 1 << 17
"""Features of one row and node that a chunk of configurations holds: what a processor's cache takes."""
CALL_COST = {"cpu": 5e4, "cuda": 3e8}
"""Multiplications that a device could do in the time one call costs; decides between the two ways below."""
CONVOLUTION_COST = 2.0
"""Time of a multiplication in a small convolution, against one in a matrix product (measured: 3.5 against 7 per ns)."""


class CausalState(AutoregressiveState):
    """An autoregressive state whose network is a causal graph; see :class:`AutoregressiveState`.

    Args:
        network: The causal network.
        kind: ``positive``, ``real`` or ``complex``.
        magnetization: Sum of all spins, if only that sector is allowed.
    """

    network: CausalNetwork

    @torch.no_grad()
    def log_ratios(self, spins: Tensor, moves: tuple[Move, ...], method: str | None = None) -> tuple[Tensor, Tensor]:
        """Computes log-ratios psi(s') / psi(s) for configurations s' that differ from s by flipped sites.

        Args:
            spins: Shape (batch, sites).
            moves: Sites that each move flips.
            method: ``"propagate"`` or ``"rows"`` to choose the way; None takes the cheaper one by counted operations.

        Returns:
            Differences of log-amplitude and of phase, each (batch, moves).
        """
        frozen = FrozenWeights(self.network)
        graph, shape, device = self.network.graph, self.network.shape, spins.device
        # At least 16 configurations however wide the network is: a chunk costs the same calls if it is small.
        size = max(16, FEATURES_PER_CHUNK // (shape[1] * max(frozen.channels.values())))
        parts: list[tuple[Tensor, Tensor]] = []
        for chunk in spins.split(size):
            cache = SiteCache.of(frozen, chunk)
            base = Conditionals.of(cache, self.kind, self.magnetization)
            amplitude = torch.empty(len(moves), len(chunk), dtype=base.amplitude.dtype, device=device)
            phase = torch.empty_like(amplitude)
            for group, plan in _plans(graph, shape, moves):
                # Groups are sorted by row and shape: each result goes back to the place that its move had in ``moves``.
                where = torch.tensor(group.columns, device=device)
                if (method or cheaper(plan, self.network, len(chunk), device.type)) == "rows":
                    ratios = suffix_ratios(base, group, recompute_rows(self.network, cache, group), shape)
                else:
                    touched = tuple(cell.at for cell in plan.cells[graph.output.name])
                    change = propagate(plan, frozen, cache)
                    if self.magnetization is None:
                        ratios = local_ratios(base, group, touched, change, shape)
                    else:
                        ratios = suffix_ratios(base, group, spread(base, group, touched, change, shape), shape)
                amplitude[where], phase[where] = ratios
            parts.append((amplitude.t(), phase.t()))
        return torch.cat([a for a, _ in parts]), torch.cat([p for _, p in parts])


def cheaper(plan: Plan, network: CausalNetwork, batch: int, device: str = "cpu") -> str:
    """Chooses the cheaper way to find the log-ratios of a group of moves: ``"propagate"`` or ``"rows"``."""
    call = CALL_COST.get(device, CALL_COST["cuda"])
    by_offsets = plan.multiplications * batch + plan.calls * call
    # All rows from the group's row on, once per move; about four calls per node.
    rows, columns = network.shape
    again = multiplications_per_site(network) * plan.group.width * (rows - plan.group.row) * columns
    by_rows = CONVOLUTION_COST * again * batch + 4 * len(network.graph.nodes) * call
    return "propagate" if by_offsets <= by_rows else "rows"


def multiplications_per_site(network: CausalNetwork) -> int:
    """Multiplications of one forward pass, per site, boundaries not counted."""
    channels = network.graph.channels
    return sum(
        len(tap.offsets) * channels[tap.source] * node.channels for node in network.graph.nodes for tap in node.taps
    )


@lru_cache(maxsize=64)
def _plans(graph: CausalGraph, shape: tuple[int, int], moves: tuple[Move, ...]) -> tuple[tuple[MoveGroup, Plan], ...]:
    return tuple((group, Plan.make(graph, shape, group)) for group in group_moves(moves, shape[1]))


def recompute_rows(network: CausalNetwork, cache: SiteCache, group: MoveGroup) -> Tensor:
    """Runs the network again from a group's row on, the features above taken from the cache.

    Args:
        network: The network.
        cache: Features of the configurations before any move.
        group: The moves.

    Returns:
        Outputs after every move, shape (sites from the group's row on, moves, batch, channels), float64.
    """
    columns = network.shape[1]
    spins = cache.values[SPINS][group.row :, ..., 0].flatten(0, 1)
    below = spins[:, None].expand(-1, group.width, -1).clone()  # [sites below, moves, batch]
    for up, across in group.offsets:
        for n in range(group.width):
            # ``below`` begins at the group's row: ``up`` rows further down, at the move's own column.
            below[up * columns + group.low + n + across, n] *= -1
    above = None
    if group.row:
        # As many rows as the farthest tap reads, as (moves * batch, channels, rows, columns).
        farthest = max((-row for node in network.graph.nodes for tap in node.taps for row, _ in tap.offsets), default=0)
        kept = slice(max(0, group.row - farthest), group.row)
        above = {
            name: value[kept]
            .permute(2, 3, 0, 1)
            .repeat(group.width, 1, 1, 1)
            .contiguous(memory_format=torch.channels_last)
            for name, value in cache.values.items()
        }
    # Moves vary slower than configurations in both operands: ``repeat`` above and this flatten agree on that.
    features = network.features(below.flatten(1).t(), above)
    outputs = accurate(features[network.graph.output.name][1])
    return outputs.permute(2, 3, 0, 1).reshape(len(below), group.width, cache.batch, -1)


@dataclass
class Conditionals:
    """Conditionals of whole configurations, site by site, before any flip."""

    outputs: Tensor
    """Shape (sites, channels, batch), float64."""
    spins: Tensor
    """Shape (sites, batch), float64."""
    amplitude: Tensor
    """Log-conditionals, shape (sites, batch)."""
    phase: Tensor
    """Conditional phases, shape (sites, batch)."""
    ups: Tensor
    """Number of spins +1 before each site, shape (sites, batch)."""
    kind: Kind
    """Kind of the wave function."""
    magnetization: int | None
    """Its sector, if it is confined to one."""

    @classmethod
    def of(cls, cache: SiteCache, kind: Kind, magnetization: int | None) -> Conditionals:
        """Computes them from a full cache."""
        outputs = accurate(cache.values[cache.frozen.graph.output.name].flatten(0, 1).transpose(1, 2).contiguous())
        spins = accurate(cache.values[SPINS].flatten(0, 1)[..., 0])
        up = (spins > 0).long()
        ups = up.cumsum(0) - up
        found = cls(outputs, spins, spins, spins, ups, kind, magnetization)
        sites = torch.arange(len(spins), device=spins.device)[:, None]
        # ``amplitude`` and ``phase`` held placeholders until here, because the log-conditionals need the other fields.
        found.amplitude = found.log_amplitude(outputs.transpose(1, 2), spins, ups, sites)
        found.phase = conditional_phase(outputs.transpose(1, 2), spins, kind)
        return found

    def log_amplitude(self, outputs: Tensor, spins: Tensor, ups: Tensor, site: Tensor) -> Tensor:
        """Log-conditionals of given outputs and spins under the state's constraint."""
        total = len(self.spins)
        return constrained_log_conditional(outputs, spins, self.kind, self.magnetization, ups, site, total)


def local_ratios(
    base: Conditionals, group: MoveGroup, touched: tuple[Offset, ...], change: Tensor, shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Computes log-ratios of unconstrained states from the touched outputs alone.

    Args:
        base: Conditionals before the moves.
        group: The moves.
        touched: Offsets of the touched outputs.
        change: Changes of those outputs, shape (touched, channels, moves, batch).
        shape: Rows and columns of the lattice.

    Returns:
        Differences of log-amplitude and phase, each (moves, batch).
    """
    # Outside the lattice the change is zero and the clamped site unflipped, so those terms cancel exactly.
    offsets = (*touched, *(offset for offset in group.offsets if offset not in touched))
    index = _sites(offsets, group, shape)[0].to(change.device)

    def gather(values: Tensor) -> Tensor:
        return values.index_select(0, index.flatten()).unflatten(0, index.shape)

    outputs, spins = gather(base.outputs), gather(base.spins)
    # ``gather`` made copies, so the cached conditionals stay as they were; offsets only flipped have no output change.
    outputs[: len(touched)] += change.transpose(1, 2)
    outputs = outputs.transpose(2, 3)  # [offsets, moves, batch, channels]
    for offset in group.offsets:
        spins[offsets.index(offset)] *= -1
    amplitude = (log_conditional(outputs, spins, base.kind) - gather(base.amplitude)).sum(0)
    if base.kind == "positive":
        return amplitude, torch.zeros_like(amplitude)
    return amplitude, (conditional_phase(outputs, spins, base.kind) - gather(base.phase)).sum(0)


def spread(
    base: Conditionals, group: MoveGroup, touched: tuple[Offset, ...], change: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Adds the changes of touched outputs to the outputs of all sites from the group's row on.

    Returns:
        Shape (sites from the group's row on, moves, batch, channels).
    """
    first = group.row * shape[1]
    index, valid = _sites(touched, group, shape)
    change = change.permute(0, 2, 3, 1)  # [touched, moves, batch, channels]
    # Clamped places outside the lattice would add to a wrong site: ``valid`` drops them before the sum.
    flat = ((index - first) * group.width + torch.arange(group.width))[valid].to(change.device)
    outputs = base.outputs[first:, None].transpose(2, 3).repeat(1, group.width, 1, 1)
    outputs.flatten(0, 1).index_add_(0, flat, accurate(change)[valid.to(change.device)])
    return outputs


def suffix_ratios(
    base: Conditionals, group: MoveGroup, outputs: Tensor, shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Computes log-ratios from the outputs of all sites from the group's row on.

    Under a constraint, whether a site has a choice depends on all spins before it: every later site counts.

    Args:
        base: Conditionals before the moves.
        group: The moves.
        outputs: Outputs after the moves, shape (sites from the group's row on, moves, batch, channels).
        shape: Rows and columns of the lattice.

    Returns:
        Differences of log-amplitude and phase, each (moves, batch).
    """
    first = group.row * shape[1]
    spins = base.spins[first:, None].expand(-1, group.width, -1).clone()
    ups = base.ups[first:, None].expand(-1, group.width, -1).clone()
    for up, across in group.offsets:
        for n in range(group.width):
            site = up * shape[1] + group.low + n + across
            # Flipping +1 to -1 takes one +1 away before every later site, and the other way round.
            ups[site + 1 :, n] -= spins[site, n].long()
            spins[site, n] *= -1
    sites = torch.arange(first, len(base.spins), device=outputs.device)[:, None, None]
    amplitude = base.log_amplitude(outputs, spins, ups, sites).sum(0) - base.amplitude[first:].sum(0)
    if base.kind == "positive":
        return amplitude, torch.zeros_like(amplitude)
    phase = conditional_phase(outputs, spins, base.kind).sum(0) - base.phase[first:].sum(0)
    return amplitude, phase


@lru_cache(maxsize=1024)
def _sites(offsets: tuple[Offset, ...], group: MoveGroup, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Finds the sites (offsets, moves) that offsets point to, and whether they are on the lattice (else clamped)."""
    # Rows need no clamp: the plan keeps only offsets whose row is on the lattice.
    rows = torch.tensor([group.row + up for up, _ in offsets])[:, None]
    columns = torch.tensor([across for _, across in offsets])[:, None] + torch.arange(group.low, group.high)
    valid = (columns >= 0) & (columns < shape[1])
    return rows * shape[1] + columns.clamp(0, shape[1] - 1), valid
