"""What is the ground state of this spin lattice? (neural autoregressive quantum states, exact sampling).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""

from __future__ import annotations

from typing import Any

from seqtant.registry import import_attribute

_PUBLIC = {
    "run": "seqtant.quantum.instrument:run",
    "BenchmarkConfig": "seqtant.quantum.config:BenchmarkConfig",
    "CompareSamplingConfig": "seqtant.quantum.config:CompareSamplingConfig",
    "ExactConfig": "seqtant.quantum.config:ExactConfig",
    "GroundStateConfig": "seqtant.quantum.config:GroundStateConfig",
    "ImportFlowketConfig": "seqtant.quantum.config:ImportFlowketConfig",
    "NetworkConfig": "seqtant.quantum.config:NetworkConfig",
    "ObserveConfig": "seqtant.quantum.config:ObserveConfig",
    "OptimiserConfig": "seqtant.quantum.config:OptimiserConfig",
    "SampleConfig": "seqtant.quantum.config:SampleConfig",
    "SystemConfig": "seqtant.quantum.config:SystemConfig",
    "TransferConfig": "seqtant.quantum.config:TransferConfig",
    "Couplings": "seqtant.quantum.hamiltonians:Couplings",
    "HAMILTONIANS": "seqtant.quantum.hamiltonians:HAMILTONIANS",
    "Hamiltonian": "seqtant.quantum.local_energy:Hamiltonian",
    "Lattice": "seqtant.quantum.lattices:Lattice",
    "PauliSum": "seqtant.quantum.pauli:PauliSum",
    "String": "seqtant.quantum.pauli:String",
    "System": "seqtant.quantum.systems:System",
    "ground_state": "seqtant.quantum.exact:ground_state",
    "load_state": "seqtant.quantum.checkpoint:load_state",
    "read_operators": "seqtant.quantum.operator_lists:read_operators",
    "symmetry_group": "seqtant.quantum.symmetries:symmetry_group",
    "train": "seqtant.quantum.ground_states:train",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604  (the names are lazy, see __getattr__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.quantum' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
