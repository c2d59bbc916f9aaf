"""The exact Bayes predictor of GINC: a mixture of smoothed hidden Markov models, read in log-space.

Prompts jump at their delimiters in ways that no concept makes, or hardly ever. Without smoothing the filter of such a
prompt has probability zero everywhere, and what follows is nonsense; a share of uniform transitions keeps it defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from seqtant.icl.ginc.parameters import Ginc
from seqtant.icl.ginc.sampling import Prompts
from seqtant.lm.interface import CausalLM
from seqtant.lm.mixture import MixtureLM
from seqtant.lm.oracles import HiddenMarkovLM
from seqtant.lm.scoring import next_token_log_probs, token_log_probs
from seqtant.progress import SILENT, Progress

WHOLE = 2**31
"""Tokens per batch of the oracles: they loop over time, so that all rows should go side by side."""


def concept_model(ginc: Ginc, concept: int, *, smoothing: float) -> HiddenMarkovLM:
    """One concept as a language model over the symbols and a beginning-of-sequence token, the last id."""
    emissions = np.eye(ginc.settings.vocabulary + 1)[ginc.emissions]
    return HiddenMarkovLM(
        ginc.starts[concept],
        ginc.transitions(concept),
        emissions,
        smoothing=smoothing,
        bos_id=ginc.settings.vocabulary,
        name=f"concept {concept}",
    )


def bayes_model(ginc: Ginc, *, smoothing: float) -> MixtureLM:
    """The mixture of the concepts that write documents, all alike before anything is read."""
    parts = [concept_model(ginc, concept, smoothing=smoothing) for concept in range(ginc.inside)]
    return MixtureLM(parts, name="exact Bayes")


@dataclass(frozen=True)
class ReadShots:
    """What a mixture says and knows along prompts."""

    log_probs: Float[np.ndarray, "prompts examples vocabulary"]
    """Log-probability of every symbol where an example's label stands."""
    log_posterior: Float[np.ndarray, "prompts shots concepts"]
    """Log posterior of the concepts after 0, 1, 2, ... shots."""


@torch.no_grad()
def read_shots(mixture: MixtureLM, prompts: Prompts, *, progress: Progress = SILENT) -> ReadShots:
    """Reads all prompts side by side, example by example: predictions and posteriors of every number of shots.

    Args:
        mixture: What :func:`bayes_model` returns.
        prompts: The prompts.
        progress: Told how many examples are read.
    """
    ids = torch.from_numpy(prompts.tokens())
    count, examples, length = prompts.shots.shape
    start = torch.full((count, 1), int(mixture.bos_id or 0))
    cache = mixture.forward(start, keep=1, use_cache=True).cache
    said, known = [], [cache.log_weights]
    bar = progress.task("reading prompts", examples)
    for piece in ids.split(length + 1, dim=1):
        output = mixture.forward(piece, cache=cache, keep=torch.tensor([length - 2]), use_cache=True)
        cache = output.cache
        said.append(output.logits[:, 0])
        known.append(cache.log_weights)
        bar.advance()
    bar.close()
    log_probs = torch.stack(said, dim=1).numpy()[:, :, : mixture.vocabulary_size - 1]
    return ReadShots(log_probs, torch.stack(known[:-1], dim=1).numpy())


def query_log_probs(
    model: CausalLM, prompts: Prompts, vocabulary: int, *, progress: Progress = SILENT
) -> Float[np.ndarray, "prompts examples vocabulary"]:
    """The same predictions of any language model over the symbols, each prompt read once.

    Args:
        model: Knows the symbols by their ids; begins a text with ``bos_id`` if it has one.
        prompts: The prompts.
        vocabulary: Number of symbols.
        progress: Told how many prompts are read.
    """
    lines, shift = _lines(model, prompts.tokens())
    places = (prompts.query_positions() + shift).tolist()
    found = next_token_log_probs(model, lines, [places] * len(lines), progress=progress)
    return torch.stack(found)[..., :vocabulary].double().numpy()


def cross_entropy(
    model: CausalLM, tokens: np.ndarray, *, tokens_per_batch: int | None = None, progress: Progress = SILENT
) -> Float[np.ndarray, " documents"]:
    """Mean surprise per symbol of every document, in nats.

    A model without a beginning-of-sequence token is not asked for the first symbol.
    """
    lines, _ = _lines(model, tokens)
    scores = token_log_probs(model, lines, tokens_per_batch=tokens_per_batch, progress=progress)
    return np.array([-float(line.mean()) for line in scores])


def _lines(model: CausalLM, tokens: np.ndarray) -> tuple[Sequence[list[int]], int]:
    start = [] if model.bos_id is None else [model.bos_id]
    return [[*start, *row] for row in tokens.tolist()], len(start)
