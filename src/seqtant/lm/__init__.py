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
    "continue_from": "seqtant.lm.layers:continue_from",
    "continuation_log_probs": "seqtant.lm.continuations:continuation_log_probs",
    "current_rows": "seqtant.lm.interface:current_rows",
    "decode": "seqtant.lm.text:decode",
    "edit_blocks": "seqtant.lm.hooks:edit_blocks",
    "encode": "seqtant.lm.text:encode",
    "encode_continuations": "seqtant.lm.text:encode_continuations",
    "generate": "seqtant.lm.generation:generate",
    "hidden_states": "seqtant.lm.layers:hidden_states",
    "load": "seqtant.lm.loading:load",
    "locate": "seqtant.lm.folder:locate",
    "log_prob_blocks": "seqtant.lm.scoring:log_prob_blocks",
    "next_token_log_probs": "seqtant.lm.scoring:next_token_log_probs",
    "read_blocks": "seqtant.lm.hooks:read_blocks",
    "reading_rows": "seqtant.lm.interface:reading_rows",
    "read_from": "seqtant.lm.layers:read_from",
    "run_to_layer": "seqtant.lm.layers:run_to_layer",
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
