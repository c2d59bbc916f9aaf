"""Imports the official network's weights (HDF5) as a trained state, measures its energy, and checks what was read.

    python recipes/quantum/import_flowket.py WEIGHTS.h5 --lattice 12x12 --field 3.0 --out DIR
    seqtant quantum observe DIR

Without WEIGHTS the reader is checked: a small random network is written in the official layout and read back. Needs
``pip install 'seqtant[quantum]'``.

Layout: groups ``weight_normalization[_n]`` with n = 5 block + {0 vertical, 1 horizontal, 2 left, 3 above, 4 merged},
each with ``kernel:0`` (height, width, inputs, outputs), ``g:0`` and ``bias:0``; the head is a plain convolution. The
gain is stored as its logarithm.

Source: the official code of Sharir et al., Phys. Rev. Lett. 124, 020503 (2020) (``ConvNetAutoregressive2D``).
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtant.errors import InputError, SeqtantError
from seqtant.findings import Result
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.stacks import paper_two_stack
from seqtant.optional import require
from seqtant.quantum.config import NetworkConfig, SystemConfig
from seqtant.quantum.observation import Hamiltonian, evaluate
from seqtant.quantum.training.checkpoint import RECORD, WEIGHTS, Record, save_state
from seqtant.quantum.training.distributed import generator_for
from seqtant.quantum.training.systems import System
from seqtant.runs.files import make_folder
from seqtant.runs.recorder import Context, Recorder
from seqtant.settings import build, hash_of, plain

SAMPLES = 64
"""Configurations that the energy of an imported state is measured on: the published network is deep."""
PARTS = ("vertical", "horizontal", "left", "above", "merged")
_GROUP = re.compile(r"^weight_normalization(?:_(\d+))?$")


def import_flowket(weights: Path | None, system_config: SystemConfig, context: Context) -> Result:
    """Reads weights of the official network into a state, and measures its energy.

    Args:
        weights: HDF5 file in the official layout; None checks the reader on a small random network.
        system_config: Lattice and Hamiltonian that the weights were trained for.
        context: Seed, and the folder that the state is written to.

    Returns:
        ``energy_per_site`` with ``energy_error``, ``variance`` and ``parameters``; without weights the
        ``round_trip_difference`` of log psi.

    Raises:
        InputError: The file is missing or has another layout.
        MissingExtraError: h5py is not installed.
    """
    system = System.of(system_config)
    settings = {"weights": str(weights or ""), **plain(system_config)}
    title = f"Official weights on {system.lattice}"
    with Recorder("quantum.import_flowket", title, settings, context, papers=(9,)) as record:
        shape, seed = system.lattice.shape, context.seed
        if weights is not None:
            state = read_flowket(weights, shape)
        else:
            network = CausalNetwork(paper_two_stack(3, 4), shape, generator_for(seed, 0), "both")
            written = CausalState(network, "complex")
            with tempfile.TemporaryDirectory() as folder:
                write_flowket(written, Path(folder) / "weights.h5")
                state = read_flowket(Path(folder) / "weights.h5", shape)
            spins = written.sample(32, generator_for(seed, 1))
            with torch.no_grad():
                pairs = zip(written.log_psi(spins), state.log_psi(spins), strict=True)
                record.value("round_trip_difference", max(float((a - b).abs().max()) for a, b in pairs))
        energy = evaluate(state, Hamiltonian(system.pauli), SAMPLES, generator_for(seed, 9))
        per_site = energy.per_site(system.sites)
        record.values(
            parameters=state.network.count_parameters(),
            energy_per_site=energy.total / system.sites,
            energy=energy.total,
            energy_error=energy.error / system.sites,
            variance=energy.variance,
        )
        summary = f"{per_site} per site; {system.pauli.convention}"
        question = "What energy does the imported state have?"
        record.finding("energy_per_site", question, "agrees", summary, measured=per_site)
        if context.folder is not None:
            graph = state.network.graph
            depth = sum(node.name.endswith("_merged") for node in graph.nodes) // 2 + 1
            width = graph.channels["block0_merged"]
            network = NetworkConfig(name="paper", depth=depth, width=width, kind=state.kind, magnetization=None)
            save_state(context.folder, state, Record(system_config, network, 0, seed, hash_of(settings)))
            record.artifact(context.folder / WEIGHTS, "weights of the state")
            record.artifact(context.folder / RECORD, "record of the state")
    return record.result


def read_flowket(path: Path, shape: tuple[int, int]) -> CausalState:
    """Reads official weights into a state, complex if they have phases, else positive.

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

    if not path.is_file():
        raise InputError(f"no file '{path}': give an HDF5 weight file of the official network")
    h5py = require("h5py", extra="quantum")
    try:
        with h5py.File(path, "r") as file:
            file.visititems(collect)
    except OSError as error:
        raise InputError(f"'{path}' is not an HDF5 file: {error}") from error
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
def _fill(network: CausalNetwork, name: str, group: dict[str, Tensor], path: Path) -> None:
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


def main(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; errors become one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="?", type=Path, help="HDF5 file in the official layout")
    parser.add_argument("--hamiltonian", default="tfim", help="Hamiltonian it was trained for")
    parser.add_argument("--lattice", default="12x12", help="lattice of the state")
    parser.add_argument("--field", default="3.0", help="transverse field it was trained for")
    parser.add_argument("--boundary", default="open", help="boundary it was trained for: open or periodic")
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples that the energy is measured on")
    parser.add_argument("--out", type=Path, help="folder for the state and the record")
    given = vars(parser.parse_args(arguments))
    weights, out, seed = given.pop("weights"), given.pop("out"), given.pop("seed")
    try:
        system = build(SystemConfig, given)
        if out is not None:
            make_folder(out)
        command = shlex.join(["python", "recipes/quantum/import_flowket.py", *arguments])
        result = import_flowket(weights, system, Context(seed=seed, folder=out, command=command))
    except SeqtantError as error:
        sys.stderr.write(f"import_flowket: {' '.join(str(error).split())}\n")
        return error.exit_code
    sys.stdout.write(f"{result}\n")
    if out is not None:
        result.save(out / "result.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
