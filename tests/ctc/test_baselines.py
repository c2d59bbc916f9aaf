"""The other ways to earlier or better CTC, against their definitions."""

from __future__ import annotations

import math

import pytest
import torch

from seqtant.ctc.lattice.paths import CTCInput
from seqtant.ctc.losses.base import Schedule, TrimTail
from seqtant.ctc.losses.baselines import NBestMWER, PeakFirst, SampledMWER
from seqtant.ctc.losses.minimum_wer import MinimumWER
from seqtant.ctc.losses.registry import METHODS, MethodSettings
from seqtant.errors import InputError
from tests.ctc.samples import batch_loss


def test_peak_first_is_the_divergence_from_the_next_frame(random_log_probs):
    log_probs = random_log_probs(2, 5, 3).requires_grad_()
    loss = batch_loss(PeakFirst(0.5), log_probs, torch.tensor([5, 3])).loss
    values = log_probs.detach()
    expected = 0.0
    for b, length in enumerate((5, 3)):
        for t in range(length - 1):
            now, following = values[b, t].tolist(), values[b, t + 1].tolist()
            expected += sum(math.exp(q) * (q - p) for p, q in zip(now, following, strict=True))
    assert float(loss.detach()) == pytest.approx(0.5 * expected / 2, abs=1e-12)
    loss.backward()
    assert log_probs.grad[0, 4].abs().max() == 0  # the last frame is only ever a target
    assert log_probs.grad[0, 0].abs().max() > 0


def test_peak_first_takes_labels_that_cannot_be_emitted():
    log_probs = torch.tensor([[[0.0, -torch.inf], [0.0, -torch.inf]]]).requires_grad_()
    loss = batch_loss(PeakFirst(1.0), log_probs, torch.tensor([2])).loss
    loss.backward()
    assert loss == 0
    assert torch.isfinite(log_probs.grad).all()


def test_trim_tail_cuts_uniformly_and_spares_the_short():
    lengths = torch.full((6000,), 100)
    cut = (100 - TrimTail(4)(lengths, torch.Generator().manual_seed(0))).bincount(minlength=5)
    assert cut[0] == 0
    assert all(abs(int(count) - 1500) < 150 for count in cut[1:])
    assert TrimTail(50)(torch.tensor([3, 0, 1]), torch.Generator().manual_seed(0)).min() >= 0
    assert torch.equal(TrimTail(10)(torch.full((50,), 2)), torch.full((50,), 2))
    with pytest.raises(InputError, match="most is -1"):
        TrimTail(-1)


def test_sampled_mwer_gradient_is_that_of_the_expected_errors(enumerate_paths, collapse_by_definition):
    """The mean over many samples against the exact expectation, differentiated."""
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    target, rule = (1, 2), MinimumWER()
    exact = torch.zeros((), dtype=torch.float64)
    log_probs = logits.log_softmax(-1)
    for path, _ in enumerate_paths(log_probs.detach()):
        chance = log_probs[range(3), list(path)].sum().exp()
        exact = exact + chance * rule.errors(collapse_by_definition(path, 0), target)
    (expected,) = torch.autograd.grad(exact, logits)
    copies = 3000
    batch = logits.log_softmax(-1).expand(copies, -1, -1)
    lengths, targets, counts = torch.full((copies,), 3), torch.tensor([target] * copies), torch.full((copies,), 2)
    loss = batch_loss(
        SampledMWER(1.0, num_samples=5), batch, lengths, targets, counts, generator=torch.Generator().manual_seed(1)
    ).loss
    (found,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == pytest.approx(float(exact.detach()), abs=0.03)
    assert (found - expected).abs().max() < 0.03
    assert expected.abs().max() > 0.1


def test_nbest_mwer_over_all_sequences_is_exact(random_log_probs, enumerate_paths, collapse_by_definition):
    log_probs = random_log_probs(3, 3, seed=4)
    totals: dict[tuple[int, ...], float] = {}
    for path, score in enumerate_paths(log_probs):
        said = collapse_by_definition(path, 0)
        totals[said] = totals.get(said, 0.0) + math.exp(score)
    errors = {said: MinimumWER().errors(said, (1, 2)) for said in totals}
    mean = sum(errors.values()) / len(errors)
    expected = sum(chance * (errors[said] - mean) for said, chance in totals.items())
    term = NBestMWER(1.0, best=len(totals), width=1000)
    loss = batch_loss(term, log_probs[None], torch.tensor([3]), torch.tensor([[1, 2]]), torch.tensor([2])).loss
    assert float(loss) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("settings", [MethodSettings(), MethodSettings(blank=4, space=0)])
def test_every_method_trains_on_odd_batches(name, settings):
    """Empty utterances, empty and impossible targets: a finite loss and gradient, from every method."""
    logits = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    lengths, counts = torch.tensor([6, 0, 6, 2]), torch.tensor([2, 1, 0, 2])
    targets = torch.tensor([[1, 2], [1, 0], [0, 0], [3, 3]])
    objective = METHODS[name](0.1, settings)
    loss, stats = batch_loss(
        objective, logits.log_softmax(-1), lengths, targets, counts, generator=torch.Generator().manual_seed(0)
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert all(isinstance(value, float) for value in stats.values())


def test_methods_at_weight_zero_are_plain_ctc():
    logits = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    arguments = (torch.tensor([8, 6]), torch.tensor([[1, 2], [3, 3]]), torch.tensor([2, 2]))
    plain = batch_loss(METHODS["ctc"](0.0, MethodSettings()), logits.log_softmax(-1), *arguments).loss
    for name in METHODS:
        loss = batch_loss(METHODS[name](0.0, MethodSettings()), logits.log_softmax(-1), *arguments).loss
        assert float(loss) == pytest.approx(float(plain), abs=1e-10), name


@pytest.mark.parametrize(("ramp", "middle"), [("step", 0.1), ("linear", 0.25), ("cosine", 0.25), ("logarithmic", 0.2)])
def test_schedules_between_their_points(ramp, middle):
    schedule = Schedule(((10, 0.1), (20, 0.4)), ramp)
    assert [schedule.at(9), schedule.at(10), schedule.at(20), schedule.at(999)] == pytest.approx([0, 0.1, 0.4, 0.4])
    assert schedule.at(15) == pytest.approx(middle)


@pytest.mark.parametrize(
    ("points", "ramp", "message"),
    [
        ((), "linear", "at least one"),
        (((5, 1.0), (5, 2.0)), "linear", "rising"),
        (((0, -1.0),), "linear", "0 or more"),
        (((0, math.nan),), "linear", "finite"),
        (((0, 0.0), (5, 1.0)), "logarithmic", "above 0"),
    ],
)
def test_wrong_schedules_are_named(points, ramp, message):
    with pytest.raises(InputError, match=message):
        Schedule(points, ramp)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_probs": torch.zeros(4, 3)}, "must hold a batch, frames and labels"),
        ({"blank": 3}, "3 labels: use 0 to 2"),
        ({"lengths": torch.tensor([4])}, "one number for each of 2"),
        ({"lengths": torch.tensor([4.0, 4.0])}, "whole numbers"),
        ({"lengths": torch.tensor([5, 4])}, "there are 4 frames"),
        ({"lengths": torch.tensor([-1, 4])}, "from -1"),
        ({"target_lengths": None}, "without target_lengths"),
        ({"target_lengths": torch.tensor([3, 1])}, "there are 2 tokens"),
        ({"targets": torch.tensor([[3, 1], [1, 1]])}, "label 3"),
        ({"targets": torch.tensor([[0, 1], [1, 1]])}, "hold the blank"),
        ({"targets": torch.tensor([1, 2, 1])}, "sum to 4"),
        ({"targets": torch.zeros(3, 2, dtype=torch.long)}, "give 2 rows"),
    ],
)
def test_wrong_batches_are_named(changes, message):
    batch = {
        "log_probs": torch.zeros(2, 4, 3),
        "lengths": torch.tensor([4, 4]),
        "targets": torch.tensor([[1, 2], [2, 1]]),
        "target_lengths": torch.tensor([2, 2]),
    } | changes
    with pytest.raises(InputError, match=message):
        CTCInput.of(**batch)


def test_padding_of_targets_may_hold_anything():
    log_probs, lengths, counts = torch.zeros(2, 4, 3), torch.tensor([4, 4]), torch.tensor([1, 2])
    padded = CTCInput.of(log_probs, lengths, torch.tensor([[1, -100], [2, 1]]), counts)
    flat = CTCInput.of(log_probs, lengths, torch.tensor([1, 2, 1]), counts)
    assert padded.targets.tolist() == flat.targets.tolist() == [[1, 0], [2, 1]]
