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

from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.back_propagation import backward, by_weights
from seqtant.models.wavefunctions.causal import Node
from seqtant.models.wavefunctions.causal_network import NodeWeights, norm
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.site_cache import FrozenWeights, SiteCache
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState


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
    """Derivatives of log psi of each configuration.

    Args:
        state: The wave function.
        spins: Shape (batch, sites).

    Yields:
        Blocks that together hold every parameter once.
    """
    if isinstance(state, SymmetrizedState):
        yield from _symmetrized(state, spins)
    elif isinstance(state, CausalState):
        yield from _causal(state, spins)
    else:
        yield from _generic(state, spins)


def _causal(state: CausalState, spins: Tensor) -> Iterator[Block]:
    network = state.network
    with torch.no_grad():
        cache = SiteCache.of(FrozenWeights(network), spins)
    start = _output_derivatives(state, cache, spins)
    with torch.no_grad():
        for node, delta in backward(cache, start):
            if node.taps:
                parts = [_weights(cache, node, part, network.weights(node.name)) for part in delta.unbind(2)]
                names = [f"network.of.{node.name}.{name}" for name, _ in network.weights(node.name).named_parameters()]
                yield Block(tuple(names), parts[0], parts[1] if state.has_phase else None)


def _output_derivatives(state: CausalState, cache: SiteCache, spins: Tensor) -> Tensor:
    """Derivatives of log-amplitude and phase by the outputs, shape (rows, columns, parts, batch, channels)."""
    outputs = cache.values[cache.frozen.graph.output.name].detach().requires_grad_(True)
    with torch.enable_grad():
        parts = state.read(outputs.flatten(0, 1).transpose(0, 1), spins)[: 1 + state.has_phase]
    return torch.stack([torch.autograd.grad(part.sum(), outputs, retain_graph=True)[0] for part in parts], dim=2)


def _weights(cache: SiteCache, node: Node, delta: Tensor, weights: NodeWeights) -> Tensor:
    """Derivatives with respect to all parameters of a node, in the order of its ``named_parameters``."""
    sizes = {name: parameter.numel() for name, parameter in weights.named_parameters()}
    found = delta.new_empty(delta.shape[2], sum(sizes.values()))
    places = dict(zip(sizes, found.split(list(sizes.values()), dim=1), strict=True))
    places["bias"].copy_(delta.sum(dim=(0, 1)))
    taps = [places[f"taps.{n}"].unflatten(1, raw.shape) for n, raw in enumerate(weights.taps)]
    for tap, out in zip(node.taps, taps, strict=True):
        by_weights(cache.values[tap.source], delta, tap.offsets, out)
    if weights.log_gain is not None:
        _normalize(list(weights.taps), weights.log_gain.exp(), taps, places["log_gain"])
    return found


def _normalize(raw: list[Tensor], scale: Tensor, taps: list[Tensor], gain: Tensor) -> None:
    """Turns derivatives by the effective weights into those by raw weights and log-gain, in place."""
    length = norm(raw)
    along = torch.stack([(g * w / length).sum(dim=(1, 2)) for g, w in zip(taps, raw, strict=True)]).sum(0)
    for g, w in zip(taps, raw, strict=True):
        g.sub_(w / length * along[:, None, None]).mul_(scale / length)
    gain.copy_(along * scale)


def _generic(state: AutoregressiveState, spins: Tensor, chunk: int = 64) -> Iterator[Block]:
    parameters = {name: p.detach() for name, p in state.named_parameters()}

    def part(number: int) -> Tensor:
        def one(values: dict[str, Tensor], configuration: Tensor) -> Tensor:
            return functional_call(state, values, (configuration[None],))[number][0]

        rows = [vmap(grad(one), (None, 0))(parameters, s) for s in spins.to(torch.float64).split(chunk)]
        return torch.cat([torch.cat([row[name].flatten(1) for name in parameters], dim=1) for row in rows])

    yield Block(tuple(parameters), part(0), part(1) if state.has_phase else None)


def _symmetrized(state: SymmetrizedState, spins: Tensor) -> Iterator[Block]:
    """Derivatives of a symmetrized state: those of all images, weighted by their share of amplitude and phase."""
    images = state.images(spins)
    elements, batch = images.shape[:2]
    with torch.no_grad():
        amplitude, phase = (x.view(elements, batch) for x in state.plain.log_psi(images.flatten(0, 1)))
        by_amplitude, by_phase = (share[..., None] for share in state.shares(amplitude, phase, images))
    for block in jacobian(state.plain, images.flatten(0, 1)):
        total = (block.amplitude.view(elements, batch, -1) * by_amplitude).sum(0)
        turned = None if block.phase is None else (block.phase.view(elements, batch, -1) * by_phase).sum(0)
        yield Block(block.parameters, total, turned)
