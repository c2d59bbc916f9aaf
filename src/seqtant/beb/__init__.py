"""How long a prompt breaks the alignment? (Behavior Expectation Bounds).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""

from __future__ import annotations

from typing import Any

from seqtant.registry import import_attribute

_PUBLIC = {
    "run": "seqtant.beb.instrument:run",
    "Answer": "seqtant.beb.scorers:Answer",
    "Behaviour": "seqtant.beb.config:Behaviour",
    "BoundConfig": "seqtant.beb.config:BoundConfig",
    "CalibrateConfig": "seqtant.beb.config:CalibrateConfig",
    "CompareConfig": "seqtant.beb.config:CompareConfig",
    "ConverseConfig": "seqtant.beb.config:ConverseConfig",
    "CurveConfig": "seqtant.beb.config:CurveConfig",
    "Evidence": "seqtant.beb.evidence:Evidence",
    "FitComponentsConfig": "seqtant.beb.config:FitComponentsConfig",
    "GateConfig": "seqtant.beb.config:GateConfig",
    "GuardConfig": "seqtant.beb.config:GuardConfig",
    "IidMixture": "seqtant.beb.analytic:IidMixture",
    "Length": "seqtant.beb.lengths:Length",
    "MeasureConfig": "seqtant.beb.config:MeasureConfig",
    "PersonasConfig": "seqtant.beb.config:PersonasConfig",
    "RefitConfig": "seqtant.beb.config:RefitConfig",
    "SCORERS": "seqtant.beb.scorers:SCORERS",
    "SearchConfig": "seqtant.beb.config:SearchConfig",
    "Side": "seqtant.beb.components:Side",
    "SystemPromptLM": "seqtant.beb.system_prompt:SystemPromptLM",
    "adapted": "seqtant.beb.adapters:adapted",
    "draw_prompts": "seqtant.beb.drawing:draw_prompts",
    "gather": "seqtant.beb.evidence:gather",
    "guard": "seqtant.beb.theory:guard",
    "mass": "seqtant.beb.theory:mass",
    "misalign": "seqtant.beb.theory:misalign",
    "open_sides": "seqtant.beb.components:open_sides",
    "read_area": "seqtant.beb.readings:read_area",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604  (the names are lazy, see __getattr__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.beb' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
