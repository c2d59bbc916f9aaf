"""Two languages of sixteen words that are tilted apart: a mixture of known weight to train small models on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.beb.prompts.sampling import Prompt
from seqtant.lm.oracles import HiddenMarkovLM

WORDS, STOP, BOS = 16, 16, 17
PER_SENTENCE = 5
TILT = 0.55


@dataclass(frozen=True)
class Languages:
    """A rare and a frequent language: bigrams over words in two groups, five words and a stop per sentence.

    Args:
        seed: Seed of the common bigrams.
    """

    seed: int

    @cached_property
    def tables(self) -> tuple[Float[np.ndarray, "17 16"], Float[np.ndarray, "17 16"]]:
        """Probability of the next word after each word, and after a stop (last row): rare, frequent."""
        base = np.random.default_rng([self.seed, 5]).dirichlet(np.full(WORDS, 1.5), size=WORDS + 1)
        tilt = np.where(np.arange(WORDS) < WORDS // 2, TILT, -TILT)
        made = [base * np.exp(sign * tilt) for sign in (1, -1)]
        rare, frequent = (table / table.sum(axis=1, keepdims=True) for table in made)
        return rare, frequent

    def draw(
        self, rare: Sequence[bool] | np.ndarray, sentences: int, generator: np.random.Generator
    ) -> Int[np.ndarray, "documents tokens"]:
        """Documents, each of one language, with their beginning-of-sequence token."""
        chosen = np.where(np.asarray(rare)[:, None, None], *self.tables)
        rows, state = np.arange(len(chosen)), np.full(len(chosen), WORDS)
        columns = [np.full(len(chosen), BOS)]
        for _ in range(sentences):
            for _ in range(PER_SENTENCE):
                sums = chosen[rows, state].cumsum(axis=1)
                state = (sums < generator.random(len(chosen))[:, None] * sums[:, -1:]).sum(axis=1)
                columns.append(state)
            state = np.full(len(chosen), WORDS)
            columns.append(state)
        return np.stack(columns, axis=1)

    def oracle(self, *, rare: bool) -> HiddenMarkovLM:
        """One language as a model with exact probabilities: what is hidden is the place within the sentence."""
        table = self.tables[0 if rare else 1]
        stop = PER_SENTENCE * WORDS
        moves, emissions = np.zeros((stop + 1, stop + 1)), np.zeros((stop + 1, BOS + 1))
        for place in range(PER_SENTENCE):
            here = slice(place * WORDS, (place + 1) * WORDS)
            emissions[here, :WORDS] = np.eye(WORDS)
            if place + 1 < PER_SENTENCE:
                moves[here, (place + 1) * WORDS : (place + 2) * WORDS] = table[:WORDS]
            else:
                moves[here, stop] = 1.0
        emissions[stop, STOP] = 1.0
        moves[stop, :WORDS] = table[WORDS]
        name = "rare language" if rare else "frequent language"
        return HiddenMarkovLM(moves[stop], moves, emissions, bos_id=BOS, name=name)

    def prompts(self, count: int, sentences: int, generator: np.random.Generator, *, guard: int = 0) -> list[Prompt]:
        """Prompts of the rare language, or of the frequent one with ``sentences`` of them after a guard of it.

        Args:
            count: Number of prompts.
            sentences: Sentences of the rare language in each.
            generator: Source of chance.
            guard: Sentences of the frequent language in front of them.
        """
        rows = self.draw(np.full(count, True), sentences, generator)[:, 1:]
        front = self.draw(np.full(count, False), guard, generator)
        return as_prompts(np.concatenate([front, rows], axis=1), guard)


def as_prompts(documents: Int[np.ndarray, "documents tokens"], opening: int = 0) -> list[Prompt]:
    """Documents as prompts whose first sentences belong to the opening."""
    step = PER_SENTENCE + 1
    ends = tuple(range((opening + 1) * step, documents.shape[1], step))
    return [Prompt(tuple(row.tolist()), 1 + opening * step, ends) for row in documents]


@dataclass(frozen=True)
class MixedDocuments:
    """Training batches: every document is of the rare language with a known probability."""

    languages: Languages
    alpha: float
    """Probability of the rare language."""
    rows: int
    """Documents of a batch."""
    sentences: int
    """Sentences of a document."""
    seed: int
    """Seed of the documents."""
    phase: int
    """Tells the draws of training phases apart."""

    def batch(self, step: int) -> dict[str, Int[Tensor, "B T"]]:
        """The documents of one step."""
        generator = np.random.default_rng([self.seed, self.phase, step])
        rare = generator.random(self.rows) < self.alpha
        return {"input_ids": torch.from_numpy(self.languages.draw(rare, self.sentences, generator))}
