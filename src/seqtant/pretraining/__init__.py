"""Which texts should share a training example? (the inductive bias of in-context learning).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""

from __future__ import annotations

from typing import Any

from seqtant.registry import import_attribute

_PUBLIC = {
    "run": "seqtant.pretraining.instrument:run",
    "AuditConfig": "seqtant.pretraining.config:AuditConfig",
    "BiasConfig": "seqtant.pretraining.config:BiasConfig",
    "Build": "seqtant.pretraining.building:Build",
    "BuildConfig": "seqtant.pretraining.config:BuildConfig",
    "CompareArmsConfig": "seqtant.pretraining.config:CompareArmsConfig",
    "ComposeConfig": "seqtant.pretraining.config:ComposeConfig",
    "DeficitConfig": "seqtant.pretraining.config:DeficitConfig",
    "EpsilonRankConfig": "seqtant.pretraining.config:EpsilonRankConfig",
    "ExampleBatches": "seqtant.pretraining.dataset:ExampleBatches",
    "ExampleStream": "seqtant.pretraining.dataset:ExampleStream",
    "ExampleTable": "seqtant.pretraining.dataset:ExampleTable",
    "PackConfig": "seqtant.pretraining.config:PackConfig",
    "Packing": "seqtant.pretraining.packing:Packing",
    "TaptConfig": "seqtant.pretraining.config:TaptConfig",
    "build": "seqtant.pretraining.building:build",
    "depth_deficit": "seqtant.pretraining.theory:depth_deficit",
    "effective_rank_bounds": "seqtant.pretraining.theory:effective_rank_bounds",
    "logit_changes": "seqtant.pretraining.joint_attention:logit_changes",
    "measure_gains": "seqtant.pretraining.gain:measure_gains",
    "pack": "seqtant.pretraining.packing:pack",
    "surviving_degree": "seqtant.pretraining.theory:surviving_degree",
    "tour": "seqtant.pretraining.touring:tour",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604  (the names are lazy, see __getattr__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.pretraining' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
