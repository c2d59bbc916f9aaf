"""Whether steered replies are still language: scored by the model without steering, and counted for repetition.

An alignment score alone takes nonsense for good behavior; these numbers stand beside it at every strength.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from seqtant.lm.generation import generate
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.sampling import Sampling
from seqtant.lm.scoring import token_log_probs
from seqtant.lm.text import decode, encode
from seqtant.progress import SILENT, Progress
from seqtant.steering.applying.hooks import steered
from seqtant.steering.vectors.vector import SteeringVector


@dataclass(frozen=True)
class Reply:
    """One generated reply."""

    prompt: int
    """Which prompt it answers."""
    strength: float
    """At which strength."""
    text: str
    """What was said."""
    log_prob: float
    """Mean log-probability per token under the model without steering, in nats; higher is more coherent."""
    distinct: float
    """Share of its pairs of neighboring tokens that are different from each other; 1 repeats nothing."""


@torch.no_grad()
def replies(
    model: HuggingFaceLM,
    vector: SteeringVector,
    prompts: Sequence[str],
    strengths: Sequence[float],
    *,
    tokens: int,
    positions: str = "all",
    keep_norm: bool = False,
    sampling: Sampling | None = None,
    seeds: Sequence[int] | None = None,
    tokens_per_batch: int = 4096,
    progress: Progress = SILENT,
) -> list[Reply]:
    """Answers every prompt at every strength, all in shared batches with a strength per row.

    Args:
        model: The model.
        vector: The vector.
        prompts: Texts to continue.
        strengths: The strengths.
        tokens: Most new tokens.
        positions: Which tokens are steered.
        keep_norm: Whether steered states keep their norm.
        sampling: How tokens are drawn; by default the likeliest.
        seeds: One seed per prompt, the same at all strengths; needed unless greedy.
        tokens_per_batch: Most tokens in one batch.
        progress: Told how many replies are done.

    Returns:
        Replies, prompt by prompt, in the order of the strengths.

    Raises:
        InputError: A prompt is too long, or randomness is missing.
    """
    ids = encode(model, list(prompts))
    rows = [line for line in ids for _ in strengths]
    own = [float(strength) for _ in ids for strength in strengths]
    where = {} if positions == "all" else {"positions": positions, "prompt_lengths": [len(line) for line in rows]}
    with steered(model, vector, own, keep_norm=keep_norm, allow_other_model=True, **where):
        made = generate(
            model,
            rows,
            max_tokens=tokens,
            sampling=sampling or Sampling(temperature=0.0),
            seeds=None if seeds is None else [seed for seed in seeds for _ in strengths],
            tokens_per_batch=tokens_per_batch,
            progress=progress,
        )
    scores = token_log_probs(
        model, [[*line, *reply.tokens] for line, reply in zip(rows, made, strict=True)], progress=progress
    )
    texts = decode(model, [reply.tokens for reply in made])
    return [
        Reply(
            number // len(strengths),
            own[number],
            texts[number],
            float(scores[number][-len(reply.tokens) :].mean()),
            distinct_pairs(reply.tokens),
        )
        for number, reply in enumerate(made)
    ]


def distinct_pairs(tokens: Sequence[int]) -> float:
    """Share of neighboring pairs that are distinct.

    Example:
        >>> distinct_pairs([1, 2, 1, 2, 1]), distinct_pairs([7])
        (0.5, 1.0)
    """
    pairs = list(itertools.pairwise(tokens))
    return len(set(pairs)) / len(pairs) if pairs else 1.0
