"""The flags that every instrument command takes; everything else goes through the configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from seqtant.boundary import parse_size
from seqtant.errors import InputError
from seqtant.findings import Scale


def _whole(kind: Any, tokens: Any) -> int:
    """Reads a whole number such as 768 or 32K; cyclopts alone would round 1.5 in silence."""
    text = tokens[0].value
    try:
        number = parse_size(text)
    except InputError:
        number = math.nan
    if not number.is_integer():
        raise ValueError(f"'{text}' is not a whole number")
    return int(number)


def _size(kind: Any, tokens: Any) -> float:
    return parse_size(tokens[0].value)


def _listed(kind: Any, tokens: Any) -> tuple[Any, ...]:
    """Reads ``0.2,0.5`` and repeated flags alike."""
    read = _whole if kind.__args__[0] is int else _size
    return tuple(read(kind, [token.evolve(value=part)]) for token in tokens for part in token.value.split(",") if part)


Wholes = Annotated[tuple[int, ...], Parameter(converter=_listed, n_tokens=1, negative="")]
"""Type of a flag that takes whole numbers with commas between, or one each time it is given."""

Sizes = Annotated[tuple[float, ...], Parameter(converter=_listed, n_tokens=1, negative="")]
"""Type of a flag that takes numbers likewise."""

Size = Annotated[float, Parameter(converter=_size)]
"""Type of a flag that takes a number, such as 0.05 or 1.3B."""

Whole = Annotated[int, Parameter(converter=_whole)]
"""Type of a flag that takes a whole number."""

WholeOrAll = Annotated[
    int | Literal["all"],
    Parameter(converter=lambda kind, tokens: "all" if tokens[0].value == "all" else _whole(kind, tokens)),
]
"""Type of a flag that takes a whole number or the word ``all``."""

Flag = Annotated[bool, Parameter(negative="")]
"""Type of a flag that is given or not, without a ``--no-`` form."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags shared by every command."""

    config: Path | None = None
    """YAML file with the configuration."""
    set: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Override one value: --set section.key=value (may be repeated)."""
    preset: Scale | None = None
    """Start from the configuration of this scale."""
    seed: Whole = 0
    """Seed of every random draw."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, or mps for training."""
    out: Path | None = None
    """Folder for result.json, report.html and artifacts."""
    json: Flag = False
    """Print the result as one JSON object on stdout and nothing else."""
    print_config: Flag = False
    """Print the resolved configuration as YAML and stop."""


DEFAULT = Options()
