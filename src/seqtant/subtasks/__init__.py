"""Which steps make a compound task learnable? (sub-task decomposition).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""

from __future__ import annotations

from typing import Any

from seqtant.registry import import_attribute

_PUBLIC = {
    "run": "seqtant.subtasks.instrument:run",
    "AugmentConfig": "seqtant.subtasks.config:AugmentConfig",
    "CheckConfig": "seqtant.subtasks.config:CheckConfig",
    "CompareConfig": "seqtant.subtasks.config:CompareConfig",
    "EvalConfig": "seqtant.subtasks.config:EvalConfig",
    "MakeConfig": "seqtant.subtasks.config:MakeConfig",
    "NetworkConfig": "seqtant.subtasks.config:NetworkConfig",
    "OneStepConfig": "seqtant.subtasks.config:OneStepConfig",
    "OptimisationConfig": "seqtant.subtasks.config:OptimisationConfig",
    "ProbeConfig": "seqtant.subtasks.config:ProbeConfig",
    "SolveGf2Config": "seqtant.subtasks.config:SolveGf2Config",
    "Step": "seqtant.subtasks.tasks.task:Step",
    "TASKS": "seqtant.subtasks.tasks.choice:TASKS",
    "Task": "seqtant.subtasks.tasks.task:Task",
    "TrainConfig": "seqtant.subtasks.config:TrainConfig",
    "addition": "seqtant.subtasks.tasks.arithmetic:addition",
    "arm_of": "seqtant.subtasks.arms:arm_of",
    "check_rows": "seqtant.subtasks.checking:check_rows",
    "fit_network": "seqtant.subtasks.fitting:fit_network",
    "from_circuit": "seqtant.subtasks.tasks.circuits:from_circuit",
    "modular_sum": "seqtant.subtasks.tasks.arithmetic:modular_sum",
    "parity": "seqtant.subtasks.tasks.parity:parity",
    "read_rows": "seqtant.subtasks.rows:read_rows",
    "solve": "seqtant.subtasks.solving:solve",
    "solve_gf2": "seqtant.subtasks.gf2:solve_gf2",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604  (the names are lazy, see __getattr__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.subtasks' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
