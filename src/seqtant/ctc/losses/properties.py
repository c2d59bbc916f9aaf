"""What a property is: a rule that turns a sampled path into a better one. And the registry that users add to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqtant.ctc.lattice.paths import PathBatch
from seqtant.registry import Registry


@dataclass(frozen=True)
class Edit:
    """Better paths made from sampled ones.

    Args:
        paths: Labels, shape (B, N, T); equal to the sampled path where nothing could be improved.
        changed: Whether a path was improved, shape (B, N). Only these pairs contribute to the loss.
    """

    paths: Int[Tensor, "B N T"]
    changed: Bool[Tensor, "B N"]


@runtime_checkable
class Property(Protocol):
    """A property that alignments may have more or less of.

    Example:
        >>> from seqtant.ctc.losses.low_latency import LowLatency
        >>> isinstance(LowLatency(), Property)
        True
    """

    @property
    def keeps_text(self) -> bool:
        """Whether an edit never changes what the path says."""
        ...

    @property
    def needs_targets(self) -> bool:
        """Whether an edit looks at the reference."""
        ...

    def edit(self, batch: PathBatch, generator: torch.Generator | None = None) -> Edit:
        """Makes one better path of each sampled path, of the same length, touching only frames that count."""
        ...

    def cost(self, batch: PathBatch) -> Float[Tensor, "B N"]:
        """What the property wants less of; strictly lower on every changed path."""
        ...


PROPERTIES: Registry[type[Property]] = Registry(
    "CTC property",
    group="seqtant.ctc_properties",
    entries={
        "low-latency": "seqtant.ctc.losses.low_latency:LowLatency",
        "minimum-wer": "seqtant.ctc.losses.minimum_wer:MinimumWER",
    },
)


def as_property(item: Property | str) -> Property:
    """A property object, or the registered one of that name with its defaults.

    Raises:
        InputError: No property has that name.

    Example:
        >>> as_property("low-latency").shifts
        1
    """
    return PROPERTIES[item]() if isinstance(item, str) else item
