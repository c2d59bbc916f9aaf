"""Whether a model infers the persona: sentence by sentence, its next words beside the world's and the persona's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from seqtant.findings import Estimate
from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import log_prob_blocks, next_token_log_probs
from seqtant.reference.measures.divergence import divergences
from seqtant.reference.oracle import WorldLM
from seqtant.reference.prompts import Prompts
from seqtant.stats.fits import fit_line
from seqtant.stats.intervals import mean


@dataclass(frozen=True)
class PersonaCurve:
    """What a model makes of talks, by number of sentences read (0, 1, ...); divergences in nats per sentence."""

    personas: tuple[str, ...]
    """Who speaks: one of these, by their weights."""
    to_world: tuple[Estimate, ...]
    """KL(world || model) of the next sentence: the model's error."""
    to_personas: tuple[Estimate, ...]
    """KL(personas || model) of the next sentence: falls as the personas are inferred."""
    exact_to_personas: tuple[Estimate, ...]
    """KL(personas || world) of the next sentence, on the same talks."""


def follow(
    model: CausalLM,
    prompts: Prompts,
    personas: tuple[str, ...],
    *,
    talks: int,
    sentences: int,
    generator: np.random.Generator,
) -> PersonaCurve:
    """Lets personas talk and scores every next word.

    Args:
        model: A model over the world's vocabulary.
        prompts: Where the talks come from.
        personas: Who speaks; each talk is one's, drawn by weight.
        talks: Number of talks.
        sentences: Sentences of each.
        generator: Source of chance.
    """
    world, alone = prompts.world, prompts.world.component("talk", *personas)
    speakers = generator.choice(personas, size=talks, p=alone.kinds["talk"].prior)
    said = [world.encode(prompts.persona(str(speaker), sentences, generator)) for speaker in speakers]
    ends = torch.tensor([world.vocabulary.id(mark) for mark in (".", "!")])
    numbers = [_sentences_before(torch.tensor(tokens), ends) for tokens in said]
    opening = len(world.titles["talk"])
    sums = np.zeros((3, talks, sentences))
    for block in log_prob_blocks([WorldLM(world), WorldLM(alone), model], said):
        mixed, own, ours = (scores.double() for scores in block.log_probs)
        for line, row in enumerate(block.rows.tolist()):
            kept = block.real[line] & (block.positions >= opening - 1)
            index = numbers[row][block.positions[kept]].numpy()
            for part, (first, second) in enumerate(((mixed, ours), (own, ours), (own, mixed))):
                np.add.at(sums[part, row], index, divergences(first[line][kept], second[line][kept]).numpy())
    curves = [tuple(mean(sums[part, :, n], unit="nats") for n in range(sentences)) for part in range(3)]
    return PersonaCurve(personas, *curves)


def _sentences_before(
    tokens: Int[torch.Tensor, " time"], ends: Int[torch.Tensor, " marks"]
) -> Int[torch.Tensor, " time"]:
    """Number of complete sentences up to and with each token."""
    return torch.isin(tokens, ends).cumsum(dim=0)


@dataclass(frozen=True)
class ToneTracking:
    """Log-odds of a bright reply to ``how are you ?``: the model's against the world's exact ones, over prompts."""

    slope: Estimate
    """Slope of the least-squares line, model on world; 1 is perfect."""
    correlation: float
    """Pearson correlation."""
    error: float
    """Root mean square of the difference, in nats."""


def track_tone(
    model: CausalLM, prompts: Prompts, *, talks: int, lengths: tuple[int, ...], generator: np.random.Generator
) -> ToneTracking:
    """Asks how the speaker is after talks of every persona and of several lengths.

    Args:
        model: A model over the world's vocabulary.
        prompts: Where the talks come from.
        talks: Talks per persona and length.
        lengths: Numbers of sentences before the question.
        generator: Source of chance.
    """
    openings = [
        prompts.persona(persona.name, length, generator)
        for persona in prompts.settings.talk.personas
        for length in lengths
        for _ in range(talks)
    ]
    questions = [prompts.mood(opening) for opening in openings]
    bright = [prompts.world.vocabulary.id(word) for word in prompts.bright_replies()]
    dark = [prompts.world.vocabulary.id(word) for word in prompts.dark_replies()]
    rows = next_token_log_probs(model, [prompts.world.encode(question.prompt) for question in questions])
    ours = np.array([float(row[-1, bright].logsumexp(0) - row[-1, dark].logsumexp(0)) for row in rows])
    exact = np.array([_log_odds(question.probabilities, len(bright)) for question in questions])
    return _tracking(exact, ours)


def _log_odds(probabilities: tuple[float, ...], bright: int) -> float:
    return float(np.log(sum(probabilities[:bright])) - np.log(sum(probabilities[bright:])))


def _tracking(exact: Float[np.ndarray, " prompts"], ours: Float[np.ndarray, " prompts"]) -> ToneTracking:
    return ToneTracking(
        slope=fit_line(exact, ours).estimate("slope"),
        correlation=float(np.corrcoef(exact, ours)[0, 1]),
        error=float(np.sqrt(np.mean((ours - exact) ** 2))),
    )
