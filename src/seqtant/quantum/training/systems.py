"""From a configuration to a lattice, a Hamiltonian and the wave function that suits them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from seqtant.errors import InputError
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState, Kind, output_channels
from seqtant.models.wavefunctions.causal_graph import CausalGraph
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.recurrent_state import RecurrentNetwork
from seqtant.models.wavefunctions.stacks import dilated_chain, light_two_stack, paper_two_stack, single_stack
from seqtant.models.wavefunctions.transformer_state import TransformerNetwork
from seqtant.quantum.config import NetworkConfig, SystemConfig
from seqtant.quantum.operators.hamiltonians import Couplings, build
from seqtant.quantum.operators.lattices import Lattice
from seqtant.quantum.operators.operator_lists import read_operators
from seqtant.quantum.operators.pauli import PauliSum

PHASE_SCALE = 0.1
"""Initial weights of the phases, as a share of those of the amplitudes; at zero they would get no gradient."""
DEEPEST_AUTO = 6
"""Layers beyond which a default network does not grow with the lattice."""


@dataclass(frozen=True)
class System:
    """A lattice and the Hamiltonian on it."""

    lattice: Lattice
    pauli: PauliSum
    config: SystemConfig

    @property
    def sites(self) -> int:
        """Number of spins."""
        return self.lattice.sites

    @classmethod
    def of(cls, config: SystemConfig) -> System:
        """Builds what a configuration names.

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
        """What a reader should know about the system."""
        lattice, found = self.lattice, []
        odd = any(size % 2 for size in lattice.shape if size > 1)
        exchange = self.config.operators is None and self.config.hamiltonian in {"heisenberg", "xxz", "j1j2"}
        if exchange and lattice.boundary == "periodic" and odd:
            found.append("a periodic lattice with an odd side frustrates antiferromagnets: no Marshall sign rule")
        if lattice.boundary == "periodic" and 2 in lattice.shape:
            found.append("a periodic side of two sites counts each bond once, not twice")
        return found


def make_state(system: System, network: NetworkConfig, generator: torch.Generator) -> AutoregressiveState:
    """A fresh wave function for a system.

    Args:
        system: Lattice and Hamiltonian.
        network: What it is to be.
        generator: Source of the initial weights.

    Raises:
        InputError: The Hamiltonian needs signs that the chosen kind does not have.
    """
    kind = choose_kind(system.pauli, network)
    magnetization = choose_magnetization(system, network)
    channels, shape = output_channels(kind), system.lattice.shape
    name = choose_network(system.lattice, network)
    depth = network.depth or default_depth(name, shape)
    if name == "recurrent":
        recurrent = RecurrentNetwork(shape, network.width, channels, generator)
        return AutoregressiveState(recurrent, kind, magnetization)
    if name == "transformer":
        transformer = TransformerNetwork(shape, depth, network.width, channels, generator=generator)
        return AutoregressiveState(transformer, kind, magnetization)
    graph = make_graph(name, depth, network.width, channels, network.activation)
    causal = CausalNetwork(graph, shape, generator, "both" if name == "paper" else "in")
    if kind == "complex" and name != "paper" and system.pauli.rotated_sites:
        _quieten_phases(causal)
    return CausalState(causal, kind, magnetization)


@torch.no_grad()
def _quieten_phases(network: CausalNetwork) -> None:
    """Starts near a state without phases: where the sign rule is in H already, random signs are a worse start."""
    network.weights("output").taps[0][..., 2:] *= PHASE_SCALE


def make_graph(name: str, depth: int, width: int, channels: int, activation: str) -> CausalGraph:
    """The causal graph of a network by name."""
    if name == "paper":
        return paper_two_stack(depth, width, channels)
    maker = {"two-stack": light_two_stack, "single-stack": single_stack, "chain": dilated_chain}[name]
    return maker(depth, width, channels, activation)


def choose_kind(pauli: PauliSum, network: NetworkConfig) -> Kind:
    """Positive where the ground state has no signs, else complex; a positive state is refused where it has.

    Raises:
        InputError: A positive or real state cannot represent the ground state.
    """
    if network.kind == "auto":
        return "positive" if pauli.is_stoquastic else "complex"
    if network.kind == "positive" and not pauli.is_stoquastic:
        raise InputError("the ground state has signs: a positive state cannot hold it, use kind auto, real or complex")
    if network.kind == "real" and not pauli.is_real:
        raise InputError("the Hamiltonian has imaginary elements: use kind auto or complex")
    return cast(Kind, network.kind)


def choose_magnetization(system: System, network: NetworkConfig) -> int | None:
    """The sector: the smallest magnetization where it is conserved and holds the ground state.

    Raises:
        InputError: The Hamiltonian does not conserve the magnetization that was asked for.
    """
    conserved = system.pauli.conserves_magnetization and bool(system.pauli.moves)
    if network.magnetization == "auto":
        antiferromagnet = system.config.hamiltonian in {"heisenberg", "j1j2"} and system.config.operators is None
        return system.sites % 2 if conserved and antiferromagnet and system.config.coupling > 0 else None
    if network.magnetization is not None and not conserved:
        raise InputError("the Hamiltonian does not conserve the magnetization: set network.magnetization to null")
    return network.magnetization


def choose_network(lattice: Lattice, network: NetworkConfig) -> str:
    """The network's name, with ``auto`` resolved.

    Raises:
        InputError: A chain network on a lattice with several rows.
    """
    if network.name == "auto":
        return "chain" if lattice.rows == 1 else "two-stack"
    if network.name == "chain" and lattice.rows > 1:
        raise InputError(f"network 'chain' cannot see the rows of lattice {lattice}: use two-stack")
    return network.name


def default_depth(name: str, shape: tuple[int, int]) -> int:
    """Layers that let the last site see the first, within reason."""
    if name == "chain":
        return max(3, math.ceil(math.log2(max(shape))))
    if name == "paper":
        return 10
    if name == "transformer":
        return 2
    return min(DEEPEST_AUTO, max(3, max(shape) - 2))
