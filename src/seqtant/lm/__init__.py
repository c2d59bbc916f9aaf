"""Causal language models: loading, hooks, exact scoring, generation, oracles with exact probabilities.

Importing this package loads no torch; the public names below are imported when first used.
"""

from __future__ import annotations

from typing import Any

_PUBLIC = {
    "CausalLM": "seqtant.lm.interface:CausalLM",
    "Generated": "seqtant.lm.generation:Generated",
    "HiddenMarkovLM": "seqtant.lm.oracles:HiddenMarkovLM",
    "HuggingFaceLM": "seqtant.lm.huggingface:HuggingFaceLM",
    "LMOutput": "seqtant.lm.interface:LMOutput",
    "MarkovLM": "seqtant.lm.oracles:MarkovLM",
    "MixtureLM": "seqtant.lm.mixture:MixtureLM",
    "Sampling": "seqtant.lm.sampling:Sampling",
    "batch_continuation_log_probs": "seqtant.lm.continuations:batch_continuation_log_probs",
    "continuation_log_probs": "seqtant.lm.continuations:continuation_log_probs",
    "generate": "seqtant.lm.generation:generate",
    "load": "seqtant.lm.load:load",
    "log_prob_blocks": "seqtant.lm.scoring:log_prob_blocks",
    "next_token_log_probs": "seqtant.lm.scoring:next_token_log_probs",
    "sequence_log_probs": "seqtant.lm.scoring:sequence_log_probs",
    "token_log_probs": "seqtant.lm.scoring:token_log_probs",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604  (the names are lazy, see __getattr__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from seqtant.registry import import_attribute

        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.lm' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
