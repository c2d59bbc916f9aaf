"""How deep, how wide, and is the vocabulary choking the width? (depth-to-width interplay, vocabulary bottleneck).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""

from __future__ import annotations

from typing import Any

from seqtant.registry import import_attribute

_PUBLIC = {
    "run": "seqtant.architecture.instrument:run",
    "AuditConfig": "seqtant.architecture.config:AuditConfig",
    "BoundsConfig": "seqtant.architecture.config:BoundsConfig",
    "EmbeddingRankConfig": "seqtant.architecture.config:EmbeddingRankConfig",
    "FitConfig": "seqtant.architecture.config:FitConfig",
    "MatchConfig": "seqtant.architecture.config:MatchConfig",
    "PlanConfig": "seqtant.architecture.config:PlanConfig",
    "RankConfig": "seqtant.architecture.config:RankConfig",
    "SweepConfig": "seqtant.architecture.config:SweepConfig",
    "closed_form_rank": "seqtant.architecture.theory:closed_form_rank",
    "make_plan": "seqtant.architecture.planning:make_plan",
    "matching_width": "seqtant.architecture.matching:matching_width",
    "optimal_depth": "seqtant.architecture.theory:optimal_depth",
    "separation_rank": "seqtant.architecture.polynomial_attention:separation_rank",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604  (the names are lazy, see __getattr__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.architecture' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
