"""Seqtant: nine research results on sequence models as instruments for your own models.

Importing this package loads neither torch nor transformers; the public names below are imported when first used.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Estimate": "seqtant.findings:Estimate",
    "Finding": "seqtant.findings:Finding",
    "Claim": "seqtant.findings:Claim",
    "Result": "seqtant.findings:Result",
    "Context": "seqtant.runs.context:Context",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604  (the names are lazy, see __getattr__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from seqtant.registry import import_attribute

        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
