"""Imports the official network's weights (HDF5) as a state, and checks what was read.

Layout: groups ``weight_normalization[_n]`` with n = 5 block + {0 vertical, 1 horizontal, 2 left, 3 above, 4 merged},
each with ``kernel:0`` (height, width, inputs, outputs), ``g:0`` and ``bias:0``; the head is a plain convolution. The
gain is stored as its logarithm.

Source: the official code of Sharir et al., Phys. Rev. Lett. 124, 020503 (2020) (``ConvNetAutoregressive2D``).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.stacks import paper_two_stack
from seqtant.optional import require
from seqtant.quantum.config import ImportFlowketConfig, NetworkConfig, SystemConfig
from seqtant.quantum.observation import Hamiltonian, evaluate
from seqtant.quantum.training.checkpoint import RECORD, WEIGHTS, Record, save_state
from seqtant.quantum.training.distributed import generator_for
from seqtant.quantum.training.systems import System
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.settings import config_hash
from seqtant.sources import is_path

SAMPLES = 64
"""Configurations that the energy of an imported state is measured on: the published network is deep."""
PARTS = ("vertical", "horizontal", "left", "above", "merged")
_GROUP = re.compile(r"^weight_normalization(?:_(\d+))?$")


@verb(ImportFlowketConfig)
def import_flowket(config: ImportFlowketConfig, context: Context) -> Result:
    """Imports weights of the official network into a state, and measures its energy.

    Without weights the reader is checked: a small random network is written in the official layout and read back.

    Returns:
        ``energy_per_site`` with ``energy_error``, ``variance`` and ``parameters``; without weights the
        ``round_trip_difference`` of log psi. With ``out``, the state.

    Raises:
        InputError: The file is missing or has another layout.
        MissingExtraError: h5py is not installed.

    Example:
        >>> from seqtant.quantum import import_flowket
        >>> import_flowket(lattice="2x2").values["round_trip_difference"]  # doctest: +SKIP
        0.0
    """
    system_config = SystemConfig(config.hamiltonian, config.lattice, field=config.field, boundary=config.boundary)
    system = System.of(system_config)
    title = f"Official weights on {system.lattice}"
    with Recorder("quantum.import-flowket", title, config, context, papers=(9,)) as record:
        shape, seed = system.lattice.shape, context.seed
        if not is_path(config.weights) or config.weights:
            state = read_flowket(config.weights, shape)
        else:
            # Without a file the reader is checked: a random network is written, read back and compared.
            network = CausalNetwork(paper_two_stack(3, 4), shape, generator_for(seed, 0), "both")
            written = CausalState(network, "complex")
            with tempfile.TemporaryDirectory() as folder:
                write_flowket(written, Path(folder) / "weights.h5")
                state = read_flowket(Path(folder) / "weights.h5", shape)
            spins = written.sample(32, generator_for(seed, 1))
            with torch.no_grad():
                pairs = zip(written.log_psi(spins), state.log_psi(spins), strict=True)
                record.value("round_trip_difference", max(float((a - b).abs().max()) for a, b in pairs))
        generator = generator_for(seed, 9)
        energy = evaluate(state, Hamiltonian(system.pauli), SAMPLES, generator, progress=context.progress)
        per_site = energy.per_site(system.sites)
        record.value("parameters", state.network.count_parameters())
        record.value("energy_per_site", energy.total / system.sites)
        record.value("energy", energy.total)
        record.value("energy_error", energy.error / system.sites)
        record.value("variance", energy.variance)
        summary = f"{per_site} per site; {system.pauli.convention}"
        question = "What energy does the imported state have?"
        record.finding("energy_per_site", question, "agrees", summary, measured=per_site)
        if context.folder is not None:
            graph = state.network.graph
            depth = sum(node.name.endswith("_merged") for node in graph.nodes) // 2 + 1
            width = graph.channels["block0_merged"]
            network = NetworkConfig(name="paper", depth=depth, width=width, kind=state.kind, magnetization=None)
            save_state(context.folder, state, Record(system_config, network, 0, seed, config_hash(config)))
            record.artifact(context.folder / WEIGHTS, "weights of the state")
            record.artifact(context.folder / RECORD, "record of the state")
    return record.result


def read_flowket(source: Any, shape: tuple[int, int]) -> CausalState:
    """Reads official weights into a state, complex if they have phases, else positive.

    ``source`` is an HDF5 file, or its arrays by layer and name: ``{"conv2d": {"kernel:0": ...}, ...}``.

    Raises:
        InputError: The file is missing or has another layout.
        MissingExtraError: h5py is not installed.
    """
    arrays: dict[str, dict[str, Tensor]] = {}

    def collect(name: str, item: Any) -> None:
        # Keras nests a layer's datasets under its name once more.
        if hasattr(item, "shape"):
            parts = name.split("/")
            layer = next((part for part in parts if _GROUP.match(part)), parts[0])
            arrays.setdefault(layer, {})[parts[-1]] = torch.as_tensor(item[()])
        elif isinstance(item, Mapping):
            for key, value in item.items():
                collect(f"{name}/{key}" if name else str(key), value)

    if is_path(source):
        path = Path(source)
        if not path.is_file():
            raise InputError(f"no file '{path}': give an HDF5 weight file of the official network")
        h5py = require("h5py", extra="quantum")
        try:
            with h5py.File(path, "r") as file:
                file.visititems(collect)
        except OSError as error:
            raise InputError(f"'{path}' is not an HDF5 file: {error}") from error
    elif isinstance(source, Mapping):
        path = "the weights"
        collect("", source)
    else:
        raise InputError(f"{source!r:.60} holds no weights: give an HDF5 file, or arrays by layer and name")
    numbered = {int(match[1] or 0): group for name, group in arrays.items() if (match := _GROUP.match(name))}
    heads = [group for name, group in arrays.items() if not _GROUP.match(name) and "kernel:0" in group]
    if len(heads) != 1 or len(numbered) % 5 or len(numbered) < 10:
        raise InputError(
            f"'{path}' has {len(numbered)} weight-normalized convolutions and {len(heads)} plain ones: "
            "the official layout has 5 per block and one"
        )
    head, first = heads[0], numbered[min(numbered)]["kernel:0"]
    kernel, width, outputs = first.shape[0], first.shape[-1], head["kernel:0"].shape[-1]
    graph = paper_two_stack(len(numbered) // 10 + 1, width, outputs, kernel)
    network = CausalNetwork(graph, shape, torch.Generator().manual_seed(0))
    for place, (_, group) in enumerate(sorted(numbered.items())):
        block, part = divmod(place, 5)
        _fill(network, f"block{block}_{PARTS[part]}", group, path)
    _fill(network, "output", head, path)
    return CausalState(network, "complex" if outputs == 4 else "positive")


@torch.no_grad()
def _fill(network: CausalNetwork, name: str, group: dict[str, Tensor], path: Path | str) -> None:
    weights = network.weights(name)
    kernel = group["kernel:0"]
    # A kernel holds the inputs of all taps one after another; its places run row by row, as the offsets do.
    start = 0
    for target in weights.taps:
        part = kernel[:, :, start : start + target.shape[1]].flatten(0, 1)
        if part.shape != target.shape:
            raise InputError(f"'{path}': kernel of {name} has shape {tuple(kernel.shape)}, not that of the network")
        target.copy_(part)
        start += target.shape[1]
    if weights.bias is not None:
        weights.bias.copy_(group["bias:0"])
    if weights.log_gain is not None:
        weights.log_gain.copy_(group["g:0"].flatten())


def write_flowket(state: CausalState, path: Path) -> None:
    """Writes a published-network state in the official layout.

    Raises:
        MissingExtraError: h5py is not installed.
    """
    h5py = require("h5py", extra="quantum")
    network = state.network
    with h5py.File(path, "w") as file:
        for node in network.graph.nodes:
            match = re.match(r"^block(\d+)_(\w+)$", node.name)
            if not node.taps:
                continue
            name = "conv2d"
            if match and match[2] in PARTS:
                number = 5 * int(match[1]) + PARTS.index(match[2])
                name = f"weight_normalization_{number}" if number else "weight_normalization"
            group = file.create_group(f"{name}/{name}")
            weights = network.weights(node.name)
            rows = len({row for row, _ in node.taps[0].offsets})
            kernel = torch.cat([tap.detach().unflatten(0, (rows, -1)) for tap in weights.taps], dim=2)
            group["kernel:0"] = kernel.numpy()
            if weights.bias is not None:
                group["bias:0"] = weights.bias.detach().numpy()
            if weights.log_gain is not None:
                group["g:0"] = weights.log_gain.detach().numpy()
