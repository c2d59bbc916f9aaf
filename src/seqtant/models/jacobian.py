"""Derivatives of log psi for every configuration by itself, a block of parameters at a time.

On a causal network one backward pass gives the derivative with respect to what each node adds up; a product with the
node's inputs then gives those of its weights, sample by sample. Nothing larger than one node is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from seqtant.models.autoregressive import AutoregressiveState
from seqtant.models.causal import Node
from seqtant.models.causal_network import NodeWeights, cells, norm, pad, window
from seqtant.models.causal_state import CausalState
from seqtant.models.symmetrised_state import SymmetrisedState


@dataclass(frozen=True)
class Block:
    """Derivatives with respect to some parameters."""

    parameters: tuple[str, ...]
    """Their names in ``state.named_parameters()``."""
    amplitude: Tensor
    """Derivatives of the log-amplitude, shape (batch, numbers)."""
    phase: Tensor | None
    """Derivatives of the phase, shape (batch, numbers); None if the state has none."""


def jacobian(state: AutoregressiveState | SymmetrisedState, spins: Tensor) -> Iterator[Block]:
    """Derivatives of log psi of each configuration.

    Args:
        state: The wave function.
        spins: Shape (batch, sites).

    Yields:
        Blocks that together hold every parameter once.
    """
    if isinstance(state, SymmetrisedState):
        yield from _symmetrised(state, spins)
    elif isinstance(state, CausalState):
        yield from _causal(state, spins)
    else:
        yield from _generic(state, spins)


def _causal(state: CausalState, spins: Tensor) -> Iterator[Block]:
    network = state.network
    with torch.enable_grad():
        features = network.features(spins)
        amplitude, phase = state.read(network.final(features), spins)
        nodes = [node for node in network.graph.nodes if node.taps]
        inputs = [features[node.name][0] for node in nodes]
        by_amplitude = torch.autograd.grad(amplitude.sum(), inputs, retain_graph=state.has_phase)
        by_phase = torch.autograd.grad(phase.sum(), inputs) if state.has_phase else None
    with torch.no_grad():
        for n, node in enumerate(nodes):
            patches = [read(features[tap.source][1], node, t) for t, tap in enumerate(node.taps)]
            weights = network.weights(node.name)
            names = [f"network.of.{node.name}.{name}" for name, _ in weights.named_parameters()]
            parts = [_weights(patches, grads[n], weights) for grads in (by_amplitude, by_phase) if grads is not None]
            yield Block(tuple(names), parts[0], parts[1] if state.has_phase else None)


def read(source: Tensor, node: Node, tap_number: int) -> Tensor:
    """What a tap reads at every site: shape (batch, offsets, channels, sites)."""
    tap = node.taps[tap_number]
    low, high, step = window(tap)
    size = ((high[0] - low[0]) // step[0] + 1, (high[1] - low[1]) // step[1] + 1)
    flat = functional.unfold(pad(source, low, high), size, dilation=step)
    everything = flat.unflatten(1, (source.shape[1], -1)).transpose(1, 2)
    places = list(cells(tap))
    chosen = [places.index(offset) for offset in tap.offsets]
    return everything if chosen == list(range(len(places))) else everything[:, chosen]


def _weights(patches: list[Tensor], cotangent: Tensor, weights: NodeWeights) -> Tensor:
    """Derivatives with respect to all parameters of a node, in the order of its ``named_parameters``."""
    back = cotangent.flatten(2).transpose(1, 2)
    taps = [torch.matmul(patch.flatten(1, 2), back).unflatten(1, patch.shape[1:3]) for patch in patches]
    found = {"bias": cotangent.sum(dim=(2, 3))}
    if weights.log_gain is not None:
        raw = list(weights.taps)
        length = norm(raw)
        along = torch.stack([(g * w / length).sum(dim=(1, 2)) for g, w in zip(taps, raw, strict=True)]).sum(0)
        scale = weights.log_gain.exp() / length
        taps = [scale * (g - w / length * along[:, None, None]) for g, w in zip(taps, raw, strict=True)]
        found["log_gain"] = along * weights.log_gain.exp()
    found |= {f"taps.{n}": tap for n, tap in enumerate(taps)}
    return torch.cat([found[name].flatten(1) for name, _ in weights.named_parameters()], dim=1)


def _generic(state: AutoregressiveState, spins: Tensor, chunk: int = 64) -> Iterator[Block]:
    parameters = {name: p.detach() for name, p in state.named_parameters()}

    def part(number: int) -> Tensor:
        def one(values: dict[str, Tensor], configuration: Tensor) -> Tensor:
            return functional_call(state, values, (configuration[None],))[number][0]

        rows = [vmap(grad(one), (None, 0))(parameters, s) for s in spins.to(torch.float64).split(chunk)]
        return torch.cat([torch.cat([row[name].flatten(1) for name in parameters], dim=1) for row in rows])

    yield Block(tuple(parameters), part(0), part(1) if state.has_phase else None)


def _symmetrised(state: SymmetrisedState, spins: Tensor) -> Iterator[Block]:
    """Derivatives of a symmetrised state: those of all images, weighted by their share of amplitude and phase."""
    images = state.images(spins)
    elements, batch = images.shape[:2]
    with torch.no_grad():
        amplitude, phase = (x.view(elements, batch) for x in state.plain.log_psi(images.flatten(0, 1)))
        by_amplitude = (2 * amplitude).softmax(0)[..., None]
        turning = torch.polar(torch.ones_like(phase), phase)
        by_phase = (turning / turning.sum(0)).real[..., None]
    for block in jacobian(state.plain, images.flatten(0, 1)):
        total = (block.amplitude.view(elements, batch, -1) * by_amplitude).sum(0)
        turned = None if block.phase is None else (block.phase.view(elements, batch, -1) * by_phase).sum(0)
        yield Block(block.parameters, total, turned)
