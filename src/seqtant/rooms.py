# ruff: noqa: PLC0414
"""Names that packages which are not converted yet import."""

from seqtant.instruments import config_type as config_type
from seqtant.instruments import run as dispatch

__all__ = ["config_type", "dispatch"]
