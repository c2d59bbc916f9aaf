"""Walks the full next-token distributions of some models along prompts, and sums what is read of them per sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.beb.prompts.sampling import Prompt
from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import log_prob_blocks
from seqtant.progress import SILENT, Progress

Reading = Callable[[list[Tensor], Int[Tensor, "B T"]], Sequence[Float[Tensor, "B T"]]]
"""From the log-probabilities of each model, each (B, T, vocabulary), and the tokens that came, to numbers."""


def sentence_of(prompt: Prompt) -> np.ndarray:
    """Number of the sentence that each token belongs to; tokens of the opening get the number after the last."""
    places = np.arange(len(prompt.ids))
    numbers = np.searchsorted(np.asarray(prompt.ends), places)
    return np.where(places < prompt.start, len(prompt.ends), numbers)


@torch.no_grad()
def sum_by_sentence(
    models: Sequence[CausalLM],
    prompts: Sequence[Prompt],
    read: Reading,
    *,
    owner_of: Callable[[Prompt], np.ndarray] = sentence_of,
    progress: Progress = SILENT,
) -> Float[np.ndarray, "readings prompts sentences"]:
    """Sums of what is read at every position, over the tokens of each sentence.

    Every model reads every prompt once. The end of the text, as the first model has it, is left out of all
    distributions, because prompts are drawn given that they go on.

    Args:
        models: Models over one vocabulary.
        prompts: All of the same number of sentences.
        read: Reads numbers off a block; what it gives where there is no token is not used.
        owner_of: Number of the sentence for each token; the number after the last leaves a token out.
        progress: Told how many prompts are done.

    Raises:
        InputError: A prompt cannot be read, or vocabularies differ.
    """
    owners = [owner_of(prompt) for prompt in prompts]
    shape = (len(prompts), len(prompts[0].ends) + 1)
    sums: list[np.ndarray] = []
    for block in log_prob_blocks(models, [prompt.ids for prompt in prompts], progress=progress):
        scores = [going_on(each.double(), models[0].eos_id) for each in block.log_probs]
        readings = [each.cpu().numpy() for each in read(scores, block.targets)]
        sums = sums or [np.zeros(shape) for _ in readings]
        after, real = block.positions.cpu().numpy() + 1, block.real.cpu().numpy()
        for line, row in enumerate(block.rows.tolist()):
            column = owners[row][after[real[line]]]
            for total, values in zip(sums, readings, strict=True):
                np.add.at(total[row], column, values[line, real[line]])
    return np.stack(sums)[..., :-1]


def going_on(log_probs: Tensor, eos_id: int | None) -> Tensor:
    """The next-token distributions given that the text does not end here."""
    if eos_id is None:
        return log_probs
    ends = torch.tensor([eos_id], device=log_probs.device)
    return torch.log_softmax(log_probs.index_fill(-1, ends, -torch.inf), dim=-1)


def of_targets(values: Tensor, targets: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """The values of the tokens that came, out of (B, T, vocabulary)."""
    return values.gather(2, targets[..., None])[..., 0]
