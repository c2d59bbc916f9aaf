"""Elimination, the one gradient step and the gradient signal against truths that are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from seqtant import subtasks
from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.runs.recorder import Context
from seqtant.subtasks.config import NetworkConfig, ProbeConfig
from seqtant.subtasks.instruments.probe import updates_for, verdict
from seqtant.subtasks.networks import gradient_signal
from seqtant.subtasks.networks.gradient_signal import Signal, measure_signal, step_signal, whole_signal
from seqtant.subtasks.networks.networks import build_network
from seqtant.subtasks.oracles import eliminate
from seqtant.subtasks.tasks.builtin import modular_sum, parity
from seqtant.subtasks.theory import gradient_variance_bound

CPU = Context(device="cpu")


@pytest.mark.parametrize("bits", [1, 7, 64, 130])
def test_elimination_finds_the_subset(bits):
    generator = np.random.default_rng(bits)
    subset = tuple(np.flatnonzero(generator.integers(2, size=bits)).tolist())
    inputs = generator.integers(2, size=(bits + 20, bits))
    found = eliminate(inputs, inputs[:, list(subset)].sum(axis=1) % 2)
    assert found.subset == subset
    assert found.rank == bits


def test_elimination_agrees_with_trying_every_subset():
    generator = np.random.default_rng(0)
    for _ in range(40):
        inputs, answers = generator.integers(2, size=(5, 4)), generator.integers(2, size=5)
        fitting = [
            pick for pick in itertools.product([0, 1], repeat=4) if ((inputs @ np.array(pick)) % 2 == answers).all()
        ]
        found = eliminate(inputs, answers)
        assert found.consistent == bool(fitting)
        unique = tuple(np.flatnonzero(fitting[0]).tolist()) if len(fitting) == 1 else None
        assert found.subset == unique


def test_no_bits_are_refused():
    with pytest.raises(InputError, match="must be bits"):
        eliminate(np.array([[0, 2]]), [1])
    with pytest.raises(InputError, match="one bit for each row"):
        eliminate(np.array([[0, 1]]), [1, 0])


def test_the_verb_recovers_and_noise_defeats_it():
    clean = subtasks.solve_gf2(bits=512, device="cpu")
    assert clean.values["recovered"] == 1
    assert clean.values["samples"] == 522
    noisy = subtasks.solve_gf2(bits=64, samples=200, noise=0.1, device="cpu")
    assert noisy.values["recovered"] == 0
    few = subtasks.solve_gf2(bits=64, samples=40, device="cpu")
    assert few.values["recovered"] == 0
    assert few.values["rank"] == 40


def test_one_step_learns_from_enough_samples_only():
    enough = subtasks.one_step(device="cpu").values
    assert enough["accuracy"] == 1.0
    assert enough["children_found"] == 1.0
    assert subtasks.one_step(samples=4096, device="cpu").values["accuracy"] < 0.95


def exact_inputs(bits):
    return np.indices((2,) * bits).reshape(bits, -1).T.astype(np.int64)


def test_signals_stay_below_the_bound_and_steps_are_seen_better():
    task = parity(12, seed=0)
    network = build_network(NetworkConfig(width=16), vocabulary=2, context=20, seed=0)
    generator, inputs = np.random.default_rng(0), exact_inputs(12)
    whole = whole_signal(network, task, inputs, 12, generator)
    steps = [step_signal(network, task, number, inputs, 12, generator) for number in range(task.length)]
    for signal in (whole, *steps):
        assert (signal.variance.low or 0) <= gradient_variance_bound(signal.gradient_square, signal.targets)
    assert min(step.variance.value for step in steps) > 5 * whole.variance.value


def test_a_signal_is_that_of_the_gradients_of_single_inputs():
    """Every weight's gradient at every input, one by one: the variance exactly, noise and visibility on average."""
    task, inputs = parity(8, seed=0), exact_inputs(8)
    network = build_network(NetworkConfig(width=8), vocabulary=2, context=12, seed=0)
    weights = [each for each in network.parameters() if each.requires_grad]
    labels = [inputs[:, list(pair)].sum(axis=1) % 2 for pair in ((0, 1), (2, 5), (3, 4), (6, 7), (1, 6))]
    logits = network(torch.from_numpy(inputs))[:, -1]
    outputs = logits[:, 1] - logits[:, 0]
    slopes = [torch.autograd.grad(each, weights, retain_graph=True) for each in outputs]
    slopes = torch.stack([torch.cat([part.flatten() for part in each]) for each in slopes]).double().numpy()
    signs = 2.0 * np.array(labels) - 1.0
    residuals = 2 * (outputs.detach().double().numpy() - signs)  # [targets, inputs]
    variance = (residuals @ slopes / len(inputs)).var(axis=0, ddof=1)
    noise = ((residuals[0][:, None] * slopes) ** 2).mean(axis=0)
    alive = noise > 0  # weights of a hidden unit that is zero at every input have no gradient

    found = [
        measure_signal(network, task, inputs, labels, "x", 28.0, np.random.default_rng(seed), exact=True)
        for seed in range(60)
    ]
    assert found[0].variance.value == pytest.approx(variance.sum(), rel=1e-4)
    visibility = np.array([each.visibility.value for each in found])
    # Without the correction for a random denominator the mean would be 16 / 14 of this, far outside.
    assert visibility.mean() == pytest.approx((variance[alive] / noise[alive]).mean(), rel=0.05)
    assert visibility.std() / np.sqrt(60) < 0.03 * visibility.mean(), "sharp enough to tell 16 / 14 from 1"
    assert np.mean([each.noise for each in found]) == pytest.approx(noise.sum(), rel=0.05)
    assert np.mean([each.gradient_square for each in found]) == pytest.approx((slopes**2).mean(axis=0).sum(), rel=0.05)


def test_halves_take_the_noise_of_sampling_out():
    """With drawn inputs the estimate is still that of all inputs, within its own scatter."""
    task = parity(8, seed=0)
    network = build_network(NetworkConfig(width=16), vocabulary=2, context=20, seed=0)
    exact = step_signal(network, task, 0, exact_inputs(8), 20, np.random.default_rng(1)).variance.value
    drawn = [
        step_signal(
            network, task, 0, np.random.default_rng([2, n]).integers(2, size=(512, 8)), 20, np.random.default_rng(1)
        )
        for n in range(12)
    ]
    values = np.array([each.variance.value for each in drawn])
    assert values.mean() == pytest.approx(exact, abs=4 * values.std() / np.sqrt(12))
    assert drawn[0].noise / 512 > 0.1 * exact, "the noise that was taken out is not small"


def test_larger_alphabets_are_probed_by_cross_entropy():
    result = subtasks.probe(
        "sum", terms=3, modulus=3, network=NetworkConfig(width=8), candidates=3, samples=64, device="cpu"
    )
    assert result.values["weakest_step_signal"] > 0
    assert modular_sum(3, 3).is_parity_tree is False


def test_weights_that_only_make_noise_hide_a_target_from_the_sum_but_not_from_the_visibility():
    """A decoder's position vectors of scale 1 shout; the target is seen by other weights."""
    task = parity(8, seed=0)
    config = NetworkConfig(kind="decoder", width=16, depth=1, heads=2, embedding_scale=1.0)
    network = build_network(config, vocabulary=2, context=12, seed=0)
    signal = step_signal(network, task, 0, exact_inputs(8), 12, np.random.default_rng(0))
    assert signal.visibility.value > 2 * signal.variance.value / signal.noise
    bound = gradient_variance_bound(signal.square_over_noise, signal.targets)
    assert (signal.visibility.low or 0) <= bound


def test_a_verdict_follows_from_the_interval_of_the_visibility():
    """Ten times the updates of 64 rows that show the target: 1 / (64 v), but at least one."""
    assert updates_for(1.0, 64) == 10
    assert updates_for(1 / 640, 64) == 100
    assert updates_for(0.0, 64) == updates_for(-1.0, 64) == np.inf

    def told(low, value, high, targets=1.0, bounded=True):
        seen = Estimate(value=value, low=low, high=high, method="given")
        signal = Signal(
            name="0", targets=targets, variance=seen, noise=1.0, gradient_square=1.0, visibility=seen,
            square_over_noise=1.0,
        )  # fmt: skip
        return verdict(signal, 64, 1000.0, bounded=bounded)

    # A budget of 1,000 updates is spent at v = 1 / 6400.
    assert told(1 / 6400, 1 / 3000, 1 / 640) == "learnable in about 500 updates"
    assert told(1 / 6401, 1 / 3000, 1 / 640) == "inconclusive"
    assert told(-1.0, 1 / 9000, 1 / 6401) == "not by gradients"
    assert told(-1.0, -0.5, 0.0) == "inconclusive", "no signal at all proves nothing"
    # 4 / targets bounds the visibility where the theorem holds.
    assert told(-1.0, -0.5, 0.0, targets=4 * 6401) == "not by gradients"
    assert told(-1.0, -0.5, 0.0, targets=4 * 6399) == "inconclusive"
    assert told(-1.0, -0.5, 0.0, targets=4 * 6401, bounded=False) == "inconclusive"


def test_thirty_two_bits_are_out_of_reach_by_the_bound():
    config = ProbeConfig(bits=32, network=NetworkConfig(width=16), candidates=4, samples=256)
    table = next(table for table in subtasks.probe.run(config, CPU).tables if table.name == "signals")
    assert table.rows[-1][-1] == "not by gradients"


def test_a_variance_over_two_targets_may_be_nothing() -> None:
    # Half of the resamples hold one target twice, whose variance is 0: the lower end is 0, not the value.
    gradients = torch.tensor([[0.0, 1.0], [2.0, 1.0]], dtype=torch.float64)
    found = gradient_signal._variance(gradients, gradients, np.random.default_rng(0))
    assert (found.low, found.value, found.high) == (0.0, 2.0, 2.0)
