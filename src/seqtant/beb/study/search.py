"""Three ways to build a prompt that misaligns, sentence by sentence, for many searches at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seqtant.beb.prompts.divergence import gather
from seqtant.beb.prompts.sampling import Prompt, draw_prompts
from seqtant.beb.study.components_study import Study


@dataclass(frozen=True)
class Candidate:
    """A prompt under way."""

    prompt: Prompt
    ratio: float
    """log P-/model of all its sentences, in nats."""
    search: int
    """Which search it belongs to."""


def begin(study: Study, searches: int) -> list[Candidate]:
    """One empty prompt per search."""
    return [Candidate(Prompt(study.opening, len(study.opening), ()), 0.0, number) for number in range(searches)]


def extend(
    study: Study, kept: Sequence[Candidate], *, draws: int, beams: int, generator: torch.Generator
) -> list[Candidate]:
    """Adds one sentence to every prompt: of ``draws`` from P- after each, the best ``beams`` of every search stay.

    ``draws=1, beams=1`` is the construction in the proof of Theorem 1; ``beams=1`` is best of m; else a beam search.
    What counts is how much likelier P- finds the prompt than the model does.

    Args:
        study: The sides.
        kept: The prompts so far.
        draws: Sentences drawn after each.
        beams: Prompts of a search that stay.
        generator: Source of chance.
    """
    parents = [candidate for candidate in kept for _ in range(draws)]
    drawn = draw_prompts(
        study.minus,
        [parent.prompt.ids for parent in parents],
        1,
        study.splitter,
        generator=generator,
        room=study.room,
    )
    (evidence,) = gather(study.minus, [study.model], drawn.prompts, floor=study.config.floor)
    grown = [
        Candidate(
            Prompt(new.ids, parents[row].prompt.start, (*parents[row].prompt.ends, *new.ends)),
            parents[row].ratio + float(gain),
            parents[row].search,
        )
        for new, row, gain in zip(drawn.prompts, drawn.rows, evidence.log_ratio[:, 0], strict=True)
    ]
    best: list[Candidate] = []
    for search in dict.fromkeys(candidate.search for candidate in grown):
        mine = {candidate.prompt.ids: candidate for candidate in grown if candidate.search == search}
        best += sorted(mine.values(), key=lambda candidate: -candidate.ratio)[:beams]
    return best


def behavior_after(study: Study, candidates: Sequence[Candidate]) -> np.ndarray:
    """The model's behavior after every prompt."""
    prompts = [candidate.prompt for candidate in candidates]
    places = sorted({len(prompt.ends) for prompt in prompts})
    assert len(places) == 1
    return study.reader.curve(study.model, prompts, places)[:, 0]
