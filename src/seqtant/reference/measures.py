"""Measurements of a model against the world it was trained on: language, personas, problems, facts and games."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from seqtant.findings import Estimate
from seqtant.lm.generation import Sampling, generate
from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import log_prob_blocks, next_token_log_probs
from seqtant.progress import SILENT, Progress
from seqtant.reference.oracle import WorldLM
from seqtant.reference.prompts import Prompts, Question
from seqtant.reference.world.facts import Problem
from seqtant.reference.world.world import World
from seqtant.stats.fits import fit_line
from seqtant.stats.intervals import clustered_mean, mean, share


def divergences(
    first: Float[Tensor, "*positions vocabulary"], second: Float[Tensor, "*positions vocabulary"]
) -> Float[Tensor, "*positions"]:
    """KL(first || second) at every position, in nats; a token that cannot come under the first counts nothing.

    Args:
        first: Log-probabilities.
        second: Log-probabilities; where the first has some, minus infinity makes the divergence infinite.

    Example:
        >>> certain = torch.tensor([0.0, -torch.inf])
        >>> divergences(certain, torch.tensor([0.5, 0.5]).log()).item(), divergences(certain, certain).item()
        (0.6931471824645996, 0.0)
    """
    probabilities = first.exp()
    return torch.where(probabilities > 0, probabilities * (first - second), 0.0).sum(dim=-1)


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
        generator: Random generator; must differ from the training's.
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
        columns = (  # of a Gap, each [rows, positions]
            torch.special.entr(truth.exp()).sum(dim=-1),
            -ours.gather(-1, targets)[..., 0],
            -truth.gather(-1, targets)[..., 0],
            divergences(truth, ours),
        )
        parts.append(np.stack([column[block.real].numpy() for column in columns], axis=1))
        owners.append(block.rows[:, None].expand_as(block.real)[block.real].numpy())
    values, owner = np.concatenate(parts), np.concatenate(owners)
    kinds = np.array([document.kind for document in drawn])[owner]
    chosen = {"all": np.ones(len(owner), dtype=bool)} | {name: kinds == name for name in world.kinds}
    return {
        name: Gap(*(clustered_mean(values[here, column], owner[here], unit="nats") for column in range(4)))
        for name, here in chosen.items()
        if here.any()
    }


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
        generator: Random generator.
    """
    world, alone = prompts.world, prompts.world.component("talk", *personas)
    speakers = generator.choice(personas, size=talks, p=alone.kinds["talk"].prior)
    said = [world.encode(prompts.persona(str(speaker), sentences, generator)) for speaker in speakers]
    ends = torch.tensor([world.vocabulary.id(mark) for mark in (".", "!")])
    # Number of complete sentences up to and with each token.
    numbers = [torch.isin(torch.tensor(tokens), ends).cumsum(dim=0) for tokens in said]
    opening = len(world.encode("talk :"))
    sums = np.zeros((3, talks, sentences))  # per pair of distributions below: nats within each sentence
    for block in log_prob_blocks([WorldLM(world), WorldLM(alone), model], said):
        mixed, own, ours = (scores.double() for scores in block.log_probs)
        for line, row in enumerate(block.rows.tolist()):
            kept = block.real[line] & (block.positions >= opening - 1)
            index = numbers[row][block.positions[kept]].numpy()
            for part, (first, second) in enumerate(((mixed, ours), (own, ours), (own, mixed))):
                np.add.at(sums[part, row], index, divergences(first[line][kept], second[line][kept]).numpy())
    curves = [tuple(mean(sums[part, :, n], unit="nats") for n in range(sentences)) for part in range(3)]
    return PersonaCurve(personas, *curves)


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
        generator: Random generator.
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
    # A question lists its bright answers first.
    exact = np.array(
        [
            float(
                np.log(sum(question.probabilities[: len(bright)])) - np.log(sum(question.probabilities[len(bright) :]))
            )
            for question in questions
        ]
    )
    return ToneTracking(
        slope=fit_line(exact, ours).estimate("slope"),
        correlation=float(np.corrcoef(exact, ours)[0, 1]),
        error=float(np.sqrt(np.mean((ours - exact) ** 2))),
    )


@dataclass(frozen=True)
class Solved:
    """Which problems of one length are solved, by greedy decoding."""

    own_steps: Bool[np.ndarray, " problems"]
    """Whether the answer after the model's own steps is right."""
    step_by_step: Estimate
    """Share of right answers after the model's own steps."""
    chain: Estimate
    """Share of solutions right word for word."""
    at_once: Estimate
    """Share of right answers without steps."""


def solve(model: CausalLM, world: World, problems: Sequence[Problem]) -> Solved:
    """Solves problems step by step on the model's own words, and at once.

    Args:
        model: A model over the world's vocabulary.
        world: The world.
        problems: Problems of one length.
    """
    first = problems[0].settings.ordinals[0]
    openings = [world.encode(f"sums : {problem.question}") for problem in problems]
    starts = [[*opening, world.vocabulary.id(first)] for opening in openings]
    wholes = [problem.text(steps=True) for problem in problems]
    ends = [whole.removeprefix(f"{problem.question} ") for whole, problem in zip(wholes, problems, strict=True)]
    greedy: Any = {"sampling": Sampling(temperature=0)}
    made = [line.tokens for line in generate(model, starts, max_tokens=max(len(end.split()) for end in ends), **greedy)]
    # Only who has not answered where the true steps do is given the time of a whole problem.
    word = world.vocabulary.id("answer")
    if late := [row for row, tokens in enumerate(made) if word not in tokens[:-1]]:
        longest = max(len(whole.split()) for whole in wholes)
        for row, line in zip(
            late, generate(model, [starts[row] for row in late], max_tokens=longest, **greedy), strict=True
        ):
            made[row] = line.tokens
    asked = [[*opening, world.vocabulary.id("answer")] for opening in openings]
    direct = next_token_log_probs(model, asked)
    own: list[bool] = []
    chains = right_at_once = 0
    for problem, end, tokens, row in zip(problems, ends, made, direct, strict=True):
        text = f"{first} {world.words(tokens)}"
        # The answer is the word after the first "answer"; whatever the model says after it does not count.
        own.append(text.partition(" answer ")[2].partition(" ")[0] == problem.answer)
        chains += text.startswith(end)
        right_at_once += world.words(int(row[-1].argmax())) == problem.answer
    count = len(problems)
    return Solved(np.array(own), share(sum(own), count), share(chains, count), share(right_at_once, count))


@dataclass(frozen=True)
class Recall:
    """Answers to some questions."""

    accuracy: Estimate
    """Share of questions whose likeliest answer (among all tokens) is the right one."""
    exact_accuracy: Estimate
    """The same for the world itself."""
    probability: float
    """Mean probability of the right answer."""
    exact_probability: float
    """The same for the world itself."""
    divergence: float
    """Mean divergence KL(world || model) over the answers, each distribution renormalized to them; in nats."""


def answer(model: CausalLM, world: World, questions: Sequence[Question]) -> Recall:
    """Answers questions by the model's most likely next token.

    Args:
        model: A model over the world's vocabulary.
        world: The world.
        questions: Prompts with their answers and exact probabilities.
    """
    scores = next_token_log_probs(model, [world.encode(question.prompt) for question in questions])
    hits = exact_hits = 0
    probability = exact_probability = divergence = 0.0
    for question, row in zip(questions, scores, strict=True):
        ids = torch.tensor([world.vocabulary.id(answer) for answer in question.answers])
        right = question.answers.index(question.right)
        truth = torch.tensor(question.probabilities, dtype=torch.float64)
        hits += int(row[-1].argmax()) == int(ids[right])
        exact_hits += int(truth.argmax()) == right
        probability += float(row[-1, ids[right]].exp())
        exact_probability += float(truth[right])
        # KL over the answers alone, both distributions renormalized to them.
        truth = truth / truth.sum()
        divergence += float((truth * (truth.log() - row[-1, ids].double().log_softmax(dim=0))).sum())
    count = len(questions)
    return Recall(
        accuracy=share(hits, count),
        exact_accuracy=share(exact_hits, count),
        probability=probability / count,
        exact_probability=exact_probability / count,
        divergence=divergence / count,
    )
