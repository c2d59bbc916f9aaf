"""Generates steered replies and scores them: as language, and as good or bad by a registered scorer.

An alignment score alone takes nonsense for good behavior. So each reply comes with its log-probability under the model
without steering and a count of repetitions. Users add scorers under the entry point ``seqtant.steering_scorers``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seqtant.findings import Estimate
from seqtant.lm.generation import Sampling, generate
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import decode, encode
from seqtant.lm.scoring import token_log_probs
from seqtant.progress import SILENT, Progress
from seqtant.registry import Registry
from seqtant.steering.data.items import BehaviorPrompt
from seqtant.steering.vectors.hooks import apply_steering
from seqtant.steering.vectors.vector import SteeringVector

Scorer = Callable[[BehaviorPrompt, str], float]
"""Takes the prompt with its good and bad continuations and a reply; returns +1, 0 or -1."""

SCORERS: Registry[Scorer] = Registry(
    "scorer",
    group="seqtant.steering_scorers",
    entries={
        "begins": "seqtant.steering.applying.generation:begins",
        "contains": "seqtant.steering.applying.generation:contains",
    },
)
"""Name -> scorer."""


@dataclass(frozen=True)
class Reply:
    """One generated reply."""

    prompt: int
    """Index of the prompt it answers."""
    strength: float
    """Steering coefficient."""
    text: str
    """The generated text."""
    log_prob: float
    """Mean log-probability per token under the model without steering, in nats; higher is more coherent."""
    distinct: float
    """Share of its pairs of neighboring tokens that are distinct; 1 repeats nothing."""


@torch.no_grad()
def generate_replies(
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
    """Generates a reply to every prompt at every strength, all in shared batches with a strength per row.

    Args:
        model: The model.
        vector: The vector.
        prompts: Texts to continue.
        strengths: Steering coefficients.
        tokens: Most new tokens.
        positions: Which tokens are steered.
        keep_norm: Whether steered states keep their norm.
        sampling: How tokens are sampled; by default greedily.
        seeds: One seed per prompt, the same at all strengths; needed unless greedy.
        tokens_per_batch: Most tokens in one batch.
        progress: Shows how many replies are done.

    Returns:
        Replies, prompt by prompt, in the order of the strengths.

    Raises:
        InputError: A prompt is too long, or seeds are missing.
    """
    ids = encode(model, list(prompts))
    # Row prompt * len(strengths) + k holds the prompt at the k-th strength.
    rows = [line for line in ids for _ in strengths]
    own = [float(strength) for _ in ids for strength in strengths]
    where = {} if positions == "all" else {"positions": positions, "prompt_lengths": [len(line) for line in rows]}
    with apply_steering(model, vector, own, keep_norm=keep_norm, allow_other_model=True, **where):
        generated = generate(
            model,
            rows,
            max_tokens=tokens,
            sampling=sampling or Sampling(temperature=0.0),
            seeds=None if seeds is None else [seed for seed in seeds for _ in strengths],
            tokens_per_batch=tokens_per_batch,
            progress=progress,
        )
    # Outside the context: what the model without steering thinks of the steered text.
    scores = token_log_probs(
        model, [[*line, *reply.tokens] for line, reply in zip(rows, generated, strict=True)], progress=progress
    )
    texts = decode(model, [reply.tokens for reply in generated])
    replies = []
    for number, reply in enumerate(generated):
        # Scores cover prompt and reply; the reply's are the last ones, however long the prompt is.
        log_prob = float(scores[number][-len(reply.tokens) :].mean())
        pairs = list(itertools.pairwise(reply.tokens))
        distinct = len(set(pairs)) / len(pairs) if pairs else 1.0
        replies.append(Reply(number // len(strengths), own[number], texts[number], log_prob, distinct))
    return replies


replies = generate_replies
"""The name before 0.2."""


def begins(item: BehaviorPrompt, reply: str) -> float:
    """Scores +1 if the reply begins with a good continuation, -1 with a bad one, 0 otherwise.

    Example:
        >>> begins(BehaviorPrompt("well ?", ("yes",), ("no",)), " No, never")
        -1.0
    """
    text = reply.strip().lower()
    good, bad = (any(text.startswith(each.strip().lower()) for each in texts) for texts in (item.good, item.bad))
    return float(good) - float(bad)


def contains(item: BehaviorPrompt, reply: str) -> float:
    """Scores +1 if the reply holds a good continuation as whole words and no bad one, -1 the other way round, else 0.

    Example:
        >>> contains(BehaviorPrompt("well ?", ("yes",), ("no",)), "I know: yes")
        1.0
    """
    text = reply.lower()
    good, bad = (
        any(re.search(rf"(?<!\w){re.escape(each.strip().lower())}(?!\w)", text) for each in texts)
        for texts in (item.good, item.bad)
    )
    return float(good) - float(bad)


def hard_alignment(scores: Sequence[float]) -> Estimate:
    """Mean of hard scores, kept away from +-1, where arctanh has no value, by half an observation.

    Saturated scores say only that the rate is above 1 - 1/(2n): the interval says how much that leaves open.

    Example:
        >>> print(hard_alignment([1.0] * 10))
        0.95 [0.57, 1.00] (95 %, Jeffreys, clipped at 1 - 1/(2n), n=10)
    """
    from scipy.stats import beta

    values = np.asarray(scores, dtype=np.float64)  # [replies]
    n = len(values)
    edge = 1 - 1 / (2 * n)
    mean = float(values.mean())
    # A mean of +-1 and 0 scores is treated as 2 rate - 1; neutral replies count half to each side.
    good = (mean + 1) / 2 * n
    # Jeffreys: the posterior of a rate under a Beta(1/2, 1/2) prior; 2 rate - 1 maps [0, 1] to [-1, 1].
    low, high = (2 * float(beta.ppf(q, good + 0.5, n - good + 0.5)) - 1 for q in (0.025, 0.975))
    value = float(np.clip(mean, -edge, edge))
    return Estimate(
        value=value, low=min(low, value), high=max(high, value), method="Jeffreys, clipped at 1 - 1/(2n)", n=n
    )
