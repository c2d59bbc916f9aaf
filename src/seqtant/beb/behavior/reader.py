"""Reads the behavior of a model after prompts: exactly from replies, or from sampled answers and a scorer.

A scorer makes errors. Where answers that people judged tell its sensitivity and specificity, scores are corrected for
them, and the uncertainty of the check is carried along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.beb.behavior.scorers import Answer, Scorer, checked_scores, open_scorer
from seqtant.beb.config import Behavior
from seqtant.beb.prompts.sampling import Prompt, SentenceEnds
from seqtant.errors import InputError
from seqtant.lm.generation import generate
from seqtant.lm.interface import CausalLM, decode, encode, pad
from seqtant.processes import over_batches

SAMPLED_LENGTHS = 9
"""Most prompt lengths at which answers are sampled; exact replies are read after every sentence."""
BATCH = 32
"""Prompts read side by side."""


@dataclass(frozen=True)
class ScorerCheck:
    """Counts how a binary scorer did on answers that people judged.

    Example:
        >>> check = ScorerCheck(90, 100, 95, 100)
        >>> round(float(check.correct(np.array([0.0]))[0]), 4)
        -0.0588
    """

    bad_found: int
    """Bad answers that the scorer called bad."""
    bad: int
    """Bad answers."""
    good_found: int
    """Good answers that the scorer called good."""
    good: int
    """Good answers."""

    @property
    def rates(self) -> tuple[float, float]:
        """Sensitivity and specificity: the shares of bad and of good answers that the scorer calls so."""
        return self.bad_found / self.bad, self.good_found / self.good

    def correct(
        self, scores: Float[np.ndarray, ...], rates: tuple[float, float] | None = None
    ) -> Float[np.ndarray, ...]:
        """Computes the true mean behind a mean score (Rogan and Gladen, 1978).

        The share called bad is sensitivity q + (1 - specificity)(1 - q), where q is the share that is bad; solving for
        q needs sensitivity plus specificity above 1. The correction is linear, so it may be made before or after scores
        are averaged; what it makes of few answers may lie beyond -1 and 1, and cutting that off would bias averages.
        """
        hits, passes = rates or self.rates
        gain = hits + passes - 1
        if gain <= 0:
            raise InputError(
                f"a scorer of sensitivity {hits:.2f} and specificity {passes:.2f} is no better than chance: use another"
            )
        # A score is 1 - 2 times the share called bad.
        called_bad = (1 - np.asarray(scores)) / 2
        true_bad = (called_bad - (1 - passes)) / gain
        return 1 - 2 * true_bad

    def recorrect(self, scores: Float[np.ndarray, ...], rates: tuple[float, float]) -> Float[np.ndarray, ...]:
        """Turns scores that were corrected with the observed rates into those that other rates would have given.

        Example:
            >>> check = ScorerCheck(90, 100, 95, 100)
            >>> raw = np.array([0.25])
            >>> bool(np.isclose(check.recorrect(check.correct(raw), (0.8, 0.9)), check.correct(raw, (0.8, 0.9))))
            True
        """
        hits, passes = self.rates
        # The inverse of the observed correction, back to the share called bad.
        called_bad = (hits + passes - 1) * (1 - np.asarray(scores)) / 2 + 1 - passes
        return self.correct(1 - 2 * called_bad, rates)

    def sample_rates(self, count: int, generator: np.random.Generator) -> Float[np.ndarray, "samples 2"]:
        """Samples sensitivities and specificities from their Jeffreys posterior, given that they beat a coin."""
        # Beta(found + 1/2, missed + 1/2), Jeffreys prior.
        hits = self.bad_found + 0.5, self.bad - self.bad_found + 0.5
        passes = self.good_found + 0.5, self.good - self.good_found + 0.5
        rates = np.zeros((count, 2))
        # Rejection: pairs that are no better than a coin are sampled again.
        while (poor := rates.sum(axis=1) <= 1).any():
            missing = int(poor.sum())
            rates[poor] = np.stack([generator.beta(*hits, missing), generator.beta(*passes, missing)], axis=1)
        return rates


class Replies:
    """Reads behavior as the odds of given replies: (P(good) - P(bad)) / (P(good) + P(bad)), in [-1, 1].

    A prompt is read once. After each sentence the question branches off the cache, which is a value and stays as it
    was; nothing is sampled.
    """

    check = None
    """Nothing is scored: there are no errors of a scorer."""

    def __init__(self, question: Sequence[int], good: Sequence[Sequence[int]], bad: Sequence[Sequence[int]]) -> None:
        self.question, self._good, self._bad = list(question), good, bad
        self._texts: tuple[str, Sequence[str], Sequence[str]] | None = None
        # Space in the context for the question and the longest reply.
        self.reserved_tokens = len(self.question) + max(map(len, [*good, *bad]))

    @classmethod
    def of_texts(cls, model: CausalLM, question: str, good: Sequence[str], bad: Sequence[str]) -> Replies:
        """Encodes question (which may be empty) and replies with the tokenizer of a model."""
        if not good or not bad:
            raise InputError("the scorer 'replies' needs good and bad replies: give behavior.good and behavior.bad")
        if set(good) & set(bad):
            raise InputError(f"the reply '{min(set(good) & set(bad))}' is both good and bad")
        replies = (encode(model, list(texts), start=False) for texts in (good, bad))
        made = cls(_question(model, question), *replies)
        made._texts = (question, good, bad)
        return made

    def for_model(self, model: CausalLM) -> Replies:
        """The same question and replies in the tokens of another model."""
        return self if self._texts is None else Replies.of_texts(model, *self._texts)

    @torch.no_grad()
    def curve(
        self, model: CausalLM, prompts: Sequence[Prompt], lengths: Sequence[int]
    ) -> Float[np.ndarray, "prompts lengths"]:
        """Computes the behavior of a model after the first sentences of each prompt; lengths ascend."""

        def rows_of(rows: Sequence[int]) -> dict[int, Float[np.ndarray, " lengths"]]:
            result = np.empty((len(rows), len(lengths)))
            cache, read = None, [0] * len(rows)
            for column, length in enumerate(lengths):
                # Only the new tokens are read. Padding on the left: every row's last position predicts what follows.
                heads = [prompts[row].upto(length) for row in rows]
                new = [torch.tensor(head[done:], dtype=torch.long) for head, done in zip(heads, read, strict=True)]
                batch = pad(new, range(len(new)), model, side="left")
                output = model.forward(batch.input_ids, batch.mask, cache=cache, keep=1, use_cache=True)
                cache, read = output.cache, [len(head) for head in heads]
                result[:, column] = self._score(model, cache, output.logits[:, -1])
            return dict(zip(rows, result, strict=True))

        groups = [range(begin, min(begin + BATCH, len(prompts))) for begin in range(0, len(prompts), BATCH)]
        found = over_batches(groups, rows_of)
        return np.array([found[row] for row in range(len(prompts))]).reshape(len(prompts), len(lengths))

    def _score(self, model: CausalLM, cache: Any, logits: Tensor) -> Float[np.ndarray, " prompts"]:
        """Scores the replies that may follow a cache; ``logits`` are those of its next token."""
        rows = logits.shape[0]
        if self.question:
            ids = torch.tensor(self.question, device=model.device).expand(rows, -1)
            output = model.forward(ids, cache=cache, keep=1, use_cache=True)
            cache, logits = output.cache, output.logits[:, -1]
        totals = []
        for replies in (self._good, self._bad):
            log_probs = []
            for reply in replies:
                log_prob = torch.log_softmax(logits.double(), dim=-1)[:, reply[0]]
                if len(reply) > 1:
                    ids = torch.tensor(reply, device=model.device).expand(rows, -1)
                    after = torch.log_softmax(model.forward(ids[:, :-1], cache=cache).logits.double(), dim=-1)
                    log_prob = log_prob + after.gather(2, ids[:, 1:, None]).squeeze(2).sum(dim=1)
                log_probs.append(log_prob)
            totals.append(torch.stack(log_probs, dim=1).logsumexp(dim=1))
        # (g - b) / (g + b) = tanh((log g - log b) / 2), without underflow.
        return torch.tanh((totals[0] - totals[1]) / 2).cpu().numpy()


@dataclass
class SampledAnswers:
    """Reads behavior as the mean score of answers that the model gives."""

    scorer: Scorer
    settings: Behavior
    splitter: SentenceEnds
    question: list[int]
    """Token ids after the prompt, before the answer."""
    generator: torch.Generator
    check: ScorerCheck | None
    """How the scorer did on answers that people judged."""
    kept: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    """Every answer with its score, for the transcript."""

    @property
    def reserved_tokens(self) -> int:
        """Most tokens that follow a prompt."""
        return len(self.question) + self.settings.answer_tokens

    def for_model(self, model: CausalLM) -> SampledAnswers:
        """The same reader in the tokens of another model; answers go to the same transcript."""
        return replace(
            self, splitter=SentenceEnds(model, self.splitter.marks), question=_question(model, self.settings.question)
        )

    def curve(
        self, model: CausalLM, prompts: Sequence[Prompt], lengths: Sequence[int]
    ) -> Float[np.ndarray, "prompts lengths"]:
        """Samples and scores answers after the first sentences of each prompt, corrected where a check is known."""
        count, columns = self.settings.answers, []
        for length in lengths:
            heads = [[*prompt.upto(length), *self.question] for prompt in prompts]
            most = self.settings.answer_tokens
            made = generate(model, heads, max_tokens=most, samples=count, generator=self.generator)
            # An answer is its first sentence.
            ends = [self.splitter.ends(one.tokens) for one in made]
            firsts = [one.tokens[: end[0] + 1] if end else one.tokens for one, end in zip(made, ends, strict=True)]
            texts = decode(model, firsts)
            # Answers of one prompt follow each other; every scorer gets the prompt they answer.
            asked = [text for text in decode(model, heads) for _ in range(count)]
            answers = [Answer(prompt, text) for prompt, text in zip(asked, texts, strict=True)]
            scores = checked_scores(self.scorer, answers)
            self.kept += [
                {
                    "model": model.name,
                    "sentences": length,
                    "prompt": row // count,
                    "answer": text,
                    "score": float(score),
                }
                for row, (text, score) in enumerate(zip(texts, scores, strict=True))
            ]
            columns.append(scores.reshape(len(prompts), count).mean(axis=1))
        means = np.stack(columns, axis=1)
        return means if self.check is None else self.check.correct(means)


Reader = Replies | SampledAnswers
"""Reads behavior from -1 (bad) to 1 (good)."""


def open_reader(
    settings: Behavior, minus: CausalLM, plus: CausalLM, splitter: SentenceEnds, generator: torch.Generator
) -> Reader:
    """Makes the reader that the settings of behavior name."""
    if settings.scorer == "replies":
        return Replies.of_texts(minus, settings.question, settings.good, settings.bad)
    scorer = open_scorer(settings, minus, plus)
    check = ScorerCheck(*settings.checked) if settings.checked else None
    return SampledAnswers(scorer, settings, splitter, _question(minus, settings.question), generator, check)


def _question(model: CausalLM, text: str) -> list[int]:
    return encode(model, [text], start=False)[0] if text else []


def prompt_lengths(reader: Reader, sentences: int) -> tuple[int, ...]:
    """Chooses prompt lengths at which behavior is read: all where it is exact, some where answers must be sampled."""
    if isinstance(reader, Replies) or sentences < SAMPLED_LENGTHS:
        return tuple(range(sentences + 1))
    spread = np.geomspace(1, sentences, SAMPLED_LENGTHS - 1)
    # Rounded, but each at least its number: the first lengths stay distinct.
    return tuple(sorted({0, *(max(n, round(x)) for n, x in enumerate(spread, start=1))}))
