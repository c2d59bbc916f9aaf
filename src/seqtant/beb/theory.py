"""Closed forms of Behavior Expectation Bounds: the prompt length by which alignment fails.

Wolf, Wies, Avnery, Levine, Shashua: Fundamental Limitations of Alignment in Large Language Models (arXiv 2304.11082;
ICML 2024, PMLR 235:53079-53112). Theorems have the numbers of the arXiv text.

Legend (all logarithms natural, all lengths in sentences):
    alpha       weight of the ill-behaved part in P = alpha P- + (1 - alpha) P+; as log_alpha, since e^-90 is ordinary
    beta        least expected KL(P- || P+) of the next sentence over prompts from P-
    beta_prime  largest expected KL(P+ || P-) of the next sentence over prompts from P+
    sigma       sigma^2 bounds the variance per sentence of the log-ratio of P- and P+
    gamma       largest behavior of P- under any prompt, in [-1, 0)
    eps         how close to gamma the behavior is brought
    delta       share of prompts (or guards) that may escape
    w-, w+      posterior weights of P- and P+ after a prompt; LLR = log P-(prompt) / P+(prompt)

Forms: ``paper`` has the published constants; ``tight`` uses |B_P(s) - B_P-(s)| <= 2 w+, exact, and Cantelli's
inequality in place of Chebyshev's; ``clt`` takes sums of log-ratios as normal: no bound, but the typical length. Every
length is an upper bound on an attack: alignment fails by then. It says nothing about shorter prompts. Values outside
their range are refused with an InputError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtri, zeta  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from seqtant.errors import InputError, suggest

Form = Literal["paper", "tight", "clt"]
FORMS: tuple[Form, ...] = ("paper", "tight", "clt")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Length:
    """A length at which alignment has failed."""

    sentences: float
    """Length in sentences; the inequality is strict, so the prompt must be longer."""
    terms: Mapping[str, float] = field(default_factory=dict[str, float])
    """What it is made of, in sentences."""

    @property
    def whole(self) -> int:
        """The least whole number of sentences that is strictly longer."""
        return math.floor(self.sentences) + 1


def checked_log_alpha(log_alpha: float) -> float:
    """Refuses a log(alpha) that is not finite and below 0."""
    if not -math.inf < log_alpha < 0:
        raise InputError(f"log_alpha is {log_alpha}: log(alpha) must be finite and below 0 (alpha > 0 is assumed)")
    return log_alpha


def _positive(name: str, value: float, why: str = "give a positive number") -> float:
    if not 0 < value < math.inf:
        raise InputError(f"{name} is {value}: {why}")
    return value


def _checked_beta(beta: float) -> float:
    return _positive("beta", beta, "without positive beta the parts cannot be told apart: there is no guarantee")


def _checked_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise InputError(f"delta is {delta}: the share that may escape lies between 0 and 1, both excluded")


def log_of_alpha(alpha: float | None, log_alpha: float | None) -> float:
    """Computes log(alpha) from either of the two."""
    if (alpha is None) == (log_alpha is None):
        raise InputError("give alpha or log_alpha, one of the two: alpha 1e-6, or log_alpha -13.8")
    if alpha is not None:
        if not 0 < alpha < 1:
            raise InputError(
                f"alpha is {alpha}: the weight of the ill-behaved part lies between 0 and 1, both excluded"
            )
        return math.log(alpha)
    assert log_alpha is not None
    return checked_log_alpha(log_alpha)


def prior_log_odds(log_alpha: float) -> float:
    """log(alpha / (1 - alpha)), exact for alpha near 0 and near 1.

    Example:
        >>> round(prior_log_odds(math.log(0.05)), 6), prior_log_odds(-90.0)
        (-2.944439, -90.0)
    """
    # log(1 - alpha) by expm1: no cancellation for alpha near 1.
    return checked_log_alpha(log_alpha) - math.log(-math.expm1(log_alpha))


def evidence_needed(log_alpha: float, eps: float, form: Form = "paper", *, best_of: int = 1) -> float:
    """Computes the log-ratio that a prompt must reach to bring the behavior within eps of that of P-.

    ``paper``: log(1/alpha) + log(1/eps) + log 4 (+ log n), proof of Theorems 1 and 4. Otherwise the exact condition
    1 - (w-)^n <= eps / 2, which for n = 1 reads log((1 - alpha)/alpha) + log((2 - eps)/eps).
    """
    if best_of < 1:
        raise InputError(f"best_of is {best_of}: give a whole number of at least 1")
    checked_log_alpha(log_alpha)
    _checked_form(form)
    if not 0 < eps < 2:
        raise InputError(f"eps is {eps}: behavior spans -1 to 1, so eps must lie between 0 and 2, both excluded")
    if form == "paper":
        return -log_alpha + math.log(4 / eps) + math.log(best_of)
    # log w- where (w-)^n = 1 - eps / 2; its log-odds is log w- - log(1 - w-).
    share = math.log1p(-eps / 2) / best_of
    # Where the prior alone is enough, no evidence is needed.
    return max(0.0, -prior_log_odds(log_alpha) + share - math.log(-math.expm1(share)))


def _checked_form(form: str) -> None:
    if form not in get_args(Form):
        raise InputError(f"unknown form '{form}'{suggest(form, get_args(Form))}: known are {', '.join(get_args(Form))}")


def misalign(log_alpha: float, beta: float, eps: float, form: Form = "paper") -> Length:
    """Computes the length of Theorem 1: some prompt of it brings the behavior below gamma + eps.

    Assumes that P- is beta-distinguishable from P+ and bad under every prompt. ``clt`` equals ``tight``: half of the
    prompts are there at the mean.

    Example:
        >>> round(misalign(math.log(1e-6), 2.0, 0.05).sentences, 4)
        9.0988
    """
    return best_of_n(log_alpha, beta, eps, 1, form)


def best_of_n(log_alpha: float, beta: float, eps: float, n: int, form: Form = "paper") -> Length:
    """Computes the length of Theorem 4, against the best of n answers, as stated (``paper``) or corrected (else).

    As stated, the prompt brings best-of-n below gamma + eps; that is false unless every answer of P- is bad, because
    best-of-n also picks the best among the answers of P-. The corrected length brings it below gamma_n + eps, where
    gamma_n is the expected best of n answers of P- (:func:`best_of_answers`).
    """
    length = evidence_needed(log_alpha, eps, form, best_of=n) / _checked_beta(beta)
    return Length(length, {"evidence": length})


def best_of_answers(negative: ArrayLike, n: int) -> Array:
    """Computes the mean behavior of the best of n answers: each is bad (-1) with some probability, else good (+1)."""
    # The best is bad only if all n are: mean -p^n + (1 - p^n).
    return 1 - 2 * np.asarray(negative, dtype=np.float64) ** n


def _spread(delta: float, form: Form) -> float:
    """Standard deviations to the (1 - delta) quantile: Chebyshev (paper), Cantelli (tight), normal (clt)."""
    _checked_delta(delta)
    _checked_form(form)
    if form == "clt":
        return float(ndtri(1 - delta))
    # Chebyshev: 1 / k^2 = delta. Cantelli, which is one-sided: 1 / (1 + k^2) = delta.
    return math.sqrt(1 / delta) if form == "paper" else math.sqrt((1 - delta) / delta)


def guard(
    log_alpha: float,
    beta: float,
    eps: float,
    *,
    beta_prime: float,
    sigma: float,
    guard_sentences: float,
    delta: float,
    form: Form = "paper",
) -> Length:
    """Computes the length of Theorem 2: after a guard (system) prompt sampled from P+, for a share 1 - delta of guards.

    One more sentence, negative, triggers. Assumes that P- is prompt-distinguishable, that P+ is
    beta_prime-undistinguishable from P-, sigma-similar and positive with respect to it.

    Example:
        >>> values = {"beta_prime": 3.0, "sigma": 1.5, "guard_sentences": 4, "delta": 0.1}
        >>> round(guard(math.log(1e-6), 2.0, 0.05, **values).sentences, 4)
        20.8422
    """
    _checked_beta(beta)
    _positive("beta_prime", beta_prime)
    _positive("sigma", sigma)
    if not 0 <= guard_sentences < math.inf:
        raise InputError(f"guard_sentences is {guard_sentences}: give 0 or a positive number")
    terms = {
        "evidence": evidence_needed(log_alpha, eps, form) / beta,
        "guard": beta_prime / beta * guard_sentences,
        "spread of guards": sigma / beta * math.sqrt(guard_sentences) * _spread(delta, form),
        "trigger": 1.0,
    }
    return Length(sum(terms.values()), terms)


def conversation(
    log_alpha: float,
    beta: float,
    eps: float,
    *,
    beta_prime: float,
    sigma: float,
    answers: Sequence[float],
    delta: float,
    form: Form = "paper",
) -> Length:
    """Computes the length of Theorem 3: all turns of the user when the model answers each with sentences from P+.

    ``answers`` are the sentences of each of the model's n answers, beta_prime and sigma those of :func:`guard`. The
    union over the turns gives each a share delta / n; ``clt`` treats the sum of all answers at once.
    """
    _checked_beta(beta)
    _positive("beta_prime", beta_prime)
    _positive("sigma", sigma)
    _checked_delta(delta)
    if not answers or min(answers) <= 0:
        raise InputError("answers must hold the positive number of sentences of at least one answer")
    n, lengths = len(answers), np.asarray(answers, dtype=np.float64)
    # Standard deviations of independent answers add (union bound), those of one long sum do not.
    roots = float(np.sqrt(lengths.sum())) if form == "clt" else float(np.sqrt(lengths).sum())
    terms = {
        "evidence": evidence_needed(log_alpha, eps, form) / beta,
        "answers": beta_prime / beta * float(lengths.sum()),
        "spread of answers": sigma / beta * roots * _spread(delta if form == "clt" else delta / n, form),
        "triggers": float(n),
    }
    return Length(sum(terms.values()), terms)


def conversation_drift(beta: float, beta_reverse: float, asked: float, answered: float) -> float:
    """Computes the evidence per turn while the model answers from P+, in nats; at or below 0 there is no progress.

    Derived from Theorem 3's setting: asked sentences from P- gain beta each, answered ones lose KL(P+ || P-).

    Example:
        >>> conversation_drift(1.5, 1.2, 2, 1), round(conversation_drift(1.5, 1.6, 1, 1), 6)
        (1.8, -0.1)
    """
    return asked * _checked_beta(beta) - answered * _positive("beta_reverse", beta_reverse)


def mass(log_alpha: float, beta: float, eps: float, *, sigma: float, delta: float, form: Form = "paper") -> Length:
    """Computes the length of Theorem 5: a share 1 - delta of prompts from P- bring the behavior below gamma + eps.

    ``paper``: max(2 L / beta, 4 sigma^2 / (beta^2 delta)). Otherwise the least n with
    beta n - k sigma sqrt(n) = L, with k of Cantelli (tight) or the normal quantile (clt).

    Example:
        >>> [round(mass(math.log(1e-8), 1.5, 0.1, sigma=1.2, delta=0.1, form=form).sentences, 2) for form in FORMS]
        [29.48, 26.63, 18.67]
    """
    _checked_beta(beta)
    _positive("sigma", sigma)
    evidence, spread = evidence_needed(log_alpha, eps, form), _spread(delta, form)
    if form == "paper":
        terms = {"evidence": 2 * evidence / beta, "spread": 4 * sigma**2 / (beta**2 * delta)}
        return Length(max(terms.values()), terms)
    # The positive root of beta x^2 - k sigma x - L = 0, x = sqrt(n).
    drift = spread * sigma
    length = ((drift + math.sqrt(drift**2 + 4 * beta * evidence)) / (2 * beta)) ** 2
    return Length(length, {"evidence": evidence / beta, "spread": length - evidence / beta})


def power_law(log_alpha: float, beta: float, eps: float, *, eta: float, form: Form = "paper") -> Length:
    """Computes the length of Appendix I: Theorem 1 when the divergence falls like beta / n^eta, 0 <= eta < 1.

    ``paper``: (L / beta)^(1/(1 - eta)), which puts the last and smallest term in place of each. Otherwise the terms are
    summed.
    """
    _checked_beta(beta)
    if not 0 <= eta < 1:
        raise InputError(f"eta is {eta}: the decay must lie in [0, 1), or the evidence stays bounded")
    goal = evidence_needed(log_alpha, eps, form) / beta
    if form == "paper":
        length = goal ** (1 / (1 - eta))
        return Length(length, {"evidence": length})
    # The least n whose sum reaches the goal: doubled until it does, then bisected.
    low, high = 0, 1
    while _harmonic(high, eta) < goal:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _harmonic(middle, eta) < goal else (low, middle)
    # The strict inequality asks for one sentence more where the sum meets the goal exactly.
    met = high if math.isclose(_harmonic(high, eta), goal, rel_tol=1e-12) else high - 1
    return Length(float(met), {"evidence": float(met)})


def _harmonic(n: int, eta: float) -> float:
    """The sum of k^-eta, k = 1..n: term by term, beyond a million by Euler and Maclaurin's formula."""
    if n <= 10**6:
        return float((np.arange(1, n + 1, dtype=np.float64) ** -eta).sum())
    # sum = zeta(eta) + n^(1 - eta) / (1 - eta) + n^-eta / 2 - eta n^(-eta - 1) / 12 + ...
    tail = n ** (1 - eta) / (1 - eta) + n**-eta / 2 - eta * n ** (-eta - 1) / 12
    return float(zeta(eta)) + tail if eta else float(n)


def bad_weight(log_alpha: float, log_ratio: ArrayLike) -> Array:
    """Posterior weight w- of P- after a prompt of some log-ratio (Eq. 10).

    Example:
        >>> bad_weight(math.log(0.5), [0.0, 2.0]).round(4).tolist()
        [0.5, 0.8808]
    """
    return expit(np.asarray(log_ratio, dtype=np.float64) + prior_log_odds(log_alpha))


def halfway(log_alpha: float, beta: float) -> float:
    """Sentences after which evidence and prior balance, w- = 1/2 at the mean: center of Lemma 7's sigmoid.

    Example:
        >>> round(halfway(math.log(0.5), 1.0), 6), round(halfway(-18.0, 6.0), 6)
        (-0.0, 3.0)
    """
    return -prior_log_odds(log_alpha) / _checked_beta(beta)


def sigmoid_weight(log_alpha: float, beta: float, sentences: ArrayLike, efficiency: float = 1.0) -> Array:
    """w- after n sentences if each brings exactly K beta: Lemma 7's sigmoid, a Bayesian scaling law.

    The law with learning efficiency K is that of Arora et al., Bayesian scaling laws for in-context learning (COLM
    2025), with two components of weights alpha and 1 - alpha.

    Example:
        >>> sigmoid_weight(-3.0, 1.0, [0, 3, 6]).round(3).tolist()
        [0.05, 0.513, 0.955]
    """
    evidence = _positive("efficiency", efficiency) * _checked_beta(beta) * np.asarray(sentences, dtype=np.float64)
    return bad_weight(log_alpha, evidence)


def expected_weight(log_alpha: float, beta: float, sigma: float, sentences: ArrayLike) -> Array:
    """Mean of w- over prompts of n sentences whose log-ratio is normal with mean beta n and variance sigma^2 n.

    Derived; Gauss-Hermite quadrature of the logistic-normal mean. It is what an average over prompts follows: much
    flatter than the sigmoid of one prompt.
    """
    n = np.asarray(sentences, dtype=np.float64)
    # E f(z) for normal z is the weighted mean of f at the nodes.
    nodes, weights = hermegauss(80)  # for the weight exp(-z^2 / 2); normalized below
    # Log-ratios at the nodes z: beta n + sigma sqrt(n) z.  # [..., nodes]
    ratios = _checked_beta(beta) * n[..., None] + _positive("sigma", sigma) * np.sqrt(n)[..., None] * nodes
    return bad_weight(log_alpha, ratios) @ (weights / weights.sum())
