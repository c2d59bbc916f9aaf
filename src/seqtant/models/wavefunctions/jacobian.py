"""Computes derivatives of log psi for every configuration by itself, a block of parameters at a time.

On a causal network one backward pass through the kept features gives the derivative with respect to what each node adds
up; a product with the node's inputs then gives those of its weights, sample by sample. Arrays are laid out as in the
cache that the forward pass filled, so every step is a few matrix products of runs of sites; nothing is recorded for
automatic differentiation, and nothing larger than one node is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.causal_graph import ACTIVATIONS, SPINS, Node, Offset, overlap, span
from seqtant.models.wavefunctions.causal_network import FrozenWeights, NodeWeights, SiteCache, add_product, norm
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState

NUMBERS_AT_ONCE = 3 << 17
"""Numbers in the windows that are read together: what a processor's cache takes."""

VMAP_CHUNK = 64
"""Configurations that automatic differentiation handles together."""


@dataclass(frozen=True)
class Block:
    """Derivatives with respect to some parameters."""

    parameters: tuple[str, ...]
    """Their names in ``state.named_parameters()``."""
    amplitude: Tensor
    """Derivatives of the log-amplitude, shape (batch, numbers)."""
    phase: Tensor | None
    """Derivatives of the phase, shape (batch, numbers); None if the state has none."""


def jacobian(state: AutoregressiveState | SymmetrizedState, spins: Tensor) -> Iterator[Block]:
    """Computes the derivatives of log psi of each configuration.

    Args:
        state: The wave function.
        spins: Shape (batch, sites).

    Yields:
        Blocks that together hold every parameter once.
    """
    if isinstance(state, SymmetrizedState):
        # Derivatives of all images, weighted by their share of amplitude and phase.
        images = state.images(spins)
        elements, batch = images.shape[:2]
        with torch.no_grad():
            amplitude, phase = (x.view(elements, batch) for x in state.plain.log_psi(images.flatten(0, 1)))
            by_amplitude, by_phase = (share[..., None] for share in state.shares(amplitude, phase, images))
        for block in jacobian(state.plain, images.flatten(0, 1)):
            total = (block.amplitude.view(elements, batch, -1) * by_amplitude).sum(0)
            turned = None if block.phase is None else (block.phase.view(elements, batch, -1) * by_phase).sum(0)
            yield Block(block.parameters, total, turned)
    elif isinstance(state, CausalState):
        network = state.network
        with torch.no_grad():
            cache = SiteCache.of(FrozenWeights(network), spins)
        # Only the readout is differentiated automatically: log-amplitude and phase with respect to the outputs.
        outputs = cache.values[network.graph.output.name].detach().requires_grad_(True)
        with torch.enable_grad():
            log_psi = state.read(outputs.flatten(0, 1).transpose(0, 1), spins)[: 1 + state.has_phase]
        # Configurations do not interact, so the gradient of the sum over the batch holds the derivative of each.
        slopes = [torch.autograd.grad(part.sum(), outputs, retain_graph=True)[0] for part in log_psi]
        start = torch.stack(slopes, dim=2)  # [rows, columns, parts, batch, channels]
        with torch.no_grad():
            for node, delta in backward(cache, start):
                if node.taps:
                    weights = network.weights(node.name)
                    parts = [_by_parameters(cache, node, part, weights) for part in delta.unbind(2)]
                    names = [f"network.of.{node.name}.{name}" for name, _ in weights.named_parameters()]
                    yield Block(tuple(names), parts[0], parts[1] if state.has_phase else None)
    else:
        # Automatic differentiation, vectorized over the configurations of a chunk.
        parameters = {name: p.detach() for name, p in state.named_parameters()}

        def part(number: int) -> Tensor:
            slope = grad(lambda values, one: functional_call(state, values, (one[None],))[number][0])
            rows = [vmap(slope, (None, 0))(parameters, s) for s in spins.to(torch.float64).split(VMAP_CHUNK)]
            return torch.cat([torch.cat([row[name].flatten(1) for name in parameters], dim=1) for row in rows])

        yield Block(tuple(parameters), part(0), part(1) if state.has_phase else None)


def backward(cache: SiteCache, start: Tensor) -> Iterator[tuple[Node, Tensor]]:
    """Computes derivatives with respect to what each node adds up, from the last node to the first.

    Args:
        cache: All features of some configurations, with the inputs of the activations.
        start: Derivatives with respect to the network's outputs, shape (rows, columns, parts, batch, channels); one
            part for each function that is differentiated. It is overwritten.

    Yields:
        Nodes with derivatives of the shape of ``start``, each node's own channels.
    """
    frozen = cache.frozen
    rows, columns = frozen.shape
    gradients = {frozen.graph.output.name: start}
    for node in reversed(frozen.nodes):
        delta = gradients.pop(node.name)
        # In reverse order every reader of a node comes before the node, so its gradient is complete when it is popped.
        for source in {*(tap.source for tap in node.taps), *node.skips} - {SPINS, *gradients}:
            gradients[source] = delta.new_zeros(*delta.shape[:-1], frozen.channels[source])
        for row in range(rows):
            line = delta[row]  # [columns, parts, batch, channels]
            if node.name in cache.inputs:
                slope = ACTIVATIONS[node.activation].slope
                # ``line`` is a view: from here on ``delta``, which is yielded, is with respect to the pre-activation.
                line *= slope(cache.inputs[node.name][row], cache.values[node.name][row])[:, None]
            # What the node read at (row + up, column + across) gets delta of (row, column) times the weights.
            for tap, weights in zip(node.taps, frozen.taps[node.name], strict=True):
                for (up, across), weight in zip(tap.offsets, weights, strict=True):
                    here, there = span(columns, across)
                    if tap.source != SPINS and 0 <= row + up < rows:
                        add_product(gradients[tap.source][row + up, there], line[here], weight.t())
            for skip in node.skips:
                if skip != SPINS:
                    gradients[skip][row].add_(line)
        yield node, delta


def by_weights(source: Tensor, delta: Tensor, offsets: tuple[Offset, ...], out: Tensor) -> None:
    """Computes derivatives with respect to the weights of a tap, for every sample.

    For each offset they are the sum over sites of (source at the offset) x (delta at the site), an outer product.

    Args:
        source: What the tap reads, shape (rows, columns, batch, inputs).
        delta: Derivatives with respect to what the node adds up, shape (rows, columns, batch, outputs).
        offsets: Where the tap reads.
        out: Where they are written, shape (batch, offsets, inputs, outputs).
    """
    # The narrower of the two factors is copied once per offset; shifting delta back is the same as shifting the source.
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
            # Cells outside the lattice are never written: they keep their first zeros through all chunks.
            windows[:, here[0], here[1], n] = moved[*there, chosen].permute(2, 0, 1, 3)
        windows = windows.flatten(1, 2).flatten(2)  # [samples, sites, offsets * width]
        still = fixed[:, :, chosen].permute(2, 0, 1, 3).flatten(1, 2)  # [samples, sites, other width]
        if shift_source:
            torch.bmm(windows.transpose(1, 2), still, out=out[chosen].flatten(1, 2))
        else:
            found = torch.bmm(still.transpose(1, 2), windows)
            out[chosen] = found.unflatten(2, (len(steps), width)).transpose(1, 2)


def _by_parameters(cache: SiteCache, node: Node, delta: Tensor, weights: NodeWeights) -> Tensor:
    """Computes derivatives with respect to all parameters of a node, in the order of its ``named_parameters``."""
    sizes = {name: parameter.numel() for name, parameter in weights.named_parameters()}
    found = delta.new_empty(delta.shape[2], sum(sizes.values()))
    places = dict(zip(sizes, found.split(list(sizes.values()), dim=1), strict=True))
    places["bias"].copy_(delta.sum(dim=(0, 1)))
    taps = [places[f"taps.{n}"].unflatten(1, raw.shape) for n, raw in enumerate(weights.taps)]
    for tap, out in zip(node.taps, taps, strict=True):
        by_weights(cache.values[tap.source], delta, tap.offsets, out)
    if weights.log_gain is not None:
        # The effective weights are W = e^g V / |V|. With G = dL/dW and a = sum(G V) / |V|, in place:
        # dL/dV = (e^g / |V|) (G - a V / |V|) and dL/dg = e^g a.
        raw, scale = list(weights.taps), weights.log_gain.exp()
        length = norm(raw)
        along = torch.stack([(g * v / length).sum(dim=(1, 2)) for g, v in zip(taps, raw, strict=True)]).sum(0)
        for g, v in zip(taps, raw, strict=True):
            g.sub_(v / length * along[:, None, None]).mul_(scale / length)
        places["log_gain"].copy_(along * scale)
    return found
