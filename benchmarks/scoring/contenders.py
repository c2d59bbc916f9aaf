"""Three jobs, each done by Seqtant and by the loop one would write first; every way returns the same numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Ids = list[list[int]]


@torch.no_grad()
def plain_scores(model: Any, sequences: Ids) -> list[Tensor]:
    """One sequence at a time through the bare network."""
    found = []
    for sequence in sequences:
        ids = torch.tensor([sequence])
        log_probs = model(ids).logits.float().log_softmax(dim=-1)
        found.append(log_probs[0, :-1].gather(1, ids[0, 1:, None])[:, 0])
    return found


@torch.no_grad()
def padded_scores(model: Any, sequences: Ids, rows: int = 16) -> list[Tensor]:
    """Batches in the order they come, padded to the longest."""
    found = []
    for start in range(0, len(sequences), rows):
        some = sequences[start : start + rows]
        longest = max(map(len, some))
        ids = torch.tensor([sequence + [0] * (longest - len(sequence)) for sequence in some])
        mask = torch.tensor([[1] * len(sequence) + [0] * (longest - len(sequence)) for sequence in some])
        log_probs = model(ids, attention_mask=mask).logits.float().log_softmax(dim=-1)
        scores = log_probs[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
        found += [line[: len(sequence) - 1] for line, sequence in zip(scores, some, strict=True)]
    return found


def plain_choices(model: Any, prompts: Ids, choices: Ids) -> Tensor:
    """Every prompt with every choice, each pair read whole."""
    return torch.stack(
        [
            torch.stack(
                [
                    line[-len(choice) :].sum()
                    for choice, line in zip(choices, _joined(model, prompt, choices), strict=True)
                ]
            )
            for prompt in prompts
        ]
    )


def _joined(model: Any, prompt: list[int], choices: Ids) -> list[Tensor]:
    return plain_scores(model, [prompt + choice for choice in choices])


@torch.no_grad()
def plain_prefixes(model: Any, sequences: Ids, places: list[int]) -> Tensor:
    """The next-token distribution after each of some prefixes, each prefix read anew."""
    return torch.stack(
        [
            torch.stack(
                [model(torch.tensor([ids[: place + 1]])).logits[0, -1].float().log_softmax(-1) for place in places]
            )
            for ids in sequences
        ]
    )


def ours(model: Any) -> dict[str, Any]:
    """The same three jobs in Seqtant, and the wrapped model."""
    from seqtant.lm import HuggingFaceLM, batch_continuation_log_probs, next_token_log_probs, token_log_probs

    wrapped = HuggingFaceLM(model)

    def choose(prompts: Ids, choices: Ids) -> Tensor:
        found = batch_continuation_log_probs(wrapped, prompts, [choices] * len(prompts))
        return torch.stack([torch.stack([line.sum() for line in own]) for own in found])

    return {
        "model": wrapped,
        "scores": lambda sequences: token_log_probs(wrapped, sequences),
        "choices": choose,
        "prefixes": lambda sequences, places: torch.stack(
            next_token_log_probs(wrapped, sequences, [places] * len(sequences))
        ),
    }
