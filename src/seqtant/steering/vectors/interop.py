"""To and from the vector objects of repeng and steering-vectors, which name blocks and hold lengths as we do.

Neither library is needed to write: each object is made by its own class, which the caller hands over or which is
imported from the library where it is installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from seqtant.optional import require
from seqtant.steering.vectors.vector import LayerFacts, Origin, SteeringVector


def to_repeng(vector: SteeringVector, strength: float = 1.0, *, kind: Any = None) -> Any:
    """A ``repeng.ControlVector``: block number -> float32 direction, to be used with coefficient 1.

    Args:
        vector: The vector.
        strength: Multiplied in.
        kind: The class; by default repeng's own.

    Raises:
        MissingExtraError: repeng is not installed and no class was given.
    """
    kind = kind or require("repeng", extra="gguf").ControlVector
    rows = {layer: (strength * row).numpy().astype(np.float32) for layer, row in vector.directions.items()}
    return kind(model_type=vector.origin.model_type, directions=rows)


def from_repeng(control: Any) -> SteeringVector:
    """Our vector from a ``repeng.ControlVector``; the length of each direction is kept as its raw norm."""
    rows = {int(layer): torch.from_numpy(np.asarray(row, np.float32)) for layer, row in control.directions.items()}
    return _from_rows(rows, Origin(model_type=str(control.model_type)))


def to_steering_vectors(vector: SteeringVector, strength: float = 1.0, *, kind: Any = None) -> Any:
    """A ``steering_vectors.SteeringVector``: block number -> activation, to be used with multiplier 1.

    Args:
        vector: The vector.
        strength: Multiplied in.
        kind: The class; by default the library's own.

    Raises:
        MissingExtraError: The library is not installed and no class was given.
    """
    kind = kind or require("steering_vectors", extra="gguf").SteeringVector
    rows = {layer: strength * row for layer, row in vector.directions.items()}
    return kind(layer_activations=rows, layer_type="decoder_block")


def from_steering_vectors(other: Any) -> SteeringVector:
    """Our vector from a ``steering_vectors.SteeringVector``; lengths are kept as raw norms."""
    rows = {int(layer): row.detach().float() for layer, row in other.layer_activations.items()}
    return _from_rows(rows, Origin())


def _from_rows(rows: dict[int, torch.Tensor], origin: Origin) -> SteeringVector:
    facts = {layer: LayerFacts(raw_norm=float(row.norm())) for layer, row in rows.items()}
    return SteeringVector(rows, facts, origin)
