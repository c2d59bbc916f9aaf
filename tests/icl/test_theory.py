"""The closed forms against simulation, enumeration and the mixture's exact posterior."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from seqtant.icl import theory

BITS = np.array([[0.9, 0.1], [0.1, 0.9]])
"""Two tasks over independent bits."""


def log_ratios(length: int, shots: int, prompts: int, rng: np.random.Generator, flip: str = "gold") -> np.ndarray:
    """Log P(rival) / P(true) of prompts of bits from the first task; the last bit of an example is its label."""
    bits = (rng.random((prompts, shots, length)) >= 0.9).astype(int)
    if flip == "random":
        bits[..., -1] = rng.integers(2, size=bits.shape[:2])
    if flip == "flipped":
        bits[..., -1] = 1 - bits[..., -1]
    return (np.log(BITS[1]) - np.log(BITS[0]))[bits].sum(axis=(1, 2))


def kl(length: int) -> float:
    return length * 0.8 * math.log(9)


def test_lemma_holds_on_independent_bits_at_its_own_number_of_shots() -> None:
    """The bound is exp(-(k/2)(KL - threshold)); it may fail in a share delta of prompts."""
    bound = theory.lemma1(1.0, 0.1, 20, kl(20), 0.05, 0.05)
    assert bound.threshold == pytest.approx(8 * math.log(10))
    assert not bound.vacuous
    rng = np.random.default_rng(0)
    for shots in (1, 2, math.ceil(theory.lemma1_tight(1.0, 0.1, 0.5, 20, kl(20), 0.05, 0.05))):
        ratios = log_ratios(20, shots, 4000, rng)
        claimed = -(shots / 2) * (kl(20) - bound.threshold)
        assert (ratios >= claimed).mean() <= 0.05


def test_exact_failure_of_the_tight_form_by_enumeration() -> None:
    """Bits sum to a binomial count: the failure probability of the tight form's shots is known without sampling."""
    length, epsilon, delta = 20, 0.05, 0.05
    shots = math.ceil(theory.lemma1_tight(1.0, 0.1, 0.5, length, kl(length), epsilon, delta, shared_delimiter=True))
    ones = np.arange(shots * length + 1)
    ratio = (2 * ones - shots * length) * math.log(9)
    failed = binom.pmf(ones, shots * length, 0.1)[ratio >= math.log(epsilon)].sum()
    assert failed <= delta


@pytest.mark.parametrize(("flip", "shown"), [("gold", [0.9, 0.1]), ("random", [0.5, 0.5]), ("flipped", [0.1, 0.9])])
def test_slopes_per_shot_follow_the_flip_law_to_two_per_cent(flip: str, shown: list[float]) -> None:
    inputs = np.array([[0.9**2, 0.9 * 0.1, 0.1 * 0.9, 0.1**2], [0.1**2, 0.1 * 0.9, 0.9 * 0.1, 0.9**2]])
    labels = np.log(BITS[0]) - np.log(BITS[1])
    rates = theory.flip_rate(np.log(inputs[0]) - np.log(inputs[1]), np.tile(labels, (4, 1)), shown)
    measured = -log_ratios(3, 100, 4000, np.random.default_rng(1), flip).mean() / 100
    assert measured == pytest.approx(inputs[0] @ rates, rel=0.02)


def test_published_values_of_the_toy() -> None:
    """The values of the three slopes, -5.27, -3.52 and -1.76 nats per shot, and of Lemma 1's shots, 82 and 41."""
    assert theory.lemma1(1, 0.1, 20, kl(20), 0.05, 0.05).shots == pytest.approx(82.2, abs=0.1)
    assert theory.lemma1_refined(1, 0.1, 0.5, 20, kl(20), 0.05, 0.05).shots == pytest.approx(41.1, abs=0.1)
    silent = theory.lemma1(1, 0.1, 3, kl(3), 0.05, 0.05)
    assert silent.vacuous
    assert math.isinf(silent.shots)
    assert kl(3) == pytest.approx(5.27, abs=0.01)


def test_refinements_never_ask_for_more() -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        c1, c2 = rng.uniform(0.3, 1), 10 ** rng.uniform(-3, -0.5)
        length = int(rng.integers(2, 60))
        divergence = rng.uniform(0, length * math.log(1 / c2))
        numbers = (c1, c2, 0.5, length, divergence, 0.05, 0.05)
        paper = theory.lemma1(c1, c2, length, divergence, 0.05, 0.05)
        for flipped in (False, True):
            refined = theory.lemma1_refined(*numbers, flipped=flipped)
            assert refined.threshold <= paper.threshold + 1e-12
            assert refined.shots <= paper.shots * (1 + 1e-12)
            assert theory.lemma1_tight(*numbers, flipped=flipped) <= refined.shots * (1 + 1e-9)


def test_exact_component_margin_beats_the_published_chain_where_that_is_no_bound() -> None:
    """Worst case within the assumption: the label's part is scaled by c1^2, the other's by c1^-2."""
    probability, rival, c1 = 0.6, 0.4, 0.9
    worst = c1**2 * probability - rival / c1**2
    assert theory.component_margin(probability, rival, c1) == pytest.approx(worst) == pytest.approx(-0.0078, abs=1e-3)
    assert (probability - rival) - (1 - c1**2) > worst


def test_margin_condition_of_theorem_two_keeps_two_thirds() -> None:
    for c1 in np.linspace(0.87, 1.0, 30):
        for margin in np.linspace(4 * (1 - c1**2), 1.0, 30):
            high, low = (1 + margin) / 2, (1 - margin) / 2
            assert theory.component_margin(high, low, c1) >= 2 * margin / 3 - 1e-12


@pytest.mark.parametrize(
    ("margin", "divergence", "c1", "holds"),
    [(0.77, 60.0, 0.9, True), (0.75, 60.0, 0.9, False), (0.5, 18.43, 1.0, True), (0.5, 18.41, 1.0, False)],
)
def test_conditions_of_theorem_two_at_their_edges(margin: float, divergence: float, c1: float, holds: bool) -> None:
    # 4 (1 - 0.81) = 0.76, and 8 log 10 = 18.42.
    assert theory.efficiently_learnable(margin, divergence, c1, 0.1) is holds


def test_identification_shots_against_simulated_walks() -> None:
    """Normal log-odds: after the predicted shots a share 1 - delta has reached the goal."""
    mean, variance, prior, epsilon, delta = 0.5, 2.0, 0.2, 0.05, 0.1
    shots = theory.identification_shots(mean, variance, prior, epsilon, delta)
    rng = np.random.default_rng(4)
    whole = math.ceil(shots)
    odds = whole * mean + math.sqrt(whole * variance) * rng.standard_normal(20000)
    reached = (odds >= math.log((1 - prior) / prior) + math.log(1 / epsilon)).mean()
    assert reached == pytest.approx(1 - delta, abs=0.01)


def test_expected_loss_against_simulated_rivals() -> None:
    means, variances, odds, losses = [0.4, 0.9], [1.0, 2.0], [0.3, -0.5], [0.8, 0.3]
    rng = np.random.default_rng(5)
    for shots in (1, 4, 9):
        walks = [
            odd - shots * m + math.sqrt(shots * v) * rng.standard_normal(200_000)
            for m, v, odd in zip(means, variances, odds, strict=True)
        ]
        simulated = sum(g * (walk > 0).mean() for g, walk in zip(losses, walks, strict=True))
        assert theory.expected_loss([shots], means, variances, odds, losses)[0] == pytest.approx(simulated, abs=0.005)


def test_accuracy_shots_is_the_first_from_which_on_the_loss_stays() -> None:
    case = ([0.3, 0.2], [1.0, 1.0], [1.5, -1.0], [0.7, 0.2])
    shots = theory.accuracy_shots(*case, 0.05)
    losses = theory.expected_loss(np.arange(1, 200), *case)
    assert (losses[int(shots) - 1 :] <= 0.05).all()
    assert losses[int(shots) - 2] > 0.05
    assert math.isinf(theory.accuracy_shots([-0.1], [1.0], [0.0], [0.9], 0.05))


@pytest.mark.parametrize("name", ["c1", "c2", "c3", "length", "divergence", "epsilon", "delta"])
def test_numbers_out_of_range_are_refused(name: str) -> None:
    good = {"c1": 0.9, "c2": 0.1, "c3": 0.2, "length": 5, "divergence": 2.0, "epsilon": 0.1, "delta": 0.1}
    bad = {"c1": 1.5, "c2": 0.0, "c3": 0.7, "length": 0, "divergence": -1.0, "epsilon": 1.0, "delta": 0.0}
    with pytest.raises(ValueError, match="it must be"):
        theory.lemma1_refined(**(good | {name: bad[name]}))
