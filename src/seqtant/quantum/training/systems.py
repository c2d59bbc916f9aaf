"""Builds the lattice, the Hamiltonian and the wave function that a configuration names."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import torch

from seqtant.errors import InputError
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState, Kind
from seqtant.quantum.config import NetworkConfig, NetworkName, PhasesName, SystemConfig
from seqtant.quantum.operators.hamiltonians import Couplings, build, read_operators
from seqtant.quantum.operators.lattices import Lattice
from seqtant.quantum.operators.pauli import PauliSum
from seqtant.quantum.states import CausalState, Portable, RecurrentState, Stack, TransformerState
from seqtant.sources import is_path

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
    """The settings that name both."""

    @property
    def sites(self) -> int:
        """Number of spins."""
        return self.lattice.sites

    @property
    def name(self) -> str:
        """The Hamiltonian's name; what it is made of where it has none."""
        name = self.config.hamiltonian
        return name if isinstance(name, str) else f"{len(name.strings)} Pauli strings"

    @property
    def model(self) -> str | None:
        """Name of the model that the Hamiltonian is; None for one given by its Pauli strings."""
        name = self.config.hamiltonian
        return name if isinstance(name, str) and self.config.operators is None else None

    @classmethod
    def of(cls, config: SystemConfig) -> System:
        """Builds the lattice and the Hamiltonian of a configuration.

        Example:
            >>> System.of(SystemConfig(lattice="2x3", field=0.5)).sites
            6
        """
        lattice = Lattice.parse(config.lattice, config.boundary) if is_path(config.lattice) else config.lattice
        given = config.operators if config.operators is not None else config.hamiltonian
        if config.operators is not None or not is_path(given):
            pauli = read_operators(Path(given)) if is_path(given) else given
            if not isinstance(pauli, PauliSum):
                raise InputError(f"operators is {pauli!r:.60}: give a JSON file of Pauli strings, or a PauliSum")
            if pauli.sites != lattice.sites:
                what = f"'{given}' acts" if is_path(given) else "the Hamiltonian acts"
                there = f"lattice {lattice} has {lattice.sites}: give the lattice that fits"
                raise InputError(f"{what} on {pauli.sites} sites but {there}")
            return cls(lattice, replace(pauli, lattice=lattice), config)
        couplings = Couplings(**{each.name: getattr(config, each.name) for each in fields(Couplings)})
        return cls(lattice, build(str(config.hamiltonian), lattice, couplings), config)

    @property
    def notes(self) -> list[str]:
        """Caveats about the system, to be shown with its results."""
        lattice, found = self.lattice, []
        odd = any(size % 2 for size in lattice.shape if size > 1)
        exchange = self.model in {"heisenberg", "xxz", "j1j2"}
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
    """
    pauli, lattice = system.pauli, system.lattice
    name = config.name
    if name == "auto":
        name = "chain" if lattice.rows == 1 else "two-stack"
    elif name == "chain" and lattice.rows > 1:
        raise InputError(f"network 'chain' cannot see the rows of lattice {lattice}: use two-stack")

    # One layer of a chain doubles its reach, one of a two-stack adds a row.
    longest = max(lattice.shape)
    # Depth d of a chain sees 2^d sites back, so the logarithm of the length is enough.
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
        antiferromagnet = system.model in {"heisenberg", "j1j2"}
        smallest = conserved and antiferromagnet and system.config.coupling > 0
        magnetization = system.sites % 2 if smallest else None
    elif magnetization is not None and not conserved:
        raise InputError("the Hamiltonian does not conserve the magnetization: set network.magnetization to null")
    return replace(config, name=name, depth=depth, kind=kind, magnetization=magnetization)


def make_state(system: System, network: NetworkConfig, generator: torch.Generator) -> AutoregressiveState:
    """Makes a wave function with fresh weights for a system."""
    network = resolve_network(network, system)
    kind, magnetization = cast(Kind, network.kind), cast(int | None, network.magnetization)
    lattice, width, depth = system.lattice, network.width, cast(int, network.depth)
    rest: dict[str, Any] = {"kind": kind, "magnetization": magnetization, "seed": generator}
    if network.name == "recurrent":
        return RecurrentState(lattice, width, **rest)
    if network.name == "transformer":
        return TransformerState(lattice, depth, width, **rest)
    stack = cast(Stack, network.name)
    state = CausalState(lattice, depth, width, stack=stack, activation=network.activation, **rest)
    if kind == "complex" and system.pauli.rotated_sites and stack != "paper":
        # Where the sign rule is in H already, random signs are a worse start than none.
        with torch.no_grad():
            state.network.weights("output").taps[0][..., 2:] *= PHASE_SCALE
    return state


def network_of(state: AutoregressiveState, phases: PhasesName = "auto") -> NetworkConfig:
    """Gives the settings that :func:`make_state` makes such a wave function from.

    Example:
        >>> network_of(RecurrentState("2x2", width=4)).name
        'recurrent'
    """
    names = {RecurrentState: "recurrent", TransformerState: "transformer", CausalState: ""}
    if not isinstance(state, Portable) or type(state) not in names or state.arguments.get("heads", 4) != 4:
        raise InputError(f"{type(state).__name__} is a network of your own: train it by VMC, or carry a wave function")
    found = state.arguments
    given = {key: found[key] for key in ("depth", "width", "activation", "kind", "magnetization") if key in found}
    name = cast(NetworkName, names[type(state)] or found["stack"])
    return NetworkConfig(name=name, phases=phases, **given)
