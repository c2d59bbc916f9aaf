"""The official network's weight files (HDF5), read and written, so that published states can be evaluated.

Layout: groups ``weight_normalization[_n]`` with n = 5 block + {0 vertical, 1 horizontal, 2 left, 3 above, 4 merged},
each with ``kernel:0`` (height, width, inputs, outputs), ``g:0`` and ``bias:0``; the head is a plain convolution. The
gain is stored as its logarithm.

Source: the official code of Sharir et al., Phys. Rev. Lett. 124, 020503 (2020) (``ConvNetAutoregressive2D``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtant.errors import InputError
from seqtant.models.wavefunctions.causal_graph import Node
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.stacks import paper_two_stack
from seqtant.optional import require

PARTS = ("vertical", "horizontal", "left", "above", "merged")
_GROUP = re.compile(r"^weight_normalization(?:_(\d+))?$")


def import_flowket(path: Path, shape: tuple[int, int]) -> CausalState:
    """Reads an official weight file into a state.

    Args:
        path: HDF5 file.
        shape: Rows and columns of the lattice.

    Returns:
        A complex state if the file has phases, else a positive one.

    Raises:
        InputError: The file is missing or has another layout.
        MissingExtraError: h5py is not installed.
    """
    if not path.is_file():
        raise InputError(f"no file '{path}': give an HDF5 weight file of the official network")
    h5py = require("h5py", extra="quantum")
    try:
        with h5py.File(path, "r") as file:
            arrays = _collect(file)
    except OSError as error:
        raise InputError(f"'{path}' is not an HDF5 file: {error}") from error
    convolutions = {name: group for name, group in arrays.items() if _GROUP.match(name)}
    heads = [group for name, group in arrays.items() if name not in convolutions and "kernel:0" in group]
    if len(heads) != 1 or len(convolutions) % 5 or len(convolutions) < 10:
        raise InputError(
            f"'{path}' has {len(convolutions)} weight-normalized convolutions and {len(heads)} plain ones: "
            "the official layout has 5 per block and one"
        )
    numbers = [int(_GROUP.match(name)[1] or 0) for name in convolutions]  # type: ignore[index]
    ordered = [group for _, group in sorted(zip(numbers, convolutions.values(), strict=True), key=lambda pair: pair[0])]
    return _assemble(ordered, heads[0], shape, path)


def _collect(file: Any) -> dict[str, dict[str, Tensor]]:
    """All datasets by layer; Keras nests a layer's datasets under its name once more."""
    found: dict[str, dict[str, Tensor]] = {}

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "shape"):
            parts = name.split("/")
            layer = next((part for part in parts if _GROUP.match(part)), parts[0])
            found.setdefault(layer, {})[parts[-1]] = torch.from_numpy(item[()])

    file.visititems(visit)
    return found


def _assemble(
    ordered: list[dict[str, Tensor]], head: dict[str, Tensor], shape: tuple[int, int], path: Path
) -> CausalState:
    first = ordered[0]["kernel:0"]
    kernel, width, outputs = first.shape[0], first.shape[-1], head["kernel:0"].shape[-1]
    graph = paper_two_stack(len(ordered) // 10 + 1, width, outputs, kernel)
    network = CausalNetwork(graph, shape, torch.Generator().manual_seed(0))
    for number, group in enumerate(ordered):
        block, part = divmod(number, 5)
        _fill(network, f"block{block}_{PARTS[part]}", group, path)
    _fill(network, "output", head, path)
    return CausalState(network, "complex" if outputs == 4 else "positive")


@torch.no_grad()
def _fill(network: CausalNetwork, name: str, group: dict[str, Tensor], path: Path) -> None:
    weights = network.weights(name)
    node = next(node for node in network.graph.nodes if node.name == name)
    kernel = group["kernel:0"]
    start = 0
    for tap, target in zip(node.taps, weights.taps, strict=True):
        part = kernel[:, :, start : start + target.shape[1]].flatten(0, 1)
        if part.shape != target.shape:
            raise InputError(f"'{path}': kernel of {name} has shape {tuple(kernel.shape)}, not that of the network")
        target.copy_(part)
        start += target.shape[1]
        _check_order(tap.offsets)
    if weights.bias is not None:
        weights.bias.copy_(group["bias:0"])
    if weights.log_gain is not None:
        weights.log_gain.copy_(group["g:0"].flatten())


def _check_order(offsets: tuple[tuple[int, int], ...]) -> None:
    if list(offsets) != sorted(offsets):
        raise ValueError("kernels are stored row by row; so must the offsets be")


def export_flowket(state: CausalState, path: Path) -> None:
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
            _write(file.create_group(f"{name}/{name}"), network, node)


def _write(group: Any, network: CausalNetwork, node: Node) -> None:
    weights = network.weights(node.name)
    rows = len({row for row, _ in node.taps[0].offsets})
    kernel = torch.cat([tap.detach().unflatten(0, (rows, -1)) for tap in weights.taps], dim=2)
    group["kernel:0"] = kernel.numpy()
    if weights.bias is not None:
        group["bias:0"] = weights.bias.detach().numpy()
    if weights.log_gain is not None:
        group["g:0"] = weights.log_gain.detach().numpy()
