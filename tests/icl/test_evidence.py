"""Posteriors, gaps and numbers of shots, against sums written out by hand and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from seqtant.icl.scoring.evidence import (
    ShotCurve,
    accumulate,
    bayes_gap,
    first_shots,
    identified_share,
    separate,
    task_weights,
)
from seqtant.icl.scoring.scores import Components


def components(generator: np.random.Generator, tasks: int, examples: int, labels: int = 3) -> Components:
    def line(*shape: int) -> np.ndarray:
        return np.log(generator.uniform(0.05, 0.95, (tasks, examples, *shape)))

    return Components(line(), line(labels), line(), line(), line())


def test_a_task_is_identified_at_posterior_odds_of_epsilon_not_at_a_share_of_it() -> None:
    # Odds of 0.05 to 1 are a posterior of 1 / 1.05 = 0.95238: 0.951 and 0.9523 fall short of it.
    posterior = np.array([[0.951], [0.9523], [0.9524], [0.99]])
    assert identified_share(posterior, 0.05).tolist() == [0.5]


def test_the_posterior_before_a_query_knows_the_examples_before_it_and_the_prior() -> None:
    scores = components(np.random.default_rng(0), tasks=2, examples=6)
    prior = np.log([0.8, 0.2])
    found = np.exp(accumulate(scores, prior, prompts=2))
    joint = np.exp(prior)[:, None] * np.exp(scores.whole)  # [tasks, examples]
    for prompt in range(2):
        for query in range(3):
            seen = joint[:, 3 * prompt : 3 * prompt + query] / np.exp(prior)[:, None]
            weights = np.exp(prior) * seen.prod(axis=1)
            assert found[:, prompt, query] == pytest.approx(weights / weights.sum(), abs=1e-12)


def test_the_gap_is_the_relative_entropy_from_the_mixture_to_the_model() -> None:
    generator = np.random.default_rng(1)
    mixture, model = generator.uniform(0.1, 1, (2, 3, 4)), generator.uniform(0.1, 1, (2, 3, 4))
    assert bayes_gap(mixture, np.log(model)) == pytest.approx(stats.entropy(mixture, model, axis=2), abs=1e-12)


def test_the_weights_of_tasks_maximize_the_likelihood() -> None:
    generator = np.random.default_rng(2)
    tasks, answers = generator.uniform(0.1, 1, (2, 5, 3)), generator.uniform(0.1, 1, (5, 3))
    alone, share = tasks / tasks.sum(axis=2, keepdims=True), answers / answers.sum(axis=1, keepdims=True)
    best = optimize.minimize_scalar(
        lambda w: -(share * np.log(w * alone[0] + (1 - w) * alone[1])).sum(), bounds=(0, 1), method="bounded"
    )
    assert task_weights(np.log(answers), np.log(tasks))[0] == pytest.approx(best.x, abs=1e-4)


def test_a_relapse_counts_only_where_its_interval_lies_above_epsilon() -> None:
    # After two shots the loss is 0; after three it is 0.1 in one of ten prompts or in all of them.
    noise = np.zeros((10, 4))
    noise[:, 0], noise[:, 1], noise[0, 3] = 1.0, 0.5, 1.0
    assert ShotCurve(noise).shots(0.05) == 2
    relapse = noise.copy()
    relapse[:, 3] = 0.1
    assert ShotCurve(relapse).shots(0.05) == math.inf
    # Mean 0.5, standard error 0.5 sqrt(10 / 9) / sqrt(10) = 1/6: the lower end is 0.5 - 1.95996 / 6 = 0.17334.
    half = np.zeros((10, 3))
    half[:, 0], half[:5, 2] = 1.0, 1.0
    assert ShotCurve(half).error[2] == pytest.approx(1 / 6, abs=1e-12)
    assert ShotCurve(half).shots(0.1734) == 1
    assert ShotCurve(half).shots(0.1733) == math.inf


def test_a_share_that_never_stays_has_no_first_shot() -> None:
    assert first_shots(np.array([0.99, 0.97]), 0.95) == 0
    assert first_shots(np.array([0.2, 0.97, 0.98]), 0.95) == 1
    assert first_shots(np.array([0.2, 0.97, 0.9]), 0.95) == math.inf


def test_the_nearest_rival_is_the_one_of_least_divergence() -> None:
    scores = components(np.random.default_rng(3), tasks=4, examples=50)
    gaps = [(scores.whole[1] - scores.whole[rival]).mean() for rival in (0, 2, 3)]
    separation = separate(scores, 1, np.zeros(50, dtype=int), np.log([0.4, 0.3, 0.2, 0.1]))
    assert separation.divergences == pytest.approx(gaps, abs=1e-12)
    assert separation.rivals[separation.nearest] == scores.nearest_rival(1) == (0, 2, 3)[int(np.argmin(gaps))]
    assert separation.log_odds == pytest.approx(np.log([4 / 3, 2 / 3, 1 / 3]), abs=1e-12)
