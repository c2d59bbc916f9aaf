"""Log-ratios of the wave function from changed outputs: the last step of change propagation, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from seqtant.models.wavefunctions.causal import SPINS, Offset
from seqtant.models.wavefunctions.propagation import MoveGroup
from seqtant.models.wavefunctions.readout import Kind, accurate, conditional_phase, constrain, forced, log_conditional
from seqtant.models.wavefunctions.site_cache import SiteCache


@dataclass
class Conditionals:
    """Conditionals of whole configurations, site by site: what changed conditionals are compared with."""

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
    magnetization: int | None

    @classmethod
    def of(cls, cache: SiteCache, kind: Kind, magnetization: int | None) -> Conditionals:
        """Reads them off a full cache."""
        outputs = accurate(cache.values[cache.frozen.graph.output.name].flatten(0, 1).transpose(1, 2).contiguous())
        spins = accurate(cache.values[SPINS].flatten(0, 1)[..., 0])
        up = (spins > 0).long()
        ups = up.cumsum(0) - up
        found = cls(outputs, spins, spins, spins, ups, kind, magnetization)
        sites = torch.arange(len(spins), device=spins.device)[:, None]
        found.amplitude = found.log_amplitude(outputs.transpose(1, 2), spins, ups, sites)
        found.phase = conditional_phase(outputs.transpose(1, 2), spins, kind)
        return found

    def log_amplitude(self, outputs: Tensor, spins: Tensor, ups: Tensor, site: Tensor) -> Tensor:
        """Log-conditionals of given outputs and spins under the state's constraint."""
        amplitude = log_conditional(outputs, spins, self.kind)
        if self.magnetization is None:
            return amplitude
        return constrain(amplitude, spins, forced(ups, site, len(self.spins), self.magnetization))


def local_ratios(
    base: Conditionals, group: MoveGroup, touched: tuple[Offset, ...], change: Tensor, shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Log-ratios of unconstrained states from the touched outputs alone.

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

    def of(values: Tensor) -> Tensor:
        return values.index_select(0, index.flatten()).unflatten(0, index.shape)

    outputs, spins = of(base.outputs), of(base.spins)
    outputs[: len(touched)] += change.transpose(1, 2)
    outputs = outputs.transpose(2, 3)
    for offset in group.offsets:
        spins[offsets.index(offset)] *= -1
    amplitude = (log_conditional(outputs, spins, base.kind) - of(base.amplitude)).sum(0)
    if base.kind == "positive":
        return amplitude, torch.zeros_like(amplitude)
    return amplitude, (conditional_phase(outputs, spins, base.kind) - of(base.phase)).sum(0)


def spread(
    base: Conditionals, group: MoveGroup, touched: tuple[Offset, ...], change: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Outputs of all sites from the group's row on, the touched ones changed.

    Returns:
        Shape (sites from the group's row on, moves, batch, channels).
    """
    first = group.row * shape[1]
    index, valid = _sites(touched, group, shape)
    change = change.permute(0, 2, 3, 1)
    flat = ((index - first) * group.width + torch.arange(group.width))[valid].to(change.device)
    outputs = base.outputs[first:, None].transpose(2, 3).repeat(1, group.width, 1, 1)
    outputs.flatten(0, 1).index_add_(0, flat, accurate(change)[valid.to(change.device)])
    return outputs


def suffix_ratios(
    base: Conditionals, group: MoveGroup, outputs: Tensor, shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Log-ratios from the outputs of all sites from the group's row on.

    Under a constraint, which sites have no choice depends on all spins before them: every later site is looked at.

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
    """Sites (offsets, moves) that offsets point to, and whether they are on the lattice (else some site of the row)."""
    rows = torch.tensor([group.row + up for up, _ in offsets])[:, None]
    columns = torch.tensor([across for _, across in offsets])[:, None] + torch.arange(group.low, group.high)
    valid = (columns >= 0) & (columns < shape[1])
    return rows * shape[1] + columns.clamp(0, shape[1] - 1), valid
