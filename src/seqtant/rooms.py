"""Names that packages which are not converted yet import."""

from typing import Any

from seqtant import instruments
from seqtant.instruments import run as dispatch


def config_type(instrument: str) -> Any:
    """Finds the configuration class of an instrument."""
    return instruments.config_type(instrument)


__all__ = ["config_type", "dispatch"]
