"""Control vectors in GGUF, as llama.cpp and repeng read them, by its strict rules.

llama.cpp takes one 1-D float32 tensor ``direction.<k>`` per block, adds it to the output of block k, refuses k = 0, and
keeps what an earlier file left in blocks that a file does not name: so every block from 1 on is written, with zeros
where nothing is steered. It knows no strength but its own flag: ours is multiplied in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqtant.errors import InputError
from seqtant.optional import require
from seqtant.runs.files import whole_file
from seqtant.steering.vectors.vector import LayerFacts, Origin, SteeringVector

ARCHITECTURE = "controlvector"
EXTRA = "gguf"


def write_gguf(vector: SteeringVector, path: Path, *, strength: float = 1.0, depth: int | None = None) -> None:
    """Writes a control vector.

    Args:
        vector: The vector; block 0 cannot be among its blocks.
        path: File to write.
        strength: Multiplied into the directions.
        depth: Number of blocks of the model; by default the vector's own record.

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
    if fields.get("general.architecture") != ARCHITECTURE:
        raise InputError(f"'{path}' is no control vector: its architecture is {fields.get('general.architecture')!r}")
    directions, facts = {}, {}
    for tensor in reader.tensors:
        layer = _layer(tensor, gguf, path)
        row = torch.from_numpy(np.array(tensor.data, dtype=np.float32))
        if not bool(torch.isfinite(row).all()):
            raise InputError(f"'{path}': the direction of block {layer} is not finite")
        if float(row.norm()) > 0:
            directions[layer] = row
            facts[layer] = LayerFacts(raw_norm=float(row.norm()))
    if not directions:
        raise InputError(f"'{path}' holds no direction that is not zero")
    return SteeringVector(directions, facts, Origin(model_type=str(fields.get(f"{ARCHITECTURE}.model_hint", ""))))


def _layer(tensor: Any, gguf: Any, path: Path) -> int:
    kind, _, number = str(tensor.name).partition(".")
    if kind != "direction" or not number.isdecimal() or int(number) == 0:
        raise InputError(f"'{path}' holds a tensor '{tensor.name}': a control vector has direction.1, direction.2, ...")
    if tensor.tensor_type != gguf.GGMLQuantizationType.F32 or len(tensor.shape) != 1:
        raise InputError(f"'{path}': '{tensor.name}' must be one row of float32 numbers")
    return int(number)
