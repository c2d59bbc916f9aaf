"""Converts steering vectors to and from GGUF files of llama.cpp and objects of repeng and steering-vectors.

llama.cpp takes one 1-D float32 tensor ``direction.<k>`` per block, adds it to the output of block k, refuses k = 0, and
keeps what an earlier file left in blocks that a file does not name: so every block from 1 on is written, with zeros
where nothing is steered. It knows no strength but its own flag: ours is multiplied in.

Neither repeng nor steering-vectors is needed to write: each object is made by its own class, which the caller hands
over or which is imported from the library where it is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqtant.errors import InputError
from seqtant.optional import require
from seqtant.runs.files import whole_file
from seqtant.steering.vectors.vector import LayerFacts, Origin, SteeringVector

ARCHITECTURE = "controlvector"
WRITTEN = (ARCHITECTURE, "steeringvector")
"""Architectures under which control vectors are written; llama.cpp reads the names of the tensors only."""
EXTRA = "gguf"


def write_gguf(vector: SteeringVector, path: Path, *, strength: float = 1.0, depth: int | None = None) -> None:
    """Writes a control vector, its strength multiplied in; the model's depth is by default on the vector's record.

    Raises:
        InputError: The vector steers block 0, or the depth is not known.
        MissingExtraError: The library ``gguf`` is not installed.
    """
    gguf = require("gguf", extra=EXTRA)
    count = depth or vector.origin.depth
    if 0 in vector.layers:
        raise InputError("llama.cpp rejects a control vector for block 0: steer blocks from 1 on (--layers 1,2,...)")
    if count <= vector.layers[-1]:
        raise InputError("the number of the model's blocks is not known: give the model that the vector steers")
    zero = np.zeros(vector.width, dtype=np.float32)
    with whole_file(path) as temporary:
        writer = gguf.GGUFWriter(str(temporary), ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", vector.origin.model_type)
        # Block 0 has no tensor in this format, so there is one layer fewer than blocks.
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", count - 1)
        for layer in range(1, count):
            row = (strength * vector.directions[layer]).numpy() if layer in vector.layers else zero
            # float64 would be written as a type that llama.cpp refuses.
            writer.add_tensor(f"direction.{layer}", np.ascontiguousarray(row, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def read_gguf(path: Path) -> SteeringVector:
    """Reads a control vector; the length of each direction is kept as its raw norm.

    Raises:
        InputError: The file is missing, no control vector, or breaks llama.cpp's rules.
        MissingExtraError: The library ``gguf`` is not installed.
    """
    gguf = require("gguf", extra=EXTRA)
    if not path.is_file():
        raise InputError(f"no file '{path}': give a control vector in GGUF")
    try:
        reader = gguf.GGUFReader(str(path))
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise InputError(f"'{path}' is no readable GGUF file: {str(error).splitlines()[0]}") from error
    fields = {name: field.contents() for name, field in reader.fields.items()}
    kind = fields.get("general.architecture")
    if kind not in WRITTEN:
        raise InputError(f"'{path}' is no control vector: its architecture is {kind!r}")
    rows: dict[int, torch.Tensor] = {}
    for tensor in reader.tensors:
        part, _, number = str(tensor.name).partition(".")
        if part != "direction" or not number.isdecimal() or int(number) == 0:
            raise InputError(
                f"'{path}' holds a tensor '{tensor.name}': a control vector has direction.1, direction.2, ..."
            )
        if tensor.tensor_type != gguf.GGMLQuantizationType.F32 or len(tensor.shape) != 1:
            raise InputError(f"'{path}': '{tensor.name}' must be one row of float32 numbers")
        row = torch.from_numpy(np.array(tensor.data, dtype=np.float32))
        if not bool(torch.isfinite(row).all()):
            raise InputError(f"'{path}': the direction of block {int(number)} is not finite")
        if float(row.norm()) > 0:  # zeros stand for blocks that are not steered
            rows[int(number)] = row
    if not rows:
        raise InputError(f"'{path}' holds no direction that is not zero")
    return _from_rows(rows, Origin(model_type=str(fields.get(f"{kind}.model_hint", ""))))


def to_repeng(vector: SteeringVector, strength: float = 1.0, *, kind: Any = None) -> Any:
    """Makes a ``repeng.ControlVector``: block number -> float32 direction, to be used with coefficient 1.

    Raises:
        MissingExtraError: repeng is not installed and no class was given.
    """
    kind = kind or require("repeng", extra=EXTRA).ControlVector
    rows = {layer: (strength * row).numpy().astype(np.float32) for layer, row in vector.directions.items()}
    return kind(model_type=vector.origin.model_type, directions=rows)


def from_repeng(control: Any) -> SteeringVector:
    """Makes a vector of a ``repeng.ControlVector``; the length of each direction is kept as its raw norm."""
    rows = {int(layer): torch.from_numpy(np.asarray(row, np.float32)) for layer, row in control.directions.items()}
    return _from_rows(rows, Origin(model_type=str(control.model_type)))


def to_steering_vectors(vector: SteeringVector, strength: float = 1.0, *, kind: Any = None) -> Any:
    """Makes a ``steering_vectors.SteeringVector``: block number -> activation, to be used with multiplier 1.

    Raises:
        MissingExtraError: The library is not installed and no class was given.
    """
    kind = kind or require("steering_vectors", extra=EXTRA).SteeringVector
    rows = {layer: strength * row for layer, row in vector.directions.items()}
    return kind(layer_activations=rows, layer_type="decoder_block")


def from_steering_vectors(other: Any) -> SteeringVector:
    """Makes a vector of a ``steering_vectors.SteeringVector``; lengths are kept as raw norms."""
    rows = {int(layer): row.detach().float() for layer, row in other.layer_activations.items()}
    return _from_rows(rows, Origin())


def _from_rows(rows: Mapping[int, torch.Tensor], origin: Origin) -> SteeringVector:
    facts = {layer: LayerFacts(raw_norm=float(row.norm())) for layer, row in rows.items()}
    return SteeringVector(rows, facts, origin)
