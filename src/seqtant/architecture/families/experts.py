"""Mixtures of experts: which layers have them, how many are stored, how many one token passes through."""

from __future__ import annotations

from dataclasses import replace

from seqtant.architecture.families.fields import Fields
from seqtant.architecture.families.shape import FeedForward


def everywhere(fields: Fields, feed_forward: FeedForward, index: int) -> FeedForward:
    """Experts in every layer, each as wide as a dense sublayer (Mixtral)."""
    return _mixture(fields, feed_forward, stored=("num_local_experts", 8), active=2)


def sparse_steps(fields: Fields, feed_forward: FeedForward, index: int) -> FeedForward:
    """Narrow experts in every so many layers, a dense sublayer in the others (Qwen3)."""
    dense_layers = fields.raw("mlp_only_layers", [])
    if index in dense_layers or (index + 1) % fields.size("decoder_sparse_step", 1):
        return feed_forward
    narrow = replace(feed_forward, inner=fields.size("moe_intermediate_size", 768))
    return _mixture(fields, narrow, stored=("num_experts", 128), active=8)


def _mixture(fields: Fields, expert: FeedForward, *, stored: tuple[str, int], active: int) -> FeedForward:
    count = fields.size(*stored)
    used = fields.size("num_experts_per_tok", active)
    if used > count:
        raise fields.error(f"num_experts_per_tok is {used}: there are only {count} experts")
    return replace(expert, experts=count, active=used)
