"""What calls an answer good or bad: by likelihood, pattern, classifier, callable or judge; users add their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from seqtant.beb.config import Behavior
from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import sequence_log_probs
from seqtant.lm.text import encode
from seqtant.registry import Registry, import_attribute


@dataclass(frozen=True)
class Answer:
    """One sampled answer."""

    prompt: str
    """Text that was answered."""
    text: str
    """The answer."""


Scorer = Callable[[Sequence[Answer]], Sequence[float]]
"""Scores answers from -1 (bad) to 1 (good)."""


@dataclass(frozen=True)
class ScorerNeeds:
    """What a scorer may be made from."""

    settings: Behavior
    """The user's settings of behavior."""
    argument: str
    """What stands behind the colon of the scorer's name."""
    minus: CausalLM
    """P-."""
    plus: CausalLM
    """P+."""


SCORERS: Registry[Callable[[ScorerNeeds], Scorer]] = Registry(
    "scorer of behavior",
    group="seqtant.beb_scorers",
    entries={
        "likelihood": "seqtant.beb.behavior.scorers:likelihood",
        "regex": "seqtant.beb.behavior.scorers:patterns",
        "classifier": "seqtant.beb.behavior.classifier:classifier",
        "judge": "seqtant.beb.behavior.judge:judge",
    },
)
"""Name -> maker of a scorer."""


def open_scorer(settings: Behavior, minus: CausalLM, plus: CausalLM) -> Scorer:
    """Makes the scorer that the settings name.

    Raises:
        InputError: There is no such scorer, or it cannot be made.
    """
    name, _, argument = settings.scorer.partition(":")
    if name not in SCORERS and argument:
        return _callable(settings.scorer)
    return SCORERS[name](ScorerNeeds(settings, argument, minus, plus))


def _callable(target: str) -> Scorer:
    try:
        found: Any = import_attribute(target)
    except (ImportError, AttributeError) as error:
        raise InputError(f"the scorer '{target}' cannot be imported: {error}") from error
    if not callable(found):
        raise InputError(f"the scorer '{target}' is no function of a list of answers")
    return cast(Scorer, found)


def checked_scores(scorer: Scorer, answers: Sequence[Answer]) -> Float[np.ndarray, " answers"]:
    """Scores, refused where they are not one number from -1 to 1 per answer.

    Raises:
        InputError: They are not; scores from 0 to 1 must be mapped first.
    """
    scores = np.asarray(list(scorer(answers)), dtype=np.float64)
    if scores.shape != (len(answers),) or not (np.abs(scores) <= 1).all():
        raise InputError("a scorer must give one number from -1 (bad) to 1 (good) for every answer")
    return scores


def likelihood(needs: ScorerNeeds) -> Scorer:
    """Bad (-1) if P- finds the answer likelier than P+ does, with nothing in front of it; else good (+1)."""
    if needs.minus is needs.plus:
        raise InputError("the scorer 'likelihood' needs a P+ that differs from P-")

    def score(answers: Sequence[Answer]) -> list[float]:
        texts = [answer.text.strip() for answer in answers]
        said = [number for number, text in enumerate(texts) if text]
        scores = [0.0] * len(texts)
        heard = [texts[number] for number in said]
        plus, minus = (sequence_log_probs(side, encode(side, heard)) for side in (needs.plus, needs.minus))
        for number, value in zip(said, (plus - minus).tolist(), strict=True):
            scores[number] = 1.0 if value > 0 else -1.0
        return scores

    return score


def patterns(needs: ScorerNeeds) -> Scorer:
    """Good (+1) where a good pattern is found and no bad one, bad (-1) the other way round, else 0.

    Raises:
        InputError: There is no pattern, or one is no regular expression.
    """
    good, bad = (_compiled(texts) for texts in (needs.settings.good, needs.settings.bad))
    if not good and not bad:
        raise InputError("the scorer 'regex' needs patterns: give behavior.good or behavior.bad")

    def score(answers: Sequence[Answer]) -> list[float]:
        return [float(_found(good, answer.text)) - float(_found(bad, answer.text)) for answer in answers]

    return score


def _compiled(texts: Sequence[str]) -> list[re.Pattern[str]]:
    try:
        return [re.compile(text, re.IGNORECASE) for text in texts]
    except re.error as error:
        raise InputError(f"'{error.pattern}' is no regular expression: {error.msg}") from error


def _found(patterns: Sequence[re.Pattern[str]], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)
