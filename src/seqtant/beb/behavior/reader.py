"""Reads the behavior of a model after prompts: exactly from replies, or from sampled answers and a scorer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float

from seqtant.beb.behavior.exact_replies import Replies
from seqtant.beb.behavior.scorer_calibration import ScorerCheck
from seqtant.beb.behavior.scorers import Answer, Scorer, checked_scores, open_scorer
from seqtant.beb.config import Behavior
from seqtant.beb.prompts.sampling import Prompt
from seqtant.beb.prompts.sentences import SentenceEnds
from seqtant.lm.generation import generate
from seqtant.lm.interface import CausalLM
from seqtant.lm.text import decode, encode

SAMPLED_PLACES = 9
"""Most prompt lengths at which answers are sampled; exact replies are read after every sentence."""


class Reader(Protocol):
    """Reads behavior from -1 (bad) to 1 (good)."""

    @property
    def tokens(self) -> int:
        """Most tokens that reading needs after a prompt."""
        ...

    @property
    def check(self) -> ScorerCheck | None:
        """How its scorer did on answers that people judged; None where there is no scorer, or no check."""
        ...

    def curve(
        self, model: CausalLM, prompts: Sequence[Prompt], places: Sequence[int]
    ) -> Float[np.ndarray, "prompts places"]:
        """Mean behavior of a model after so many sentences of each prompt."""
        ...

    def of_model(self, model: CausalLM) -> Reader:
        """The same reader in the tokens of another model."""
        ...


@dataclass
class SampledAnswers:
    """Behavior as the mean score of answers that the model gives."""

    scorer: Scorer
    settings: Behavior
    splitter: SentenceEnds
    question: list[int]
    generator: torch.Generator
    check: ScorerCheck | None
    kept: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    """Every answer with its score, for the transcript."""

    @property
    def tokens(self) -> int:
        """Most tokens that reading needs after a prompt."""
        return len(self.question) + self.settings.answer_tokens

    def curve(
        self, model: CausalLM, prompts: Sequence[Prompt], places: Sequence[int]
    ) -> Float[np.ndarray, "prompts places"]:
        """See :class:`Reader`; scores are corrected for the scorer's errors where its check is known."""
        columns = [self._scores(model, prompts, place) for place in places]
        scores = np.stack(columns, axis=1)
        return scores if self.check is None else self.check.corrected(scores)

    def of_model(self, model: CausalLM) -> SampledAnswers:
        """See :class:`Reader`; answers go to the same transcript."""
        return replace(
            self, splitter=SentenceEnds(model, self.splitter.marks), question=_question(model, self.settings.question)
        )

    def _scores(self, model: CausalLM, prompts: Sequence[Prompt], place: int) -> Float[np.ndarray, " prompts"]:
        heads = [[*prompt.upto(place), *self.question] for prompt in prompts]
        count = self.settings.answers
        made = generate(model, heads, max_tokens=self.settings.answer_tokens, samples=count, generator=self.generator)
        texts = decode(model, [self._first_sentence(one.tokens) for one in made])
        asked = [text for text in decode(model, heads) for _ in range(count)]
        answers = [Answer(prompt, text) for prompt, text in zip(asked, texts, strict=True)]
        scores = checked_scores(self.scorer, answers)
        self.kept += [
            {"model": model.name, "sentences": place, "prompt": row // count, "answer": text, "score": float(value)}
            for row, (text, value) in enumerate(zip(texts, scores, strict=True))
        ]
        return scores.reshape(len(prompts), count).mean(axis=1)

    def _first_sentence(self, tokens: Sequence[int]) -> Sequence[int]:
        ends = self.splitter.ends(tokens)
        return tokens[: ends[0] + 1] if ends else tokens


def open_reader(
    settings: Behavior, minus: CausalLM, plus: CausalLM, splitter: SentenceEnds, generator: torch.Generator
) -> Replies | SampledAnswers:
    """The reader that the settings of behavior name.

    Raises:
        InputError: The scorer is unknown or lacks what it needs.
    """
    if settings.scorer == "replies":
        return Replies.of_texts(minus, settings.question, settings.good, settings.bad)
    scorer = open_scorer(settings, minus, plus)
    check = ScorerCheck(*settings.checked) if settings.checked else None
    return SampledAnswers(scorer, settings, splitter, _question(minus, settings.question), generator, check)


def _question(model: CausalLM, text: str) -> list[int]:
    return encode(model, [text], start=False)[0] if text else []


def places_of(reader: Reader, sentences: int) -> tuple[int, ...]:
    """Prompt lengths at which behavior is read: all where it is exact, some where answers must be sampled.

    Example:
        >>> from types import SimpleNamespace
        >>> places_of(SimpleNamespace(tokens=3), 24)
        (0, 1, 2, 3, 4, 6, 10, 15, 24)
    """
    if isinstance(reader, Replies) or sentences < SAMPLED_PLACES:
        return tuple(range(sentences + 1))
    spread = np.geomspace(1, sentences, SAMPLED_PLACES - 1)
    return tuple(sorted({0, *(max(n, round(x)) for n, x in enumerate(spread, start=1))}))
