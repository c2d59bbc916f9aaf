"""How hard may I steer before the model gets useless? (trade-offs between alignment and helpfulness).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""

from __future__ import annotations

from typing import Any

from seqtant.registry import import_attribute

_PUBLIC = {
    "run": "seqtant.steering.instrument:run",
    "ApplyConfig": "seqtant.steering.config:ApplyConfig",
    "Bench": "seqtant.steering.measuring:Bench",
    "BehaviourPrompt": "seqtant.steering.items:BehaviourPrompt",
    "Budget": "seqtant.steering.choosing:Budget",
    "ChooseConfig": "seqtant.steering.config:ChooseConfig",
    "ContrastPair": "seqtant.steering.pairs:ContrastPair",
    "DiagnoseConfig": "seqtant.steering.config:DiagnoseConfig",
    "ExportConfig": "seqtant.steering.config:ExportConfig",
    "ExtractConfig": "seqtant.steering.config:ExtractConfig",
    "LayersConfig": "seqtant.steering.config:LayersConfig",
    "Observed": "seqtant.steering.choosing:Observed",
    "Passage": "seqtant.steering.items:Passage",
    "Question": "seqtant.steering.items:Question",
    "RefitConfig": "seqtant.steering.config:RefitConfig",
    "SCORERS": "seqtant.steering.scorers:SCORERS",
    "SteeringVector": "seqtant.steering.vectors:SteeringVector",
    "SweepConfig": "seqtant.steering.config:SweepConfig",
    "alignment_guarantee": "seqtant.steering.theory:alignment_guarantee",
    "budget_strength": "seqtant.steering.theory:budget_strength",
    "choose": "seqtant.steering.choosing:choose",
    "extract": "seqtant.steering.extraction:extract",
    "fold": "seqtant.steering.folding:fold",
    "replies": "seqtant.steering.coherence:replies",
    "steered": "seqtant.steering.application:steered",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604  (the names are lazy, see __getattr__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.steering' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
