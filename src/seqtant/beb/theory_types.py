"""What every theorem of the room returns, a length with its terms, and the checks of what goes in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from seqtant.errors import InputError


@dataclass(frozen=True)
class Length:
    """A length at which alignment has failed.

    Example:
        >>> length = Length(8.6, {"evidence": 7.6, "trigger": 1.0})
        >>> length.whole, round(length.tokens(12.0), 6), round(length.turns(2.0), 6)
        (9, 103.2, 4.3)
    """

    sentences: float
    """Length in sentences; the inequality is strict, so the prompt must be longer."""
    terms: Mapping[str, float] = field(default_factory=dict[str, float])
    """What it is made of, in sentences."""

    @property
    def whole(self) -> int:
        """The least whole number of sentences that is strictly longer."""
        return math.floor(self.sentences) + 1

    def tokens(self, per_sentence: float) -> float:
        """The length in tokens."""
        return self.sentences * per_sentence

    def turns(self, sentences_per_turn: float) -> float:
        """The length in turns of the user."""
        return self.sentences / sentences_per_turn


def positive(name: str, value: float, why: str = "give a positive number") -> float:
    """A finite number above 0.

    Raises:
        InputError: It is not.
    """
    if not 0 < value < math.inf:
        raise InputError(f"{name} is {value}: {why}")
    return value


def checked_beta(beta: float) -> float:
    """Evidence per sentence, above 0.

    Raises:
        InputError: It is not.
    """
    return positive("beta", beta, "without positive beta the parts cannot be told apart: there is no guarantee")


def checked_eps(eps: float) -> float:
    """A distance of behaviors, in (0, 2).

    Raises:
        InputError: It is not.
    """
    if not 0 < eps < 2:
        raise InputError(f"eps is {eps}: behavior spans -1 to 1, so eps must lie between 0 and 2, both excluded")
    return eps


def checked_delta(delta: float) -> float:
    """A share, in (0, 1).

    Raises:
        InputError: It is not.
    """
    if not 0 < delta < 1:
        raise InputError(f"delta is {delta}: the share that may escape lies between 0 and 1, both excluded")
    return delta


def checked_log_alpha(log_alpha: float) -> float:
    """The log of a weight, finite and below 0.

    Raises:
        InputError: It is not.
    """
    if not -math.inf < log_alpha < 0:
        raise InputError(f"log_alpha is {log_alpha}: log(alpha) must be finite and below 0 (alpha > 0 is assumed)")
    return log_alpha
