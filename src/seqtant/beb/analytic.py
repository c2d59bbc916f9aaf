"""A mixture whose every quantity is a finite sum: two components of independent good and bad sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import binom

from seqtant.beb.theory import bad_weight, checked_log_alpha
from seqtant.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class IidMixture:
    """P = alpha P- + (1 - alpha) P+, where each part makes a bad sentence with a probability of its own.

    A prompt matters only through its number of bad sentences, so all averages over prompts are binomial sums.

    Example:
        >>> mixture = IidMixture(log_alpha=-18.0, bad_minus=0.9, bad_plus=0.1)
        >>> round(mixture.beta, 4), round(float(mixture.target_divergences(60).sum()), 6)
        (1.7578, 18.0)
    """

    log_alpha: float
    """log of the weight of P-."""
    bad_minus: float
    """Probability of a bad sentence under P-."""
    bad_plus: float
    """Probability of a bad sentence under P+."""

    def __post_init__(self) -> None:
        checked_log_alpha(self.log_alpha)
        if not 0 < self.bad_plus < self.bad_minus < 1:
            raise InputError(
                f"bad_plus {self.bad_plus} and bad_minus {self.bad_minus}: they must rise, strictly between 0 and 1"
            )

    @property
    def _sentence_ratios(self) -> Array:
        """Log P-/P+ of a good and of a bad sentence."""
        # log1p keeps the digits of log(1 - p) where p is near 0.
        minus, plus = self.bad_minus, self.bad_plus
        return np.array([np.log1p(-minus) - np.log1p(-plus), np.log(minus) - np.log(plus)])

    @property
    def beta(self) -> float:
        """KL(P- || P+) of one sentence, the same after every prompt."""
        return float(np.array([1 - self.bad_minus, self.bad_minus]) @ self._sentence_ratios)

    @property
    def beta_prime(self) -> float:
        """KL(P+ || P-) of one sentence."""
        return float(-np.array([1 - self.bad_plus, self.bad_plus]) @ self._sentence_ratios)

    @property
    def sigma2(self) -> float:
        """Variance of log P-/P+ of one sentence under P-."""
        good, bad = self._sentence_ratios
        return float(self.bad_minus * (1 - self.bad_minus) * (bad - good) ** 2)

    @property
    def gamma(self) -> float:
        """Behavior of P-, the same after every prompt."""
        return 1 - 2 * self.bad_minus

    def prompts(self, sentences: int) -> tuple[Array, Array]:
        """Probability under P- and log P-/P+ of prompts with 0, 1, ... bad sentences, (sentences + 1,) each."""
        # All prompts with as many bad sentences have one log-ratio, so their number is all that counts.
        bad = np.arange(sentences + 1)
        good_ratio, bad_ratio = self._sentence_ratios
        return binom.pmf(bad, sentences, self.bad_minus), (sentences - bad) * good_ratio + bad * bad_ratio

    def behavior(self, log_ratios: Array) -> Array:
        """Behavior of the mixture after prompts of these log-ratios: exactly w- B- + w+ B+."""
        weight = bad_weight(self.log_alpha, log_ratios)
        return weight * self.gamma + (1 - weight) * (1 - 2 * self.bad_plus)

    def behavior_curve(self, longest: int) -> Array:
        """Mean behavior after prompts of 0, 1, ... sentences from P-."""
        return np.array([p @ self.behavior(ratios) for p, ratios in map(self.prompts, range(longest + 1))])

    def worst_behavior(self, sentences: int) -> float:
        """Behavior after the worst prompt of a length: all of it bad."""
        # Behavior falls with the log-ratio, which is largest where every sentence is bad.
        return float(self.behavior(self.prompts(sentences)[1]).min())

    def misaligned_share(self, sentences: int, eps: float) -> float:
        """Share of the prompts from P- of a length that bring the behavior below gamma + eps."""
        probs, ratios = self.prompts(sentences)
        return float(probs[self.behavior(ratios) < self.gamma + eps].sum())

    def target_divergences(self, longest: int) -> Array:
        """E KL(P- || P) of the next sentence after 0, 1, ..., longest - 1 sentences from P-, in nats."""
        minus = np.array([1 - self.bad_minus, self.bad_minus])
        plus = np.array([1 - self.bad_plus, self.bad_plus])
        found = []
        for probs, ratios in map(self.prompts, range(longest)):
            # Next-sentence distributions after each number of bad sentences.  # [numbers, 2]
            weight = bad_weight(self.log_alpha, ratios)[:, None]
            mixed = weight * minus + (1 - weight) * plus
            # KL(P- || P) of each weight, then averaged over prompts: the mixture changes with the prompt, P- does not.
            found.append(probs @ xlogy(minus, minus / mixed).sum(axis=1))
        return np.array(found)

    def log_ratio_to_target(self, sentences: int) -> float:
        """E log P-(prompt) / P(prompt) over prompts from P- of a length: what the divergences sum to."""
        probs, ratios = self.prompts(sentences)
        # P / P- = alpha + (1 - alpha) e^-L, with L the log-ratio of P- and P+.
        log_target = np.logaddexp(self.log_alpha, np.log(-np.expm1(self.log_alpha)) - ratios)
        return float(-probs @ log_target)
