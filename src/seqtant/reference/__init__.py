"""The model that ships: its synthetic world with exact probabilities, its recipe, its weights."""

from __future__ import annotations

from typing import Any

_PUBLIC = {
    "PersonaTruths": "seqtant.reference.persona_truths:PersonaTruths",
    "Prompts": "seqtant.reference.prompts:Prompts",
    "TaskTruths": "seqtant.reference.task_truths:TaskTruths",
    "World": "seqtant.reference.world:World",
    "WorldLM": "seqtant.reference.oracle:WorldLM",
    "WorldSettings": "seqtant.reference.world:WorldSettings",
    "read_manifest": "seqtant.reference.manifest:read_manifest",
    "reference_world": "seqtant.reference.world:reference_world",
}

__all__ = list(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]  (lazy: importing this loads no torch)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from seqtant.registry import import_attribute

        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.reference' has no attribute '{name}'")
