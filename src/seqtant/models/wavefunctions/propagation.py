"""Propagates spin flips through a causal network: a plan of the changed features, made from offsets, and its execution.

A convolution is linear and an activation is pointwise, so a flip at one site changes the features of later sites at a
few known offsets only. The plan lists these offsets node by node for all flips that start in one row, clips them at the
boundaries, and drops whatever no output depends on; executing it costs a few matrix products per touched feature
instead of a whole forward pass.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from seqtant.models.wavefunctions.causal_graph import ACTIVATIONS, SPINS, CausalGraph, Node, Offset
from seqtant.models.wavefunctions.causal_network import FrozenWeights, SiteCache, add_product


@dataclass(frozen=True)
class MoveGroup:
    """Moves of one shape whose first sites are neighbors in one row."""

    row: int
    """Row of the first site of each move."""
    low: int
    """Column of the first move's first site."""
    high: int
    """One past the column of the last move's first site."""
    offsets: tuple[Offset, ...]
    """Flipped sites relative to the first one."""
    columns: tuple[int, ...]
    """Place of each move in the list it came from."""

    @property
    def width(self) -> int:
        """Number of moves."""
        return self.high - self.low


def group_moves(moves: tuple[tuple[int, ...], ...], columns: int) -> list[MoveGroup]:
    """Groups moves by row and shape, so that neighbors are handled as one contiguous run.

    Example:
        >>> [(g.row, g.low, g.high) for g in group_moves(((0,), (1,), (2,), (3,)), columns=2)]
        [(0, 0, 2), (1, 0, 2)]
    """
    shapes: dict[tuple[int, tuple[Offset, ...]], dict[int, int]] = {}
    for place, move in enumerate(moves):
        # The smallest site number is the first in raster order: every other flipped site lies after it.
        row, column = divmod(min(move), columns)
        offsets = tuple(sorted((site // columns - row, site % columns - column) for site in move))
        shapes.setdefault((row, offsets), {})[column] = place
    groups: list[MoveGroup] = []
    for (row, offsets), places in sorted(shapes.items()):
        line = sorted(places)
        # A run ends where the next column is not the neighbor.
        starts = [n for n, column in enumerate(line) if n == 0 or column != line[n - 1] + 1]
        for first, stop in itertools.pairwise([*starts, len(line)]):
            run = line[first:stop]
            groups.append(MoveGroup(row, run[0], run[-1] + 1, offsets, tuple(places[column] for column in run)))
    return groups


@dataclass(frozen=True)
class Product:
    """One matrix product: a source feature at some moves, through one offset of one tap."""

    source: str
    """Node that is read."""
    place: int
    """Which of its touched features."""
    tap: int
    """Number of the tap."""
    offset: int
    """Number of the tap's offset."""
    low: int
    """First move that it counts for."""
    high: int
    """One past the last such move."""


@dataclass(frozen=True)
class Cell:
    """One touched feature of a node: where it lies from the first site, for which moves, and what it adds up."""

    at: Offset
    """Offset from the first flipped site."""
    low: int
    """First move whose feature at this offset lies on the lattice."""
    high: int
    """One past the last such move."""
    products: tuple[Product, ...]
    """Linear terms."""
    skips: tuple[tuple[str, int], ...]
    """Nodes that are added, with the place of the feature among their touched ones."""


@dataclass(frozen=True)
class Plan:
    """What one group of moves touches, node by node in the order of computation."""

    group: MoveGroup
    """The moves."""
    cells: dict[str, tuple[Cell, ...]]
    """Touched features by node."""
    multiplications: int
    """Multiplications per configuration."""
    calls: int
    """Calls of the tensor library."""

    @classmethod
    def make(cls, graph: CausalGraph, shape: tuple[int, int], group: MoveGroup) -> Plan:
        """Follows the flips through the network's offsets, clips at the boundary, drops what no output reads."""
        rows, columns = shape
        # Forward: what the flips reach, clipped to the lattice.
        reached: dict[str, set[Offset]] = {SPINS: set(group.offsets)}
        for node in graph.nodes:
            hit: set[Offset] = set().union(*(reached[skip] for skip in node.skips))
            for tap in node.taps:
                # An output at p reads p + offset, so a change at q reaches the outputs at q - offset.
                hit |= {(a - c, b - d) for a, b in reached[tap.source] for c, d in tap.offsets}
            inside = {at: _valid(at, group, columns) for at in hit if 0 <= at[0] + group.row < rows}
            reached[node.name] = {at for at, (first, last) in inside.items() if first < last}
        # Backward: what the reached outputs depend on.
        wanted: dict[str, set[Offset]] = {name: set() for name in reached}
        wanted[graph.output.name] = reached[graph.output.name]
        for node in reversed(graph.nodes):
            for tap in node.taps:
                wanted[tap.source] |= {(a + c, b + d) for a, b in wanted[node.name] for c, d in tap.offsets}
            for skip in node.skips:
                wanted[skip] |= wanted[node.name]
        # The flipped spins are all kept: propagation starts from them.
        kept = {name: at if name == SPINS else at & wanted[name] for name, at in reached.items()}
        # Touched offsets of every node, each with its place in the arrays.
        touched = {name: {at: n for n, at in enumerate(sorted(offsets))} for name, offsets in kept.items()}
        cells: dict[str, tuple[Cell, ...]] = {}
        work = calls = 0
        for node in graph.nodes:
            found: list[Cell] = []
            for at in touched[node.name]:
                low, high = _valid(at, group, columns)
                products: list[Product] = []
                for t, tap in enumerate(node.taps):
                    for k, (up, across) in enumerate(tap.offsets):
                        read = (at[0] + up, at[1] + across)
                        # Both the feature and what it reads must lie on the lattice.
                        a, b = _valid(read, group, columns)
                        a, b = max(a, low), min(b, high)
                        if read in touched[tap.source] and a < b:
                            products.append(Product(tap.source, touched[tap.source][read], t, k, a, b))
                            work += node.channels * (b - a) * graph.channels[tap.source]
                skips = tuple((skip, touched[skip][at]) for skip in node.skips if at in touched[skip])
                found.append(Cell(at, low, high, tuple(products), skips))
                calls += len(products) + len(skips) + 3
            cells[node.name] = tuple(found)
        return cls(group, cells, work, calls)


def _valid(offset: Offset, group: MoveGroup, columns: int) -> tuple[int, int]:
    """Range of the moves of a group, counted from 0, that have this offset on the lattice."""
    return max(0, -offset[1] - group.low), min(group.width, columns - offset[1] - group.low)


def propagate(plan: Plan, frozen: FrozenWeights, cache: SiteCache) -> Tensor:
    """Computes the changes of the outputs under every move of a group.

    A touched feature starts from its old pre-activation z, adds the weighted changes of what it reads, and its own
    change is activation(z + dz) - activation(z). Linear nodes start from zero.

    Args:
        plan: What the moves touch.
        frozen: The network's weights.
        cache: Features of the configurations before the moves, with the inputs of the activations.

    Returns:
        Shape (touched outputs, channels, moves, batch); zero where an offset lies outside the lattice.
    """
    group = plan.group
    spins = cache.values[SPINS]
    shifts = [spins[group.row + a, group.low + b : group.high + b] for a, b in group.offsets]
    # A flip takes s to -s, a change of -2 s. The group's offsets are sorted, as the plan's places are.
    changes: dict[str, Tensor] = {SPINS: -2 * torch.stack(shifts)}
    last_use = {source: node.name for node in frozen.nodes for source in (*(t.source for t in node.taps), *node.skips)}
    for node in frozen.nodes:
        if node is frozen.graph.output and node.name not in cache.inputs and not node.skips:
            return _outputs(plan, node, frozen, changes)
        cells = plan.cells[node.name]
        change = spins.new_empty(len(cells), group.width, cache.batch, node.channels)
        for place, cell in enumerate(cells):
            out = change[place]  # [moves, batch, channels]
            inner = out[cell.low : cell.high]
            # Where the feature lies on the lattice, for its moves.
            shift = group.low + cell.at[1]
            here = group.row + cell.at[0], slice(cell.low + shift, cell.high + shift)
            if node.name in cache.inputs:
                inner.copy_(cache.inputs[node.name][here])
            else:
                inner.zero_()
            # Outside the lattice nothing changes.
            if cell.low > 0:
                out[: cell.low] = 0
            if cell.high < len(out):
                out[cell.high :] = 0
            for p in cell.products:
                source = changes[p.source][p.place, p.low : p.high]
                add_product(out[p.low : p.high], source, frozen.taps[node.name][p.tap][p.offset])
            for name, number in cell.skips:
                inner += changes[name][number, cell.low : cell.high]
            if node.name in cache.inputs:
                ACTIVATIONS[node.activation].in_place(inner)
                # The activation wrote f(z + dz) in place over z + dz; less the old value f(z) it is the change.
                inner -= cache.values[node.name][here]
        changes[node.name] = change
        # Changes that no later node reads are freed at once.
        for source in [name for name in changes if last_use.get(name) == node.name]:
            del changes[source]
    return changes[frozen.graph.output.name].permute(0, 3, 1, 2)


def _outputs(plan: Plan, node: Node, frozen: FrozenWeights, changes: dict[str, Tensor]) -> Tensor:
    """Computes the changes of a few linear channels: one product per touched source, through all offsets at once."""
    cells = plan.cells[node.name]
    readers: dict[tuple[str, int, int], list[tuple[int, Product]]] = {}
    for place, cell in enumerate(cells):
        for p in cell.products:
            readers.setdefault((p.source, p.place, p.tap), []).append((place, p))
    stacked = [torch.stack(weights).transpose(1, 2).flatten(0, 1) for weights in frozen.taps[node.name]]
    width, batch = next(iter(changes.values())).shape[1:3]
    out = stacked[0].new_zeros(len(cells), node.channels, width, batch)
    for (source, at, tap), products in readers.items():
        # The product covers all offsets, also those that clipping drops; only the ranges of the plan are added.
        found = (stacked[tap] @ changes[source][at].flatten(0, 1).t()).view(-1, node.channels, width, batch)
        for place, p in products:
            out[place, :, p.low : p.high].add_(found[p.offset, :, p.low : p.high])
    return out
