"""How close a model is to its world: exact entropy rate, cross-entropy, and the divergence between, per kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqtant.findings import Estimate
from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import log_prob_blocks
from seqtant.progress import SILENT, Progress
from seqtant.reference.measures.divergence import divergences, entropies
from seqtant.reference.oracle import WorldLM
from seqtant.reference.world.world import World
from seqtant.stats.intervals import clustered_mean


@dataclass(frozen=True)
class Gap:
    """Averages per token over held-out documents of one kind, or of all."""

    entropy: Estimate
    """The world's entropy rate: mean of the exact entropies of the next token."""
    cross_entropy: Estimate
    """The model's mean surprise at the tokens that came."""
    surprise: Estimate
    """The world's own mean surprise at the tokens that came."""
    divergence: Estimate
    """Mean divergence KL(world || model) of the next token: the expectation of cross-entropy minus entropy."""


def gaps(
    model: CausalLM,
    world: World,
    *,
    documents: int,
    longest: int,
    generator: np.random.Generator,
    progress: Progress = SILENT,
) -> dict[str, Gap]:
    """Measures on freshly drawn documents.

    Args:
        model: A model over the world's vocabulary.
        world: The world.
        documents: Number of documents.
        longest: Tokens after which a document is cut.
        generator: Source of chance; must differ from the training's.
        progress: Where it reports.

    Returns:
        By kind, and for ``all`` together. The first token is given, not scored.
    """
    drawn = world.draw(documents, generator, longest=longest)
    parts: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    for block in log_prob_blocks(
        [WorldLM(world), model], [document.tokens.tolist() for document in drawn], progress=progress
    ):
        truth, ours = (scores.double() for scores in block.log_probs)
        targets = block.targets[..., None]
        columns = (
            entropies(truth),
            -ours.gather(-1, targets)[..., 0],
            -truth.gather(-1, targets)[..., 0],
            divergences(truth, ours),
        )
        parts.append(np.stack([column[block.real].numpy() for column in columns], axis=1))
        owners.append(block.rows[:, None].expand_as(block.real)[block.real].numpy())
    values, owner = np.concatenate(parts), np.concatenate(owners)
    kinds = np.array([document.kind for document in drawn])[owner]
    chosen = {"all": np.ones(len(owner), dtype=bool)} | {name: kinds == name for name in world.kinds}
    return {name: _gap(values[here], owner[here]) for name, here in chosen.items() if here.any()}


def _gap(values: Float[np.ndarray, "tokens 4"], documents: np.ndarray) -> Gap:
    return Gap(*(clustered_mean(values[:, column], documents, unit="nats") for column in range(4)))
