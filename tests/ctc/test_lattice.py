"""Sums over alignments against enumeration, finite differences and PyTorch."""

from __future__ import annotations

import math

import pytest
import torch

from seqtant.ctc.lattice.likelihood import alignment_log_sum, ctc_losses, unnormalized_ctc_losses
from seqtant.ctc.lattice.paths import CTCInput
from seqtant.ctc.losses.base import PlainCTC
from seqtant.ctc.losses.baselines import BayesRiskCTC, DelayPenalizedCTC, LabelPriorCTC
from seqtant.errors import InputError
from tests.ctc.samples import batch_loss

TARGETS = [(), (1,), (1, 2), (1, 1), (2, 1, 2)]


def tensors(target, frames):
    return torch.tensor([frames]), torch.tensor([[*target, 0]]), torch.tensor([len(target)])


def spoken(path, blank=0):
    """(label, first frame, last frame) of each token of a path."""
    tokens = []
    for frame, label in enumerate(path):
        if label == blank:
            continue
        if frame and path[frame - 1] == label:
            tokens[-1][2] = frame
        else:
            tokens.append([label, frame, frame])
    return tokens


def log_sum(terms):
    return math.log(math.fsum(math.exp(term) for term in terms)) if terms else -math.inf


@pytest.mark.parametrize("target", TARGETS)
def test_plain_ctc_equals_enumeration(target, random_log_probs, enumerate_paths, collapse_by_definition):
    log_probs = random_log_probs(5, 3)
    lengths, targets, counts = tensors(target, 5)
    terms = [score for path, score in enumerate_paths(log_probs) if collapse_by_definition(path, 0) == target]
    ours = alignment_log_sum(log_probs[None], lengths, targets, counts, blank=0)
    assert float(ours) == pytest.approx(log_sum(terms), abs=1e-10)
    data = CTCInput.of(log_probs[None], lengths, targets, counts)
    assert float(-ctc_losses(data)) == pytest.approx(log_sum(terms), abs=1e-10)
    assert float(batch_loss(PlainCTC(), log_probs[None], lengths, targets, counts).loss) == pytest.approx(
        -log_sum(terms), abs=1e-10
    )


@pytest.mark.parametrize("target", TARGETS)
def test_unnormalized_ctc_equals_enumeration(target, enumerate_paths, collapse_by_definition):
    scores = 3 * torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    terms = [score for path, score in enumerate_paths(scores) if collapse_by_definition(path, 0) == target]
    data = CTCInput.of(scores[None], *tensors(target, 5))
    assert float(-unnormalized_ctc_losses(data)) == pytest.approx(log_sum(terms), abs=1e-10)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_delay_penalized_ctc_equals_enumeration(
    target, penalty, random_log_probs, enumerate_paths, collapse_by_definition
):
    log_probs = random_log_probs(5, 3, seed=2)
    terms = [
        score - penalty * sum(first - 5 // 2 for _, first, _ in spoken(path))
        for path, score in enumerate_paths(log_probs)
        if collapse_by_definition(path, 0) == target
    ]
    loss = batch_loss(DelayPenalizedCTC(penalty), log_probs[None], *tensors(target, 5)).loss
    assert float(-loss) == pytest.approx(log_sum(terms), abs=1e-10)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("risk", [0.0, 5.0])
def test_bayes_risk_ctc_equals_enumeration(target, risk, random_log_probs, enumerate_paths, collapse_by_definition):
    log_probs = random_log_probs(5, 3, seed=3)
    paths = [(p, s) for p, s in enumerate_paths(log_probs) if collapse_by_definition(p, 0) == target]
    per_token = [
        log_sum([score - risk * spoken(path)[u][2] / 5 for path, score in paths]) for u in range(len(target))
    ] or [log_sum([score for _, score in paths])]
    loss = batch_loss(BayesRiskCTC(risk), log_probs[None], *tensors(target, 5)).loss
    assert float(loss) == pytest.approx(-sum(per_token) / len(per_token), abs=1e-10)


def test_a_mixed_batch_equals_its_utterances_one_by_one(random_log_probs):
    log_probs = random_log_probs(4, 9, 4, seed=4)
    lengths = torch.tensor([9, 6, 3, 9])
    targets, counts = torch.tensor([[1, 2, 3], [2, 2, 0], [3, 0, 0], [0, 0, 0]]), torch.tensor([3, 2, 1, 0])
    for term in (PlainCTC(), DelayPenalizedCTC(0.2), BayesRiskCTC(2.0)):
        together = batch_loss(term, log_probs, lengths, targets, counts).loss
        alone = [
            batch_loss(
                term, log_probs[b : b + 1, :length], lengths[b : b + 1], targets[b : b + 1], counts[b : b + 1]
            ).loss
            for b, length in enumerate(lengths.tolist())
        ]
        assert float(together) == pytest.approx(float(torch.stack(alone).mean()), abs=1e-12)


def gradients_agree(function, *shape, seed=0):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.autograd.gradcheck(function, (values.requires_grad_(),))


@pytest.mark.parametrize("name", ["lattice", "entry", "unnormalized", "delay", "risk"])
def test_gradients_equal_finite_differences_for_any_input(name):
    """Inputs are raw scores, not log-probabilities: exactly where PyTorch's own gradient is wrong."""
    lengths = torch.tensor([6, 4, 2])
    targets, counts = torch.tensor([[1, 1, 2], [3, 0, 0], [1, 1, 1]]), torch.tensor([3, 1, 3])
    entry = torch.linspace(-1, 1, 18, dtype=torch.float64).reshape(1, 6, 3).expand(3, -1, -1)

    def sums(scores, arcs=None):
        values = alignment_log_sum(scores, lengths, targets, counts, blank=0, entry=arcs)
        return values[:2]  # the third cannot fit: -inf, without a gradient

    functions = {
        "lattice": sums,
        "entry": lambda scores: sums(scores, entry),
        "unnormalized": lambda scores: unnormalized_ctc_losses(CTCInput.of(scores, lengths, targets, counts)),
        "delay": lambda scores: batch_loss(DelayPenalizedCTC(0.2), scores, lengths, targets, counts).loss,
        "risk": lambda scores: batch_loss(BayesRiskCTC(3.0), scores, lengths, targets, counts).loss,
    }
    assert gradients_agree(functions[name], 3, 6, 4)


def test_pytorch_is_wrong_where_ours_is_right():
    """The trap itself: a bonus on the log-probabilities, differentiated by PyTorch."""
    bonus = torch.tensor([2.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    logits = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    arguments = (torch.tensor([6]), torch.tensor([[1, 2]]), torch.tensor([2]))

    def gradient(losses):
        values = logits.clone().requires_grad_()
        losses(CTCInput.of(values.log_softmax(-1) + bonus, *arguments)).sum().backward()
        return values.grad

    exact = logits.clone().requires_grad_()
    (-alignment_log_sum(exact.log_softmax(-1) + bonus, *arguments, blank=0)).sum().backward()
    torch.testing.assert_close(gradient(unnormalized_ctc_losses), exact.grad, atol=1e-12, rtol=0)
    assert (gradient(ctc_losses) - exact.grad).abs().max() > 0.1


def test_label_prior_zero_is_ctc_and_its_prior_is_the_mean_posterior(random_log_probs):
    log_probs = random_log_probs(2, 6, 3, seed=5)
    arguments = (torch.tensor([6, 4]), torch.tensor([[1, 2], [2, 0]]), torch.tensor([2, 1]))
    zero = batch_loss(LabelPriorCTC(0.0), log_probs, *arguments).loss
    assert float(zero) == pytest.approx(float(batch_loss(PlainCTC(), log_probs, *arguments).loss), abs=1e-12)
    term = LabelPriorCTC(0.5)
    batch_loss(term, log_probs, *arguments)
    expected = torch.cat([log_probs[0], log_probs[1, :4]]).exp().mean(0)
    torch.testing.assert_close(term.prior, expected)
    before = term.prior.clone()
    batch_loss(term.eval(), log_probs.flip(0), torch.tensor([6, 6]), *arguments[1:])
    assert torch.equal(term.prior, before)


@pytest.mark.parametrize("rare", [1e-3, 1e-6, 1e-8, 1e-10, 0.0])
def test_label_prior_divides_by_the_prior_of_rare_labels_down_to_1e_8(rare):
    """Below it the prior counts as 1e-8, so that a label that was never emitted gets a finite bonus."""
    probabilities = torch.tensor([[0.6, 0.3, 0.1], [0.3, 0.5, 0.2]], dtype=torch.float64)
    term = LabelPriorCTC(0.5).eval()
    term.prior = torch.tensor([0.45, 0.55 - rare, rare], dtype=torch.float64)
    loss = batch_loss(term, probabilities.log()[None], torch.tensor([2]), torch.tensor([[2]]), torch.tensor([1])).loss
    blank, label = (probabilities[:, 0] / 0.45**0.5).tolist(), (probabilities[:, 2] / max(rare, 1e-8) ** 0.5).tolist()
    total = label[0] * label[1] + label[0] * blank[1] + blank[0] * label[1]
    assert float(loss) == pytest.approx(-math.log(total), abs=1e-10)


@pytest.mark.parametrize("term", [PlainCTC(), DelayPenalizedCTC(0.1), BayesRiskCTC(1.0), LabelPriorCTC(0.3)])
@pytest.mark.parametrize("blank", [0, -1])
def test_odd_utterances_cost_nothing_and_break_nothing(term, blank):
    """No frames, no target, a target that cannot fit: finite loss, finite gradient, and a report."""
    term.blank = blank
    logits = torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    lengths = torch.tensor([0, 4, 2, 0, 4])
    targets = torch.tensor([[1, 2, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0], [1, 2, 1]])
    counts = torch.tensor([3, 0, 3, 0, 3])
    loss, stats = batch_loss(term, logits.log_softmax(-1), lengths, targets, counts)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[4].abs().max() > 0
    assert stats["ctc.impossible"] == pytest.approx(0.4)


def test_empty_batches_and_no_frames_at_all():
    for term in (PlainCTC(), DelayPenalizedCTC(0.1), BayesRiskCTC(1.0)):
        none = torch.zeros(0, dtype=torch.long)
        assert float(batch_loss(term, torch.zeros(0, 4, 3), none, torch.zeros(0, 2, dtype=torch.long), none).loss) == 0
        one = torch.zeros(1, dtype=torch.long)
        assert float(batch_loss(term, torch.zeros(1, 0, 3), one, torch.zeros(1, 0, dtype=torch.long), one).loss) == 0


def test_nan_stays_visible(random_log_probs):
    log_probs = random_log_probs(1, 4, 3)
    log_probs[0, 1] = torch.nan
    arguments = (torch.tensor([4]), torch.tensor([[1]]), torch.tensor([1]))
    for term in (PlainCTC(), DelayPenalizedCTC(0.1), BayesRiskCTC(1.0)):
        assert not torch.isfinite(batch_loss(term, log_probs, *arguments).loss)


@pytest.mark.parametrize("penalty", [-0.1, math.inf, math.nan])
def test_penalties_are_checked(penalty):
    with pytest.raises(InputError, match="penalty is"):
        DelayPenalizedCTC(penalty)
