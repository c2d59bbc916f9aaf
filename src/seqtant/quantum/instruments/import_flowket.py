"""Reads the official network's weights into a state of ours, and checks what was read."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from seqtant.findings import Result
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.stacks import paper_two_stack
from seqtant.quantum.config import ImportFlowketConfig, NetworkConfig, SystemConfig
from seqtant.quantum.flowket import export_flowket, import_flowket
from seqtant.quantum.observation.evaluation import Energy, evaluate
from seqtant.quantum.operators.local_energy import Hamiltonian
from seqtant.quantum.training.checkpoint import RECORD, WEIGHTS, Record, save_state
from seqtant.quantum.training.rng import generator_for
from seqtant.quantum.training.systems import System
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.settings import config_hash

SAMPLES = 64
"""Configurations that the energy of an imported state is measured on: the published network is deep."""


def run(config: ImportFlowketConfig, context: Context) -> Result:
    """Imports a weight file.

    Raises:
        InputError: The file is missing or has another layout.
        MissingExtraError: h5py is not installed.
    """
    system_config = SystemConfig(
        hamiltonian=config.hamiltonian, lattice=config.lattice, field=config.field, boundary=config.boundary
    )
    system = System.of(system_config)
    with Recorder(
        "quantum.import-flowket", f"Official weights on {system.lattice}", config, context, papers=(9,)
    ) as record:
        state, difference = _read(config, system, context.seed)
        if difference is not None:
            record.value("round_trip_difference", difference)
        energy = evaluate(
            state, Hamiltonian(system.pauli), SAMPLES, generator_for(context.seed, 9), progress=context.progress
        )
        _report(record, system, state, energy)
        if context.folder is not None:
            graph = state.network.graph
            blocks = sum(node.name.endswith("_merged") for node in graph.nodes)
            width = graph.channels["block0_merged"]
            network = NetworkConfig(
                name="paper", depth=blocks // 2 + 1, width=width, kind=state.kind, magnetization=None
            )
            save_state(context.folder, state, Record(system_config, network, 0, context.seed, config_hash(config)))
            record.artifact(context.folder / WEIGHTS, "weights of the state")
            record.artifact(context.folder / RECORD, "record of the state")
    return record.result


def _read(config: ImportFlowketConfig, system: System, seed: int) -> tuple[CausalState, float | None]:
    """The state, and for the self-check how far its amplitudes are from those of what was written."""
    if config.weights:
        return import_flowket(Path(config.weights), system.lattice.shape), None
    network = CausalNetwork(paper_two_stack(3, 4), system.lattice.shape, generator_for(seed, 0), "both")
    written = CausalState(network, "complex")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.h5"
        export_flowket(written, path)
        state = import_flowket(path, system.lattice.shape)
    spins = written.sample(32, generator_for(seed, 1))
    with torch.no_grad():
        pairs = zip(written.log_psi(spins), state.log_psi(spins), strict=True)
        return state, max(float((a - b).abs().max()) for a, b in pairs)


def _report(record: Recorder, system: System, state: CausalState, energy: Energy) -> None:
    sites, per_site = system.sites, energy.per_site(system.sites)
    record.value("parameters", state.network.count_parameters())
    record.value("energy_per_site", energy.total / sites)
    record.value("energy", energy.total)
    record.value("energy_error", energy.error / sites)
    record.value("variance", energy.variance)
    record.finding(
        "energy_per_site",
        "What energy does the imported state have?",
        "agrees",
        f"{per_site} per site; {system.pauli.convention}",
        measured=per_site,
    )
