"""Wave functions to compose: made for a lattice, trained by :class:`~seqtant.quantum.training.vmc.VMC`.

All are products of conditionals, psi(s) = prod_i psi_i(s_i | s_<i), so that ``sample`` draws exactly and independently
and ``log_psi``, ``log_prob`` and ``phase`` are normalized. Their weights fit every lattice of the same dimension.
"""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

import torch

from seqtant.errors import InputError
from seqtant.models.wavefunctions import causal_state
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState, Kind, output_channels
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.jacobian import jacobian
from seqtant.models.wavefunctions.sequential import RecurrentNetwork, TransformerNetwork
from seqtant.models.wavefunctions.stacks import dilated_chain, light_two_stack, paper_two_stack, single_stack
from seqtant.models.wavefunctions.symmetrized_state import Phases, SymmetrizedState
from seqtant.quantum.operators.lattices import Lattice, as_lattice, symmetry_group
from seqtant.quantum.operators.pauli import PauliSum

__all__ = ["CausalState", "RecurrentState", "SymmetrizedState", "TransformerState", "jacobian", "symmetrize"]
Stack = Literal["auto", "two-stack", "single-stack", "chain", "paper"]


def generator_of(seed: int | torch.Generator) -> torch.Generator:
    """Makes a random generator from a seed; a generator passes as it is."""
    return seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)


class Portable(AutoregressiveState):
    """A wave function that remembers what it was made with, so that it can be made again on another lattice."""

    arguments: dict[str, Any]
    """Keyword arguments of its class, but for the seed."""

    def on(self, lattice: Lattice | str) -> Self:
        """Carries the wave function, with its weights, to another lattice of the same dimension.

        Example:
            >>> large = RecurrentState("2x2", width=4).on("3x4")
            >>> large.sites, large.sample(5, torch.Generator().manual_seed(0)).shape
            (12, torch.Size([5, 12]))
        """
        kind: Any = type(self)  # its arguments are those of the subclass
        other = kind(lattice, **self.arguments).to(next(self.parameters()))
        other.load_state_dict(self.state_dict())
        return other


class CausalState(Portable, causal_state.CausalState):
    """A wave function of masked convolutions, whose local energies propagate only what a flip changes.

    Args:
        lattice: Where the spins stand, or a text such as ``4x4``.
        depth: Layers.
        width: Features per site.
        kind: ``positive`` (no phase), ``real`` (signed amplitudes) or ``complex`` (a phase per conditional).
        magnetization: Sum of all spins (+1, -1), if only that sector is allowed.
        stack: ``two-stack``, ``single-stack``, ``chain`` (dilated, one dimension), ``paper`` (as published); ``auto``
            takes the chain in one dimension and the two-stack in two.
        activation: Pointwise function; the published network has its own.
        seed: Seed, or generator, of the initial weights.

    Raises:
        InputError: The network does not fit the lattice, or there is no such sector.

    Example:
        >>> state = CausalState("3x3", depth=2, width=4)
        >>> state.log_prob(state.sample(5, torch.Generator().manual_seed(0))).shape
        torch.Size([5])
    """

    def __init__(
        self,
        lattice: Lattice | str,
        depth: int = 3,
        width: int = 16,
        *,
        kind: Kind = "positive",
        magnetization: int | None = None,
        stack: Stack = "auto",
        activation: str = "silu",
        seed: int | torch.Generator = 0,
    ) -> None:
        lattice = as_lattice(lattice)
        if stack == "auto":
            stack = "chain" if lattice.rows == 1 else "two-stack"
        elif stack == "chain" and lattice.rows > 1:
            raise InputError(f"network 'chain' cannot see the rows of lattice {lattice}: use two-stack")
        _check(kind, depth=depth, width=width)
        channels, generator = output_channels(kind), generator_of(seed)
        if stack == "paper":
            if width % 2 or depth < 2:
                raise InputError("the published network needs an even width and a depth of at least 2")
            network = CausalNetwork(paper_two_stack(depth, width, channels), lattice.shape, generator, "both")
        else:
            make = {"two-stack": light_two_stack, "single-stack": single_stack, "chain": dilated_chain}[stack]
            network = CausalNetwork(make(depth, width, channels, activation), lattice.shape, generator)
        super().__init__(network, kind, magnetization)
        self.arguments = {"depth": depth, "width": width, "kind": kind, "magnetization": magnetization}
        self.arguments |= {"stack": stack, "activation": activation}


class TransformerState(Portable):
    """A wave function of causal attention over all earlier spins.

    Args:
        lattice: Where the spins stand, or a text such as ``4x4``.
        depth: Layers.
        width: Features per site, a multiple of 4 and of ``heads``.
        heads: Attention heads.
        kind: ``positive`` (no phase), ``real`` (signed amplitudes) or ``complex`` (a phase per conditional).
        magnetization: Sum of all spins (+1, -1), if only that sector is allowed.
        seed: Seed, or generator, of the initial weights.

    Raises:
        InputError: The width does not fit, or there is no such sector.

    Example:
        >>> TransformerState("3x3", depth=1, width=8).log_prob(torch.ones(2, 9)).shape
        torch.Size([2])
    """

    def __init__(
        self,
        lattice: Lattice | str,
        depth: int = 2,
        width: int = 16,
        *,
        heads: int = 4,
        kind: Kind = "positive",
        magnetization: int | None = None,
        seed: int | torch.Generator = 0,
    ) -> None:
        _check(kind, depth=depth, width=width, heads=heads)
        if width % 4 or width % heads:
            raise InputError(f"a transformer of width {width} and {heads} heads: give a multiple of 4 and of the heads")
        shape, generator = as_lattice(lattice).shape, generator_of(seed)
        network = TransformerNetwork(shape, depth, width, output_channels(kind), heads=heads, generator=generator)
        super().__init__(network, kind, magnetization)
        self.arguments = {"depth": depth, "width": width, "heads": heads, "kind": kind, "magnetization": magnetization}


class RecurrentState(Portable):
    """A wave function of one gated cell that walks the lattice in zigzag.

    Args:
        lattice: Where the spins stand, or a text such as ``4x4``.
        width: Size of the hidden state.
        kind: ``positive`` (no phase), ``real`` (signed amplitudes) or ``complex`` (a phase per conditional).
        magnetization: Sum of all spins (+1, -1), if only that sector is allowed.
        seed: Seed, or generator, of the initial weights.

    Raises:
        InputError: There is no such sector.

    Example:
        >>> state = RecurrentState("2x2", width=4, magnetization=0)
        >>> state.sample(3, torch.Generator().manual_seed(0)).sum(1).tolist()
        [0, 0, 0]
    """

    def __init__(
        self,
        lattice: Lattice | str,
        width: int = 16,
        *,
        kind: Kind = "positive",
        magnetization: int | None = None,
        seed: int | torch.Generator = 0,
    ) -> None:
        _check(kind, width=width)
        network = RecurrentNetwork(as_lattice(lattice).shape, width, output_channels(kind), generator_of(seed))
        super().__init__(network, kind, magnetization)
        self.arguments = {"width": width, "kind": kind, "magnetization": magnetization}


def symmetrize(
    state: AutoregressiveState, hamiltonian: PauliSum, lattice: Lattice | str | None = None, *, phases: Phases = "mean"
) -> SymmetrizedState:
    """Averages a wave function over the rotations, mirrors, translations and spin flip that the Hamiltonian has.

    Args:
        state: The wave function; the symmetrized one shares its weights.
        hamiltonian: The Hamiltonian whose symmetries count.
        lattice: By default the Hamiltonian's own.
        phases: Phase of the symmetrized state: the ``mean`` direction over all images, or that of the ``first`` image.

    Raises:
        InputError: The lattice is not known.

    Example:
        >>> from seqtant.quantum.operators.hamiltonians import transverse_ising
        >>> even = symmetrize(RecurrentState("2x2", width=4), transverse_ising("2x2"))
        >>> up, down = even.log_prob(torch.tensor([[1, 1, 1, 1], [-1, -1, -1, -1]])).tolist()
        >>> abs(up - down) < 1e-6
        True
    """
    place = hamiltonian.lattice if lattice is None else as_lattice(lattice)
    if place is None:
        raise InputError("the Hamiltonian names no lattice: give one, such as square(4)")
    return symmetry_group(place, hamiltonian, state.magnetization).symmetrize(state, phases)


def _check(kind: Kind, **sizes: int) -> None:
    if kind not in get_args(Kind):
        raise InputError(f"kind is {kind!r}: give positive, real or complex")
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise InputError(f"{name} is {size!r}: give a whole number of at least 1")
