"""Exact evidence per sentence: full-vocabulary divergences and log-ratios, one pass per model over each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.beb.prompts.per_sentence import of_targets, sum_by_sentence
from seqtant.beb.prompts.sampling import Prompt
from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM
from seqtant.progress import SILENT, Progress


@dataclass(frozen=True)
class Evidence:
    """What tells a source from another model, sentence by sentence, in nats, given that the text goes on."""

    divergence: Float[np.ndarray, "prompts sentences"]
    """KL(source || other) summed over the tokens of each sentence, each given the prompt so far."""
    log_ratio: Float[np.ndarray, "prompts sentences"]
    """log source / other of the sentence that was drawn; its mean is the mean divergence."""

    def select(self, rows: np.ndarray) -> Evidence:
        """The same of some prompts, possibly repeated."""
        return Evidence(self.divergence[rows], self.log_ratio[rows])


def gather(
    source: CausalLM,
    others: Sequence[CausalLM],
    prompts: Sequence[Prompt],
    *,
    floor: float | None = None,
    progress: Progress = SILENT,
) -> list[Evidence]:
    """Evidence for the source of some prompts against each of some other models.

    Every model reads every prompt once, however many sentences and other models there are. The end of the text is left
    out of all distributions, because prompts are drawn given that they go on.

    Args:
        source: The model whose prompts these are.
        others: What it is told from.
        prompts: Drawn from the source; all of the same number of sentences.
        floor: Least log-probability under the others; None refuses an infinite divergence.
        progress: Told how many prompts are done.

    Returns:
        One evidence per other model.

    Raises:
        InputError: A divergence is infinite, a prompt cannot be read, or vocabularies differ.
    """
    models = list(dict.fromkeys([source, *others]))

    def read(scores: list[Tensor], targets: Tensor) -> list[Tensor]:
        own, *rest = scores
        found: list[Tensor] = []
        for one in rest:
            other = one if floor is None else one.clamp(min=floor)
            found += [_divergences(own, other), of_targets(own - other, targets)]
        return found

    # Nothing tells the source from itself.
    pairs = {source: np.zeros((2, len(prompts), len(prompts[0].ends)))}
    if len(models) > 1:
        sums = sum_by_sentence(models, prompts, read, progress=progress)
        pairs |= {model: sums[2 * number : 2 * number + 2] for number, model in enumerate(models[1:])}
    for model, found in pairs.items():
        _refuse_infinite(source, model, found)
    return [Evidence(*pairs[other]) for other in others]


def _divergences(own: Tensor, other: Tensor) -> Float[Tensor, "B T"]:
    """KL at every position; a token that cannot come counts nothing."""
    probabilities = own.exp()
    return torch.where(probabilities > 0, probabilities * (own - other), 0.0).sum(dim=-1)


def _refuse_infinite(source: CausalLM, model: CausalLM, sums: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(sums))
    if len(bad):
        _, prompt, sentence = bad[0].tolist()
        raise InputError(
            f"'{model.name}' gives probability 0 to what '{source.name}' may say (sentence {sentence + 1} "
            f"of prompt {prompt + 1}): the divergence is infinite; set floor, e.g. -40, to clamp it"
        )
