"""What a spin flip changes: a plan of the touched features, made from offsets, and its execution.

A convolution is linear and an activation is pointwise, so a flip at one site changes the features of later sites at a
few known offsets only. The plan lists these offsets node by node for all flips that start in one row, clips them at the
boundaries, and drops whatever no output depends on; executing it costs a few matrix products per touched feature
instead of a whole forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqtant.models.wavefunctions.activations import ACTIVATIONS
from seqtant.models.wavefunctions.causal import SPINS, CausalGraph, Node, Offset
from seqtant.models.wavefunctions.site_cache import FrozenWeights, SiteCache, add_product


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
    """Sorts moves by row and shape, so that neighbors are handled as one contiguous run.

    Example:
        >>> [(g.row, g.low, g.high) for g in group_moves(((0,), (1,), (2,), (3,)), columns=2)]
        [(0, 0, 2), (1, 0, 2)]
    """
    shapes: dict[tuple[int, tuple[Offset, ...]], dict[int, int]] = {}
    for place, move in enumerate(moves):
        row, column = divmod(min(move), columns)
        offsets = tuple(sorted((site // columns - row, site % columns - column) for site in move))
        shapes.setdefault((row, offsets), {})[column] = place
    groups: list[MoveGroup] = []
    for (row, offsets), places in sorted(shapes.items()):
        run: list[int] = []
        for column in sorted(places):
            if run and column != run[-1] + 1:
                groups.append(_group(row, offsets, run, places))
                run = []
            run.append(column)
        groups.append(_group(row, offsets, run, places))
    return groups


def _group(row: int, offsets: tuple[Offset, ...], run: list[int], places: dict[int, int]) -> MoveGroup:
    return MoveGroup(row, run[0], run[-1] + 1, offsets, tuple(places[column] for column in run))


@dataclass(frozen=True)
class Product:
    """One matrix product: a source feature at some moves, through one offset of one tap."""

    source: str
    place: int
    tap: int
    offset: int
    low: int
    high: int


@dataclass(frozen=True)
class Cell:
    """One touched feature of a node: where it lies from the first site, for which moves, and what it adds up."""

    at: Offset
    low: int
    high: int
    products: tuple[Product, ...]
    skips: tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Plan:
    """What one group of moves touches, node by node in the order of computation."""

    group: MoveGroup
    cells: dict[str, tuple[Cell, ...]]
    multiplications: int
    calls: int

    @classmethod
    def make(cls, graph: CausalGraph, shape: tuple[int, int], group: MoveGroup) -> Plan:
        """Follows the flips through the network's offsets, clips at the boundary, drops what no output reads."""
        touched = _touched(graph, shape, group)
        cells = {node.name: tuple(_cells(node, touched, group, shape[1])) for node in graph.nodes}
        work = calls = 0
        for node in graph.nodes:
            for cell in cells[node.name]:
                sizes = ((p.high - p.low) * graph.channels[p.source] for p in cell.products)
                work += node.channels * sum(sizes)
                calls += len(cell.products) + len(cell.skips) + 3
        return cls(group, cells, work, calls)


def _touched(graph: CausalGraph, shape: tuple[int, int], group: MoveGroup) -> dict[str, dict[Offset, int]]:
    """Touched offsets of every node, each with its place in the arrays."""
    rows, columns = shape

    def inside(offset: Offset) -> bool:
        low, high = _valid(offset, group, columns)
        return 0 <= offset[0] + group.row < rows and low < high

    reached: dict[str, set[Offset]] = {SPINS: set(group.offsets)}
    for node in graph.nodes:
        found: set[Offset] = set().union(*(reached[skip] for skip in node.skips))
        for tap in node.taps:
            found |= {(a - c, b - d) for a, b in reached[tap.source] for c, d in tap.offsets}
        reached[node.name] = {offset for offset in found if inside(offset)}
    wanted: dict[str, set[Offset]] = {name: set() for name in reached}
    wanted[graph.output.name] = reached[graph.output.name]
    for node in reversed(graph.nodes):
        for tap in node.taps:
            wanted[tap.source] |= {(a + c, b + d) for a, b in wanted[node.name] for c, d in tap.offsets}
        for skip in node.skips:
            wanted[skip] |= wanted[node.name]
    return {
        name: {
            offset: n
            for n, offset in enumerate(sorted(reached[name] & wanted[name] if name != SPINS else reached[name]))
        }
        for name in reached
    }


def _valid(offset: Offset, group: MoveGroup, columns: int) -> tuple[int, int]:
    """Which moves of a group, counted from 0, have this offset on the lattice."""
    return max(0, -offset[1] - group.low), min(group.width, columns - offset[1] - group.low)


def _cells(node: Node, touched: dict[str, dict[Offset, int]], group: MoveGroup, columns: int) -> Iterator[Cell]:
    for at in touched[node.name]:
        low, high = _valid(at, group, columns)
        products: list[Product] = []
        for t, tap in enumerate(node.taps):
            for k, (up, across) in enumerate(tap.offsets):
                read = (at[0] + up, at[1] + across)
                place = touched[tap.source].get(read)
                a, b = _valid(read, group, columns)
                a, b = max(a, low), min(b, high)
                if place is not None and a < b:
                    products.append(Product(tap.source, place, t, k, a, b))
        skips = tuple((skip, touched[skip][at], low, high) for skip in node.skips if at in touched[skip])
        yield Cell(at, low, high, tuple(products), skips)


def propagate(plan: Plan, frozen: FrozenWeights, cache: SiteCache) -> Tensor:
    """Changes of the outputs under every move of a group.

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
    changes: dict[str, Tensor] = {SPINS: -2 * torch.stack(shifts)}
    last_use = {source: node.name for node in frozen.nodes for source in (*(t.source for t in node.taps), *node.skips)}
    for node in frozen.nodes:
        if node is frozen.graph.output and node.name not in cache.inputs and not node.skips:
            return _outputs(plan, node, frozen, changes)
        cells = plan.cells[node.name]
        change = spins.new_empty(len(cells), group.width, cache.batch, node.channels)
        for place, cell in enumerate(cells):
            out = change[place]
            _start(node, cell, out, cache, group)
            for p in cell.products:
                source = changes[p.source][p.place, p.low : p.high]
                add_product(out[p.low : p.high], source, frozen.taps[node.name][p.tap][p.offset])
            for name, at, low, high in cell.skips:
                out[low:high] += changes[name][at, low:high]
            if node.name in cache.inputs:
                _finish(node, cell, out, cache, group)
        changes[node.name] = change
        for source in [name for name in changes if last_use.get(name) == node.name]:
            del changes[source]
    return changes[frozen.graph.output.name].permute(0, 3, 1, 2)


def _outputs(plan: Plan, node: Node, frozen: FrozenWeights, changes: dict[str, Tensor]) -> Tensor:
    """Changes of a few linear channels: one product per touched source, through all offsets at once."""
    cells = plan.cells[node.name]
    readers: dict[tuple[str, int, int], list[tuple[int, Product]]] = {}
    for place, cell in enumerate(cells):
        for p in cell.products:
            readers.setdefault((p.source, p.place, p.tap), []).append((place, p))
    stacked = [torch.stack(weights).transpose(1, 2).flatten(0, 1) for weights in frozen.taps[node.name]]
    width, batch = next(iter(changes.values())).shape[1:3]
    out = stacked[0].new_zeros(len(cells), node.channels, width, batch)
    for (source, at, tap), products in readers.items():
        found = (stacked[tap] @ changes[source][at].flatten(0, 1).t()).view(-1, node.channels, width, batch)
        for place, p in products:
            out[place, :, p.low : p.high] += found[p.offset, :, p.low : p.high]
    return out


def _start(node: Node, cell: Cell, out: Tensor, cache: SiteCache, group: MoveGroup) -> None:
    """Puts what the activation took before the moves, or zero if there is none, and zero outside the lattice."""
    if node.name in cache.inputs:
        out[cell.low : cell.high] = cache.inputs[node.name][_here(cell, group)]
    else:
        out[cell.low : cell.high] = 0
    if cell.low > 0:
        out[: cell.low] = 0
    if cell.high < len(out):
        out[cell.high :] = 0


def _finish(node: Node, cell: Cell, out: Tensor, cache: SiteCache, group: MoveGroup) -> None:
    """Turns what the activation takes after the moves into the change of its value."""
    new = out[cell.low : cell.high]
    ACTIVATIONS[node.activation].in_place(new)
    new -= cache.values[node.name][_here(cell, group)]


def _here(cell: Cell, group: MoveGroup) -> tuple[int, slice]:
    """Where the feature of a cell lies on the lattice, for its moves."""
    shift = group.low + cell.at[1]
    return group.row + cell.at[0], slice(cell.low + shift, cell.high + shift)
