"""The backward pass through kept features: derivatives by what each node adds up, and by its weights, sample by sample.

Arrays are laid out as in the cache that the forward pass filled, so every step is a few matrix products of runs of
sites; nothing is recorded for automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seqtant.models.wavefunctions.activations import ACTIVATIONS
from seqtant.models.wavefunctions.causal import SPINS, Node, Offset, overlap
from seqtant.models.wavefunctions.site_cache import SiteCache, add_product

NUMBERS_AT_ONCE = 3 << 17
"""Numbers in the windows that are read together: what a processor's cache takes."""


def backward(cache: SiteCache, start: Tensor) -> Iterator[tuple[Node, Tensor]]:
    """Derivatives with respect to what each node adds up, from the last node to the first.

    Args:
        cache: All features of some configurations, with the inputs of the activations.
        start: Derivatives with respect to the network's outputs, shape (rows, columns, parts, batch, channels); one
            part for each function that is differentiated. It is overwritten.

    Yields:
        Nodes with derivatives of the shape of ``start``, each node's own channels.
    """
    frozen = cache.frozen
    gradients = {frozen.graph.output.name: start}
    for node in reversed(frozen.nodes):
        delta = gradients.pop(node.name)
        for row in range(frozen.shape[0]):
            _through_activation(cache, node, row, delta[row])
            _to_sources(cache, node, row, delta[row], gradients)
        yield node, delta


def _through_activation(cache: SiteCache, node: Node, row: int, delta: Tensor) -> None:
    if node.name in cache.inputs:
        slope = ACTIVATIONS[node.activation].slope
        delta *= slope(cache.inputs[node.name][row], cache.values[node.name][row])[:, None]


def _to_sources(cache: SiteCache, node: Node, row: int, delta: Tensor, gradients: dict[str, Tensor]) -> None:
    rows, columns = cache.frozen.shape

    def of(source: str) -> Tensor:
        if source not in gradients:
            shape = (rows, *delta.shape[:-1], cache.frozen.channels[source])
            gradients[source] = delta.new_zeros(shape)
        return gradients[source]

    for tap, weights in zip(node.taps, cache.frozen.taps[node.name], strict=True):
        for (up, across), weight in zip(tap.offsets, weights, strict=True):
            here, there = overlap((1, columns), (0, across))
            if tap.source != SPINS and 0 <= row + up < rows:
                add_product(of(tap.source)[row + up, there[1]], delta[here[1]], weight.t())
    for skip in node.skips:
        if skip != SPINS:
            of(skip)[row] += delta


def by_weights(source: Tensor, delta: Tensor, offsets: tuple[Offset, ...], out: Tensor) -> None:
    """Derivatives with respect to the weights of a tap, for every sample.

    Args:
        source: What the tap reads, shape (rows, columns, batch, inputs).
        delta: Derivatives with respect to what the node adds up, shape (rows, columns, batch, outputs).
        offsets: Where the tap reads.
        out: Where they are written, shape (batch, offsets, inputs, outputs).
    """
    shift_source = source.shape[-1] <= delta.shape[-1]
    moved, fixed = (source, delta) if shift_source else (delta, source)
    steps = offsets if shift_source else tuple((-up, -across) for up, across in offsets)
    rows, columns, batch, width = moved.shape
    size = min(batch, max(8, NUMBERS_AT_ONCE // (rows * columns * len(steps) * width)))
    read = moved.new_zeros(size, rows, columns, len(steps), width)
    for first in range(0, batch, size):
        chosen = slice(first, min(first + size, batch))
        windows = read[: chosen.stop - first]
        for n, step in enumerate(steps):
            here, there = overlap((rows, columns), step)
            windows[:, here[0], here[1], n] = moved[*there, chosen].permute(2, 0, 1, 3)
        windows = windows.flatten(1, 2).flatten(2)
        still = fixed[:, :, chosen].permute(2, 0, 1, 3).flatten(1, 2)
        if shift_source:
            torch.bmm(windows.transpose(1, 2), still, out=out[chosen].flatten(1, 2))
        else:
            found = torch.bmm(still.transpose(1, 2), windows)
            out[chosen] = found.unflatten(2, (len(steps), width)).transpose(1, 2)
