"""How many examples must the prompt hold? (the learnability of in-context learning).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""

from __future__ import annotations

from typing import Any

from seqtant.registry import import_attribute

_PUBLIC = {
    "run": "seqtant.icl.instrument:run",
    "BoundConfig": "seqtant.icl.config:BoundConfig",
    "CorruptConfig": "seqtant.icl.config:CorruptConfig",
    "Encoder": "seqtant.icl.encoding:Encoder",
    "Example": "seqtant.icl.tasks:Example",
    "Ginc": "seqtant.icl.ginc.parameters:Ginc",
    "GincBayesConfig": "seqtant.icl.config:GincBayesConfig",
    "GincEvalConfig": "seqtant.icl.config:GincEvalConfig",
    "GincMakeConfig": "seqtant.icl.config:GincMakeConfig",
    "GincSettings": "seqtant.icl.ginc.parameters:GincSettings",
    "GincTrainConfig": "seqtant.icl.config:GincTrainConfig",
    "OrderConfig": "seqtant.icl.config:OrderConfig",
    "PosteriorConfig": "seqtant.icl.config:PosteriorConfig",
    "ShotCurve": "seqtant.icl.shot_curves:ShotCurve",
    "ShotsConfig": "seqtant.icl.config:ShotsConfig",
    "TASKS": "seqtant.icl.tasks:TASKS",
    "Task": "seqtant.icl.tasks:Task",
    "label_log_probs": "seqtant.icl.scoring:label_log_probs",
    "lemma1": "seqtant.icl.theory:lemma1",
    "lemma1_refined": "seqtant.icl.theory:lemma1_refined",
    "read_task": "seqtant.icl.task_files:read_task",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604  (the names are lazy, see __getattr__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.icl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
