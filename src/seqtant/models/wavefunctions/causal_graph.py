"""Describes a causal convolutional network by lattice offsets, from which everything else about it follows.

A network is a list of nodes. A node adds up linear taps, each reading an earlier node at a fixed set of lattice
offsets, and identity skips, then applies a pointwise activation. The first node is the spin configuration itself. From
the offsets alone follow the receptive field of each output, whether the network is causal, its blind spots, in which
order a sampler may compute it, and what a spin flip changes.

Offsets are (rows, columns): the output at site (r, c) reads the source at (r + rows, c + columns), and zero outside the
lattice. Sites are visited in raster order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqtant.errors import InputError

Offset = tuple[int, int]
SPINS = "spins"
_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


@dataclass(frozen=True)
class Activation:
    """A pointwise function in two forms that give the same numbers, and its derivative.

    Each maps 0 to 0, so that padding and untouched features stay zero.
    """

    plain: Callable[[Tensor], Tensor]
    """With gradients; returns a new tensor."""
    in_place: Callable[[Tensor], Tensor]
    """Without gradients; overwrites its argument and returns it."""
    slope: Callable[[Tensor, Tensor], Tensor]
    """Derivative from the argument and the value; returns a new tensor."""


def _selu_in_place(x: Tensor) -> Tensor:
    # The library's SELU calls expm1, several times slower than exp; the difference is below float32 rounding of 1.
    negative = x.clamp(max=0).exp_()
    return x.clamp_(min=0).add_(negative, alpha=_SELU_ALPHA).sub_(_SELU_ALPHA).mul_(_SELU_SCALE)


def _silu_slope(x: Tensor, y: Tensor) -> Tensor:
    # With s = sigmoid(x) and y = x s, the derivative is s + y (1 - s).
    gate = torch.sigmoid(x)
    return torch.addcmul(gate + y, y, gate, value=-1)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda x: x, lambda x: x, lambda x, y: torch.ones_like(x)),
    "relu": Activation(functional.relu, torch.relu_, lambda x, y: (x > 0).to(x.dtype)),
    "silu": Activation(functional.silu, lambda x: functional.silu(x, inplace=True), _silu_slope),
    "tanh": Activation(torch.tanh, torch.tanh_, lambda x, y: 1 - y * y),
    "selu": Activation(
        functional.selu, _selu_in_place, lambda x, y: torch.where(y > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA)
    ),
}


@dataclass(frozen=True)
class Tap:
    """A linear map that reads an earlier node at some offsets."""

    source: str
    """Name of the node it reads."""
    offsets: tuple[Offset, ...]
    """Where it reads, relative to the site it writes."""


@dataclass(frozen=True)
class Node:
    """One feature map: activation(bias + taps + skips)."""

    name: str
    """Unique name."""
    channels: int
    """Number of features per site."""
    taps: tuple[Tap, ...] = ()
    """Linear terms."""
    skips: tuple[str, ...] = ()
    """Nodes added as they are."""
    activation: str = "identity"
    """Pointwise function; it must map 0 to 0."""
    normalized: bool = False
    """Whether its weights are written exp(g) V / |V| (weight normalization)."""


class Phase(IntEnum):
    """When a node of row r, column c becomes known while sites are drawn one after another."""

    ROW_START = 0
    """It depends on rows above only: the whole row at once, before the row begins."""
    BEFORE = 1
    """It depends on columns < c of its row: just before site (r, c) is drawn."""
    AFTER = 2
    """It depends on columns <= c of its row: right after site (r, c) is drawn."""
    ROW_END = 3
    """It depends on its whole row: when the row is complete."""


@dataclass(frozen=True)
class CausalGraph:
    """The nodes of a network in an order in which each reads only earlier ones; the last is the output.

    Example:
        >>> shifted = Node("out", 2, (Tap(SPINS, ((0, -1), (-1, 0))),))
        >>> graph = CausalGraph((shifted,))
        >>> sorted(graph.reach("out", (2, 2)))
        [(-1, 0), (0, -1)]
        >>> graph.phases["out"].name
        'BEFORE'
    """

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        channels = {SPINS: 1}
        for node in self.nodes:
            for source in [tap.source for tap in node.taps] + list(node.skips):
                if source not in channels:
                    raise InputError(f"node '{node.name}' reads '{source}', which is no earlier node")
            if any(channels[skip] != node.channels for skip in node.skips):
                raise InputError(f"node '{node.name}': a skip must have {node.channels} channels")
            if node.name in channels:
                raise InputError(f"node '{node.name}' is there twice: give each node its own name")
            channels[node.name] = node.channels
        # A lattice as wide as the farthest tap suffices: a path that is not causal shows on it.
        width = 1 + max((abs(n) for node in self.nodes for tap in node.taps for o in tap.offsets for n in o), default=1)
        # Offsets compare row first, then column: that is raster order, and (0, 0) is the site itself.
        late = [o for o in self.reach(self.output.name, (width, width)) if o >= (0, 0)]
        if late:
            raise InputError(f"the network is not causal: its output at a site sees offset {min(late)}")
        for node in self.nodes:
            if any(row > 0 for tap in node.taps for row, _ in tap.offsets):
                raise InputError(f"node '{node.name}' reads a later row: it cannot be sampled site by site")
        # A node may read only what is known when its own turn comes: see Phase.
        for node in self.nodes:
            reads = [(skip, 0) for skip in node.skips]
            reads += [(tap.source, column) for tap in node.taps for row, column in tap.offsets if row == 0]
            for source, column in reads:
                ahead = column > 0 and self.phases[source] != Phase.ROW_START
                if (ahead or self.phases[source] == Phase.ROW_END) and self.phases[node.name] != Phase.ROW_END:
                    raise InputError(f"node '{node.name}' reads '{source}' ahead of the site being drawn")

    @property
    def output(self) -> Node:
        """The last node."""
        return self.nodes[-1]

    @cached_property
    def channels(self) -> dict[str, int]:
        """Number of features of every node, the spins included."""
        return {SPINS: 1} | {node.name: node.channels for node in self.nodes}

    def reach(self, name: str, shape: tuple[int, int]) -> set[Offset]:
        """Receptive field of a node: offsets of the spins that it can see, on lattices up to a shape."""
        rows, columns = shape
        reaches: dict[str, set[Offset]] = {SPINS: {(0, 0)}}
        for node in self.nodes:
            total: set[Offset] = set().union(*(reaches[skip] for skip in node.skips))
            for tap in node.taps:
                total |= {(a + c, b + d) for a, b in tap.offsets for c, d in reaches[tap.source]}
            # No two sites of the lattice are farther apart than this, so a longer offset never reads a spin.
            reaches[node.name] = {o for o in total if abs(o[0]) < rows and abs(o[1]) < columns}
        return reaches[name]

    @cached_property
    def phases(self) -> dict[str, Phase]:
        """When each node becomes known during sampling."""
        # The largest column that a node sees in its own row decides; only offsets within that row can move it.
        latest: dict[str, int | None] = {SPINS: 0}
        for node in self.nodes:
            seen = [latest[skip] for skip in node.skips]
            for tap in node.taps:
                at = latest[tap.source]
                seen += [None if at is None else at + column for row, column in tap.offsets if row == 0]
            latest[node.name] = max((x for x in seen if x is not None), default=None)
        # Below 0 is BEFORE (1), 0 is AFTER (2), above is ROW_END (3).
        return {name: Phase.ROW_START if x is None else Phase(2 + (x > 0) - (x < 0)) for name, x in latest.items()}

    def sees(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Finds which conditionals can depend on which spins, exactly, boundaries included.

        Args:
            shape: Rows and columns of the lattice.

        Returns:
            Matrix of shape (sites, sites): entry (i, j) says whether the conditional at i can depend on spin j.
        """
        rows, columns = shape
        sites = rows * columns
        seen = {SPINS: np.eye(sites, dtype=bool).reshape(rows, columns, sites)}
        for node in self.nodes:
            total = np.zeros((rows, columns, sites), dtype=bool)
            for tap in node.taps:
                for offset in tap.offsets:
                    here, there = overlap(shape, offset)
                    total[here] |= seen[tap.source][there]
            for skip in node.skips:
                total |= seen[skip]
            seen[node.name] = total
        return seen[self.output.name].reshape(sites, sites)

    def missing_dependencies(self, shape: tuple[int, int]) -> list[tuple[Offset, Offset]]:
        """Lists blind spots: pairs (site, earlier site) whose conditional can never depend on that earlier spin.

        Two stacks return an empty list once they are deep enough for the lattice; a masked single-stack convolution
        never does.
        """
        rows, columns = shape
        earlier = np.tril(np.ones((rows * columns,) * 2, dtype=bool), -1)
        missing = np.argwhere(earlier & ~self.sees(shape))
        return [(divmod(int(i), columns), divmod(int(j), columns)) for i, j in missing]


def overlap(shape: tuple[int, int], offset: Offset) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of the sites whose neighbor at an offset lies on the lattice, and slices of those neighbors."""
    here, there = zip(*(span(size, step) for size, step in zip(shape, offset, strict=True)), strict=True)
    return here, there  # type: ignore[return-value]


def span(size: int, step: int) -> tuple[slice, slice]:
    """Positions p of a line with p + step on it, and those p + step.

    Example:
        >>> span(5, -2)
        (slice(2, 5, None), slice(0, 3, None))
    """
    # The outer max keeps the slice empty, not reversed, where the step is longer than the line.
    low, high = max(0, -step), max(0, -step, min(size, size - step))
    return slice(low, high), slice(low + step, high + step)
