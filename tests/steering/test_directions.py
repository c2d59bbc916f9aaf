"""Methods against states whose direction is known, the pitfall of centered PCA, and the sides of pairs."""

from __future__ import annotations

import numpy as np
import pytest

from seqtant.errors import InputError
from seqtant.steering.config import ExtractConfig
from seqtant.steering.vectors.extraction import METHODS, explained_share, held_out_accuracy


def states(
    signal: float, width: int = 96, pairs: int = 128, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose sides differ by ``signal`` along one direction, among a dozen noisy ones."""
    generator = np.random.default_rng(seed)
    basis = np.linalg.qr(generator.normal(size=(width, 13)))[0].T
    truth = basis[0]
    common = generator.normal(size=(pairs, width))
    noise = [generator.normal(size=(pairs, 12)) @ basis[1:] for _ in range(2)]
    jitter = [0.05 * generator.normal(size=(pairs, width)) for _ in range(2)]
    return (
        common + noise[0] + jitter[0] + signal * truth / 2,
        common + noise[1] + jitter[1] - signal * truth / 2,
        truth,
    )


@pytest.mark.parametrize("method", ["mean", "pca", "repe", "probe"])
def test_finds_a_clear_direction_with_its_sign(method: str) -> None:
    positive, negative, truth = states(6.0)
    found = METHODS[method](positive, negative, np.random.default_rng(0))
    assert found @ truth / np.linalg.norm(found) > 0.95
    reversed_ = METHODS[method](negative, positive, np.random.default_rng(0))
    assert reversed_ @ truth < 0
    right, total = held_out_accuracy(positive, negative, method, 5, np.random.default_rng(0))
    assert (right, total) == (128, 128)


def test_centering_ordered_pairs_loses_the_direction_that_shuffling_keeps() -> None:
    positive, negative, truth = states(6.0)
    ordered = positive - negative
    _, _, rows = np.linalg.svd(ordered - ordered.mean(axis=0), full_matrices=False)
    assert abs(rows[0] @ truth) < 0.3
    shuffled = METHODS["repe"](positive, negative, np.random.default_rng(0))
    assert shuffled @ truth / np.linalg.norm(shuffled) > 0.95
    with pytest.raises(InputError, match="subtracts their mean, which is the signal"):
        ExtractConfig(method="centered-pca")


def test_mean_holds_out_longest_at_a_weak_signal() -> None:
    cosines = {}
    for method in ("mean", "pca", "repe"):
        found = [
            METHODS[method](*states(1.0, seed=seed)[:2], np.random.default_rng(seed)) @ states(1.0, seed=seed)[2]
            for seed in range(4)
        ]
        norms = [np.linalg.norm(METHODS[method](*states(1.0, seed=s)[:2], np.random.default_rng(s))) for s in range(4)]
        cosines[method] = np.mean([abs(f) / n for f, n in zip(found, norms, strict=True)])
    assert cosines["mean"] > max(cosines["pca"], cosines["repe"])


def test_random_control_has_the_size_of_the_mean_and_finds_nothing() -> None:
    positive, negative, truth = states(6.0)
    control = METHODS["random"](positive, negative, np.random.default_rng(0))
    mean = METHODS["mean"](positive, negative, np.random.default_rng(0))
    assert np.linalg.norm(control) == pytest.approx(np.linalg.norm(mean))
    assert abs(control @ truth) / np.linalg.norm(control) < 0.4


def test_principal_directions_are_those_of_scikit_learn() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition", reason="scikit-learn is not installed")
    for pairs in (20, 200):  # fewer rows than columns, and more
        positive, negative, _ = states(3.0, pairs=pairs)
        differences = positive - negative
        svd = decomposition.TruncatedSVD(1, algorithm="arpack", random_state=0).fit(differences)
        found = METHODS["pca"](positive, negative, np.random.default_rng(0))
        assert abs(svd.components_[0] @ found) / np.linalg.norm(found) == pytest.approx(1.0, abs=1e-9)
        share = explained_share(positive, negative, svd.components_[0])
        assert share == pytest.approx(svd.singular_values_[0] ** 2 / (differences**2).sum())


def test_probe_is_the_logistic_regression_of_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    positive, negative, _ = states(2.0, width=40, pairs=60)
    both = np.concatenate([positive, negative])
    centered = both - both.mean(axis=0)
    scaled = centered / np.sqrt((centered**2).mean())
    fit = linear.LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=5000)
    fit.fit(scaled, np.repeat([1, -1], 60))
    found = METHODS["probe"](positive, negative, np.random.default_rng(0))
    cosine = fit.coef_[0] @ found / np.linalg.norm(fit.coef_[0]) / np.linalg.norm(found)
    assert cosine == pytest.approx(1.0, abs=1e-5)


def test_equal_sides_have_no_direction() -> None:
    same = np.ones((4, 8))
    for method in ("mean", "pca", "probe", "repe"):
        with pytest.raises(InputError, match="no direction"):
            METHODS[method](same, same, np.random.default_rng(0))
