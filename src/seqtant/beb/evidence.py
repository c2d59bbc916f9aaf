"""Exact evidence per sentence: full-vocabulary divergences and log-ratios, one pass per model over each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.beb.drawing import Prompt
from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import log_prob_blocks
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


@torch.no_grad()
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
    count, sentences = len(prompts), len(prompts[0].ends)
    # The sentence of every token; one more column takes the opening's.
    owner = [sentence_of(prompt) for prompt in prompts]
    sums = np.zeros((len(models), 2, count, sentences + 1))
    for block in log_prob_blocks(models, [prompt.ids for prompt in prompts], progress=progress):
        kept = [going_on(scores.double(), source.eos_id) for scores in block.log_probs]
        if floor is not None:
            kept[1:] = [scores.clamp(min=floor) for scores in kept[1:]]
        for row, line in zip(block.rows.tolist(), range(len(block.rows)), strict=True):
            real = block.real[line]
            column = owner[row][block.positions[real].cpu().numpy() + 1]
            token = block.targets[line, real][:, None]
            own = kept[0][line, real]
            for number in range(1, len(models)):
                other = kept[number][line, real]
                parts = (_divergences(own, other), (own - other).gather(1, token)[:, 0])
                for part, values in enumerate(parts):
                    np.add.at(sums[number, part, row], column, values.cpu().numpy())
    found = sums[..., :sentences]
    _refuse_infinite(models, found)
    return [Evidence(*found[models.index(other)]) for other in others]


def sentence_of(prompt: Prompt) -> np.ndarray:
    """Number of the sentence that each token belongs to; tokens of the opening get the number after the last."""
    places = np.arange(len(prompt.ids))
    numbers = np.searchsorted(np.asarray(prompt.ends), places)
    return np.where(places < prompt.start, len(prompt.ends), numbers)


def going_on(log_probs: Tensor, eos_id: int | None) -> Tensor:
    """The next-token distributions given that the text does not end here."""
    if eos_id is None:
        return log_probs
    ends = torch.tensor([eos_id], device=log_probs.device)
    return torch.log_softmax(log_probs.index_fill(-1, ends, -torch.inf), dim=-1)


def _divergences(own: Tensor, other: Tensor) -> Float[Tensor, " positions"]:
    """KL at every position; a token that cannot come counts nothing."""
    probabilities = own.exp()
    return torch.where(probabilities > 0, probabilities * (own - other), 0.0).sum(dim=-1)


def _refuse_infinite(models: Sequence[CausalLM], sums: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(sums))
    if len(bad):
        number, _, prompt, sentence = bad[0].tolist()
        raise InputError(
            f"'{models[number].name}' gives probability 0 to what '{models[0].name}' may say (sentence {sentence + 1} "
            f"of prompt {prompt + 1}): the divergence is infinite; set floor, e.g. -40, to clamp it"
        )
