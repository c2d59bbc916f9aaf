"""Chooses how far readings at different stops may differ, on cases that no other record here uses.

    python results/beb/stops/stops.py

Writes stops.json: log(1/alpha) as each stop reads it, for exact mixtures whose weights are off by known amounts, and
for small networks trained on mixtures of known weight (a quarter of an hour on one core).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.special import expit

from seqtant.beb import calibrate
from seqtant.beb.estimation.alpha import LARGEST_SHARE, LARGEST_SYSTEMATIC, estimate_alpha
from seqtant.beb.prompts.divergence import Evidence

PLACE = Path(__file__).with_name("stops.json")
TRAINED = (
    (11, 600, 350, 0.02),
    (11, 600, 350, 0.05),
    (11, 600, 350, 0.1),
    (11, 600, 1000, 0.02),
    (12, 300, 200, 0.02),
    (12, 300, 400, 0.05),
    (12, 300, 700, 0.02),
    (13, 1000, 1000, 0.02),
    (13, 1000, 1000, 0.05),
    (13, 1000, 1000, 0.1),
)
"""Seed, steps of the first phase, steps at the final weight, and that weight."""
BELIEFS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Bayes' rule": expit,
    "never surer than 0.9": lambda odds: 0.9 * expit(odds),
    "never surer than 0.8": lambda odds: 0.8 * expit(odds),
    "log-odds by a half": lambda odds: expit(0.5 * odds),
    "log-odds by 0.7": lambda odds: expit(0.7 * odds),
}
"""The weight that a perturbed mixture gives to P-, from the log-odds that Bayes' rule has."""


def perturbed(log_inverse_alpha: float, belief: Callable[[np.ndarray], np.ndarray]) -> tuple[Evidence, Evidence]:
    """Evidence of a mixture of two coins, against itself with another belief and against P+."""
    generator = np.random.default_rng(0)
    minus, plus = np.array([0.2, 0.8]), np.array([0.7, 0.3])
    said = (generator.random((400, 24)) < minus[1]).astype(int)
    ratio = np.log(minus / plus)[said]
    odds = ratio.cumsum(axis=1) - ratio - np.log(np.expm1(log_inverse_alpha))
    weight = belief(odds)[..., None]
    model = weight * minus + (1 - weight) * plus
    divergence = (minus * np.log(minus / model)).sum(axis=2)
    drawn = np.take_along_axis(np.log(minus / model), said[..., None], axis=2)[..., 0]
    beta = float((minus * np.log(minus / plus)).sum())
    return Evidence(divergence, drawn), Evidence(np.full(ratio.shape, beta), ratio)


def row(truth: float, value: float, even: float, end: float) -> dict[str, float | bool]:
    """One case, to four digits."""
    systematic = max(abs(even - value), abs(end - value))
    refused = systematic > max(LARGEST_SYSTEMATIC, LARGEST_SHARE * value)
    numbers = {"true": truth, "even": even, "read": value, "end": end, "systematic": systematic}
    return {name: round(float(number), 4) for name, number in numbers.items()} | {"refused": refused}


def of_perturbed(truth: float, name: str) -> dict[str, object]:
    """A perturbed mixture's readings."""
    area = estimate_alpha(*perturbed(truth, BELIEFS[name]))
    assert area.other_stops
    return {"belief": name} | row(truth, area.log_inverse_alpha, *area.other_stops)


def of_trained(seed: int, first_steps: int, steps: int, alpha: float) -> dict[str, object]:
    """A trained network's readings."""
    sizes = {"first_steps": first_steps, "steps": steps, "alpha": alpha, "resamples": 50}
    result = calibrate(**sizes, aligned_steps=0, guard_sentences=0, seed=seed)
    groups = ("value", "stopped at even", "stopped at end")
    value, even, end = (result.series("log_inverse_alpha", group)[0].value for group in groups)
    case = {"seed": seed, "first_steps": first_steps, "steps": steps, "alpha": alpha}
    return case | row(-float(np.log(alpha)), value, even, end)


if __name__ == "__main__":
    made = {
        "perturbed": [of_perturbed(truth, name) for truth in (3.0, 4.0) for name in BELIEFS],
        "trained": [of_trained(*case) for case in TRAINED],
    }
    PLACE.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
