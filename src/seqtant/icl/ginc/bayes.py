"""The exact Bayes predictor of GINC, a mixture of smoothed hidden Markov models in log-space, and models beside it.

Prompts jump at their delimiters in ways that no concept makes, or hardly ever. Without smoothing the filter of such a
prompt has probability zero everywhere, and what follows is nonsense; a share of uniform transitions keeps it defined.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from seqtant.findings import Estimate
from seqtant.icl.ginc.dataset import Ginc, Prompts
from seqtant.lm.interface import CausalLM
from seqtant.lm.mixture import MixtureLM
from seqtant.lm.oracles import HiddenMarkovLM
from seqtant.lm.scoring import next_token_log_probs, token_log_probs
from seqtant.progress import SILENT, Progress
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean, share

ONE_BATCH = 2**31
"""Tokens per batch of the oracles: they loop over time, so that all rows should go side by side."""
LOSS_TOLERANCE = 0.05
"""Most nats per symbol above exact Bayes at which a model has learned its documents."""


def concept_model(ginc: Ginc, concept: int, *, smoothing: float) -> HiddenMarkovLM:
    """Builds one concept as a language model over the symbols and a beginning-of-sequence token, the last id."""
    # Every state emits one symbol for sure; the last column is the beginning-of-sequence token, which none emits.
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
    """Builds the mixture of the concepts in distribution, with equal prior weights."""
    parts = [concept_model(ginc, concept, smoothing=smoothing) for concept in range(ginc.inside)]
    return MixtureLM(parts, name="exact Bayes")


@torch.no_grad()
def predict_prompts(
    mixture: MixtureLM, prompts: Prompts, *, progress: Progress = SILENT
) -> tuple[Float[np.ndarray, "prompts examples vocabulary"], Float[np.ndarray, "prompts shots concepts"]]:
    """Predicts all labels, side by side and example by example: log-probabilities, and the concepts' log posterior."""
    ids = torch.from_numpy(prompts.tokens())
    count, examples, length = prompts.shots.shape
    start = torch.full((count, 1), int(mixture.bos_id or 0))
    cache = mixture.forward(start, keep=1, use_cache=True).cache
    logits, posteriors = [], [cache.log_weights]
    bar = progress.task("reading prompts", examples)
    # One example and its delimiter at a time; the label is the last symbol but one, predicted one position earlier.
    for piece in ids.split(length + 1, dim=1):
        output = mixture.forward(piece, cache=cache, keep=torch.tensor([length - 2]), use_cache=True)
        cache = output.cache
        logits.append(output.logits[:, 0])
        posteriors.append(cache.log_weights)
        bar.advance()
    bar.close()
    # The last id is the beginning-of-sequence token, which no state emits: cutting it off loses no probability.
    log_probs = torch.stack(logits, dim=1).numpy()[:, :, : mixture.vocabulary_size - 1]
    # The posterior after the last query is nobody's prior: row k is what is known after k shots.
    return log_probs, torch.stack(posteriors[:-1], dim=1).numpy()


def query_log_probs(
    model: CausalLM, prompts: Prompts, vocabulary: int, *, progress: Progress = SILENT
) -> Float[np.ndarray, "prompts examples vocabulary"]:
    """Predicts the same labels by any language model whose first ids are the symbols, each prompt read once."""
    lines, shift = _with_bos(model, prompts.tokens())
    # A label is symbol length - 1 of its block of length + 1, predicted at the symbol before it.
    _, examples, length = prompts.shots.shape
    places = (np.arange(examples) * (length + 1) + length - 2 + shift).tolist()
    found = next_token_log_probs(model, lines, [places] * len(lines), progress=progress)
    return torch.stack(found)[..., :vocabulary].double().numpy()


def cross_entropy(
    model: CausalLM, tokens: np.ndarray, *, tokens_per_batch: int | None = None, progress: Progress = SILENT
) -> Float[np.ndarray, " documents"]:
    """Computes the mean surprise per symbol of every document, in nats.

    A model without a beginning-of-sequence token is not asked for the first symbol.
    """
    lines, _ = _with_bos(model, tokens)
    scores = token_log_probs(model, lines, tokens_per_batch=tokens_per_batch, progress=progress)
    return np.array([-float(line.mean()) for line in scores])


def _with_bos(model: CausalLM, tokens: np.ndarray) -> tuple[Sequence[list[int]], int]:
    start = [] if model.bos_id is None else [model.bos_id]
    return [[*start, *row] for row in tokens.tolist()], len(start)


def record_accuracy(
    record: Recorder, right: Bool[np.ndarray, "prompts examples"], shots: Sequence[int], group: str
) -> dict[int, Estimate]:
    """Records accuracy with Wilson's intervals, by number of shots."""
    rates = {number: share(int(right[:, number].sum()), len(right)) for number in shots}
    for number, rate in rates.items():
        for key, value in (("accuracy", rate.value), ("accuracy_low", rate.low), ("accuracy_high", rate.high)):
            record.measure(key, value if value is not None else rate.value, step=float(number), group=group)
    return rates


def true_posterior(log_posterior: np.ndarray, prompts: Prompts) -> Float[np.ndarray, "prompts shots"]:
    """Looks up the posterior probability of the true concept after 0, 1, 2, ... shots; 0 where the mixture lacks it."""
    # A maximum over the true concept alone: those out of distribution have numbers past the mixture's components.
    mine = np.arange(log_posterior.shape[2]) == prompts.concepts[:, None]
    return np.exp(np.where(mine[:, None], log_posterior, -np.inf).max(axis=2))


def record_loss(
    record: Recorder,
    model: CausalLM,
    ginc: Ginc,
    tokens: Int[np.ndarray, "documents length"],
    *,
    question: str,
    summary: str,
) -> None:
    """Records the cross-entropy of a model and of exact Bayes on the same documents, and the gap between them.

    ``summary`` may hold ``{ours}``, ``{best}`` and ``{gap}``, in nats per symbol.
    """
    unit = "nats per symbol"
    # The same documents for both: the interval of the gap is that of paired differences.
    ours = cross_entropy(model, tokens, progress=record.context.progress)
    best = cross_entropy(bayes_model(ginc, smoothing=0.0), tokens, tokens_per_batch=ONE_BATCH)
    gap = mean(ours - best, unit=unit)
    record.value("cross_entropy", float(ours.mean()))
    record.value("bayes_cross_entropy", float(best.mean()))
    record.value("cross_entropy_gap", gap.value)
    record.finding(
        "cross_entropy",
        question,
        "agrees" if gap.value < LOSS_TOLERANCE else "disagrees",
        summary.format(ours=ours.mean(), best=best.mean(), gap=gap.value),
        predicted=mean(best, unit=unit),
        measured=mean(ours, unit=unit),
    )
