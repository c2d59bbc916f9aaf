"""From hidden states of contrast pairs to one direction per layer: five methods of one shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import expit

from seqtant.errors import InputError

States = Float[np.ndarray, "pairs width"]
Direction = Float[np.ndarray, " width"]


def mean_difference(positive: States, negative: States, generator: np.random.Generator) -> Direction:
    """Mean of the differences; its norm is the raw distance between the two sides.

    Example:
        >>> mean_difference(np.array([[2.0, 0.0]]), np.array([[0.0, 0.0]]), np.random.default_rng(0)).tolist()
        [2.0, 0.0]
    """
    difference = (positive - negative).mean(axis=0)
    _unit(difference)  # refuses sides that do not differ
    return difference


def uncentered_pca(positive: States, negative: States, generator: np.random.Generator) -> Direction:
    """First right singular vector of the differences, signed by their mean, scaled to the mean's length along it."""
    differences = positive - negative
    return _scaled(_first_component(differences), differences)


def shuffled_pca(positive: States, negative: States, generator: np.random.Generator) -> Direction:
    """PCA of centered differences whose order was shuffled, signed by the labels: RepE's recipe.

    Shuffling turns the mean difference into the first component; in order, centering would remove it.
    """
    differences = positive - negative
    flips = generator.permutation(np.resize([1.0, -1.0], len(differences)))[:, None]
    shuffled = differences * flips
    return _scaled(_first_component(shuffled - shuffled.mean(axis=0)), differences)


def logistic_probe(positive: States, negative: States, generator: np.random.Generator) -> Direction:
    """Normal of a ridge-regularized logistic classifier on states scaled to one overall size."""
    _unit((positive - negative).ravel())  # refuses sides that do not differ
    states = np.concatenate([positive, negative])
    states = states - states.mean(axis=0)
    size = np.sqrt((states**2).mean())
    scaled = states / size
    labels = np.repeat([1.0, -1.0], [len(positive), len(negative)])

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = labels * (scaled @ weights)
        loss = np.logaddexp(0, -margins).sum() + 0.5 * weights @ weights
        gradient = scaled.T @ (-labels * expit(-margins)) + weights
        return float(loss), gradient

    found = minimize(objective, np.zeros(states.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return _scaled(_unit(found.x), positive - negative)


def random_control(positive: States, negative: States, generator: np.random.Generator) -> Direction:
    """A random direction of the mean difference's length: what any push of that size would do."""
    drawn = _unit(generator.standard_normal(positive.shape[1]))
    return drawn * float(np.linalg.norm((positive - negative).mean(axis=0)))


METHODS: dict[str, Callable[[States, States, np.random.Generator], Direction]] = {
    "mean": mean_difference,
    "pca": uncentered_pca,
    "repe": shuffled_pca,
    "probe": logistic_probe,
    "random": random_control,
}
"""Name -> method; each takes the states of both sides, pair by pair, and returns a direction with its raw length."""


def explained_share(positive: States, negative: States, direction: Direction) -> float:
    """Share of the squared length of all differences that lies along a direction, in [0, 1]."""
    differences = positive - negative
    return float(((differences @ _unit(direction)) ** 2).sum() / (differences**2).sum())


def held_out_accuracy(
    positive: States, negative: States, method: str, folds: int, generator: np.random.Generator
) -> tuple[int, int]:
    """Pairs told apart by a direction made from the other folds: (right, all)."""
    parts = np.array_split(generator.permutation(len(positive)), min(folds, len(positive)))
    right = 0
    for part in parts:
        rest = np.setdiff1d(np.arange(len(positive)), part)
        direction = METHODS[method](positive[rest], negative[rest], generator)
        right += int(((positive[part] - negative[part]) @ direction > 0).sum())
    return right, len(positive)


def _first_component(rows: np.ndarray) -> Direction:
    """Exact and without chance, by the smaller of the two Gram matrices."""
    if len(rows) < rows.shape[1]:
        vector = rows.T @ np.linalg.eigh(rows @ rows.T)[1][:, -1]
    else:
        vector = np.linalg.eigh(rows.T @ rows)[1][:, -1]
    return _unit(vector)


def _scaled(unit: Direction, differences: np.ndarray) -> Direction:
    """Points to the positive side; its length is that of the mean difference along it."""
    along = differences @ unit
    sign = np.sign((along > 0).sum() - (along < 0).sum()) or np.sign(along.mean()) or 1.0
    return unit * sign * max(abs(float(along.mean())), np.finfo(float).tiny)


def _unit(vector: np.ndarray) -> Direction:
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or norm == 0.0:
        raise InputError(
            "the two sides of the pairs have the same hidden states here: there is no direction; give pairs that "
            "differ in the behavior, or other layers"
        )
    return vector / norm
