"""Builds the lattice, the Hamiltonian and the wave function that a configuration names."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from seqtant.errors import InputError
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState, Kind, output_channels
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.recurrent_state import RecurrentNetwork
from seqtant.models.wavefunctions.stacks import dilated_chain, light_two_stack, paper_two_stack, single_stack
from seqtant.models.wavefunctions.transformer_state import TransformerNetwork
from seqtant.quantum.config import NetworkConfig, SystemConfig
from seqtant.quantum.operators.hamiltonians import Couplings, build, read_operators
from seqtant.quantum.operators.lattices import Lattice
from seqtant.quantum.operators.pauli import PauliSum

PHASE_SCALE = 0.1
"""Initial weights of the phases, as a share of those of the amplitudes; at zero they would get no gradient."""
DEEPEST_AUTO = 6
"""Layers beyond which a default network does not grow with the lattice."""


@dataclass(frozen=True)
class System:
    """A lattice and the Hamiltonian on it."""

    lattice: Lattice
    """The lattice."""
    pauli: PauliSum
    """The Hamiltonian."""
    config: SystemConfig
    """The settings that name both."""

    @property
    def sites(self) -> int:
        """Number of spins."""
        return self.lattice.sites

    @classmethod
    def of(cls, config: SystemConfig) -> System:
        """Builds the lattice and the Hamiltonian of a configuration.

        Raises:
            InputError: The lattice or the Hamiltonian is not known, or they do not fit each other.

        Example:
            >>> System.of(SystemConfig(lattice="2x3", field=0.5)).sites
            6
        """
        lattice = Lattice.parse(config.lattice, config.boundary)
        if config.operators is not None:
            pauli = read_operators(Path(config.operators))
            if pauli.sites != lattice.sites:
                raise InputError(
                    f"'{config.operators}' acts on {pauli.sites} sites but lattice {lattice} has {lattice.sites}: "
                    "give the lattice that fits"
                )
            return cls(lattice, pauli, config)
        couplings = Couplings(
            coupling=config.coupling,
            field=config.field,
            anisotropy=config.anisotropy,
            second_coupling=config.second_coupling,
            marshall=config.marshall,
        )
        return cls(lattice, build(config.hamiltonian, lattice, couplings), config)

    @property
    def notes(self) -> list[str]:
        """Caveats about the system, to be shown with its results."""
        lattice, found = self.lattice, []
        odd = any(size % 2 for size in lattice.shape if size > 1)
        exchange = self.config.operators is None and self.config.hamiltonian in {"heisenberg", "xxz", "j1j2"}
        if exchange and lattice.boundary == "periodic" and odd:
            found.append("a periodic lattice with an odd side frustrates antiferromagnets: no Marshall sign rule")
        if lattice.boundary == "periodic" and 2 in lattice.shape:
            found.append("a periodic side of two sites counts each bond once, not twice")
        return found


def resolve_network(config: NetworkConfig, system: System) -> NetworkConfig:
    """Replaces automatic settings of a network by values that suit a system.

    The network is a dilated chain in one dimension and a light two-stack in two, deep enough that the last site depends
    on the first, within reason. The kind is positive where the ground state has no signs, else complex. The sector is
    the smallest magnetization where it is conserved and holds the ground state.

    Raises:
        InputError: The network cannot represent the ground state, or the magnetization is not conserved.
    """
    pauli, lattice = system.pauli, system.lattice
    name = config.name
    if name == "auto":
        name = "chain" if lattice.rows == 1 else "two-stack"
    elif name == "chain" and lattice.rows > 1:
        raise InputError(f"network 'chain' cannot see the rows of lattice {lattice}: use two-stack")

    # One layer of a chain doubles its reach, one of a two-stack adds a row.
    longest = max(lattice.shape)
    depths = {"chain": max(3, math.ceil(math.log2(longest))), "paper": 10, "transformer": 2}
    depth = config.depth or depths.get(name, min(DEEPEST_AUTO, max(3, longest - 2)))

    kind = config.kind
    if kind == "auto":
        kind = "positive" if pauli.is_stoquastic else "complex"
    elif kind == "positive" and not pauli.is_stoquastic:
        raise InputError("the ground state has signs: a positive state cannot hold it, use kind auto, real or complex")
    elif kind == "real" and not pauli.is_real:
        raise InputError("the Hamiltonian has imaginary elements: use kind auto or complex")

    magnetization = config.magnetization
    conserved = pauli.conserves_magnetization and bool(pauli.moves)
    if magnetization == "auto":
        antiferromagnet = system.config.hamiltonian in {"heisenberg", "j1j2"} and system.config.operators is None
        smallest = conserved and antiferromagnet and system.config.coupling > 0
        magnetization = system.sites % 2 if smallest else None
    elif magnetization is not None and not conserved:
        raise InputError("the Hamiltonian does not conserve the magnetization: set network.magnetization to null")
    return replace(config, name=name, depth=depth, kind=kind, magnetization=magnetization)


def make_state(system: System, network: NetworkConfig, generator: torch.Generator) -> AutoregressiveState:
    """Makes a wave function with fresh weights for a system.

    Args:
        system: Lattice and Hamiltonian.
        network: Its settings.
        generator: Random generator of the initial weights.

    Raises:
        InputError: The network cannot represent the ground state, or the magnetization is not conserved.
    """
    network = resolve_network(network, system)
    kind, magnetization = cast(Kind, network.kind), cast(int | None, network.magnetization)
    name, depth, width = network.name, cast(int, network.depth), network.width
    channels, shape = output_channels(kind), system.lattice.shape
    if name == "recurrent":
        return AutoregressiveState(RecurrentNetwork(shape, width, channels, generator), kind, magnetization)
    if name == "transformer":
        transformer = TransformerNetwork(shape, depth, width, channels, generator=generator)
        return AutoregressiveState(transformer, kind, magnetization)
    if name == "paper":
        causal = CausalNetwork(paper_two_stack(depth, width, channels), shape, generator, "both")
    else:
        builder = {"two-stack": light_two_stack, "single-stack": single_stack, "chain": dilated_chain}[name]
        causal = CausalNetwork(builder(depth, width, channels, network.activation), shape, generator)
        if kind == "complex" and system.pauli.rotated_sites:
            # Where the sign rule is in H already, random signs are a worse start than none.
            with torch.no_grad():
                causal.weights("output").taps[0][..., 2:] *= PHASE_SCALE
    return CausalState(causal, kind, magnetization)
