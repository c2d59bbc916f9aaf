"""The loss: gradient identity, agreement with a per-path loop, conventions, and odd input."""

from __future__ import annotations

import math

import pytest
import torch

from seqtant.ctc.lattice.likelihood import ctc_losses
from seqtant.ctc.lattice.paths import CTCInput, PathBatch, path_scores, sample_paths
from seqtant.ctc.losses.align_with_purpose import AlignWithPurpose
from seqtant.ctc.losses.base import PlainCTC, Schedule
from seqtant.ctc.losses.low_latency import LowLatency
from seqtant.ctc.losses.minimum_wer import MinimumWER
from seqtant.ctc.losses.properties import PROPERTIES, Edit, check_property
from seqtant.ctc.losses.registry import MethodSettings, method_of
from seqtant.errors import InputError
from tests.ctc.samples import batch_loss


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def logits():
    return torch.randn(3, 12, 5, generator=seeded(), dtype=torch.float64)


LENGTHS = torch.tensor([12, 7, 1])


def pairs_of(logits, lengths, rule, *, samples=5, seed=0, blank=0):
    """The very pairs the loss draws: sampling, then editing, from one generator."""
    generator = seeded(seed)
    paths = sample_paths(logits.log_softmax(-1), samples, generator=generator)
    batch = PathBatch(paths, lengths, blank)
    return paths, rule.edit(batch, generator)


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_gradient_is_the_closed_form(logits, margin):
    logits.requires_grad_()
    purpose = AlignWithPurpose([LowLatency()], margin=margin)
    batch_loss(purpose, logits.log_softmax(-1), LENGTHS, generator=seeded()).loss.backward()
    paths, edit = pairs_of(logits.detach(), LENGTHS, LowLatency())
    log_probs = logits.detach().log_softmax(-1)
    expected = torch.zeros_like(logits)
    for b, length in enumerate(LENGTHS.tolist()):
        for old, new, changed in zip(paths[b], edit.paths[b], edit.changed[b], strict=True):
            score = [log_probs[b, range(length), path[:length]].sum() / length for path in (old, new)]
            if changed and score[0] - score[1] + margin > 0:
                # The log-normalizer cancels: (onehot(old) - onehot(new)) / length, whatever the logits are.
                pair = torch.nn.functional.one_hot(old, 5) - torch.nn.functional.one_hot(new, 5)
                expected[b, :length] += pair[:length].double() / length / len(logits)
    assert expected.abs().max() > 0
    torch.testing.assert_close(logits.grad, expected, atol=1e-12, rtol=0)


def test_gradient_is_the_closed_form_in_single_precision_too(logits):
    single = logits.float().requires_grad_()
    batch_loss(AlignWithPurpose(), single.log_softmax(-1), LENGTHS, generator=seeded()).loss.backward()
    double = logits.float().double().requires_grad_()
    batch_loss(AlignWithPurpose(), double.log_softmax(-1), LENGTHS, generator=seeded()).loss.backward()
    assert (single.grad.double() - double.grad).abs().max() < 1e-6


@pytest.mark.parametrize("score", ["frame-mean", "sum"])
@pytest.mark.parametrize("reduction", ["sample-sum", "mean"])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_equals_a_loop_over_paths(logits, score, reduction, margin):
    log_probs = logits.log_softmax(-1)
    purpose = AlignWithPurpose(score=score, reduction=reduction, weight=0.7, margin=margin)
    loss, stats = batch_loss(purpose, log_probs, LENGTHS, generator=seeded())
    paths, edit = pairs_of(logits, LENGTHS, LowLatency())
    total = active = 0.0
    for b, length in enumerate(LENGTHS.tolist()):
        for old, new, changed in zip(paths[b].tolist(), edit.paths[b].tolist(), edit.changed[b].tolist(), strict=True):
            gap = math.fsum(float(log_probs[b, t, old[t]] - log_probs[b, t, new[t]]) for t in range(length))
            gap = gap / length if score == "frame-mean" else gap
            gap = max(gap + margin, 0.0) if changed else 0.0
            total += gap / (5 if reduction == "mean" else 1)
            active += gap > 0
    assert float(loss) == pytest.approx(0.7 * total / 3, abs=1e-12)
    assert stats["low-latency.active"] == pytest.approx(active / 15)


def test_nothing_flows_through_sampling_but_both_scores_are_ranked(logits):
    """Raising the better path's score by what its gradient says must lower the loss."""
    logits.requires_grad_()
    loss = batch_loss(AlignWithPurpose(), logits.log_softmax(-1), LENGTHS, generator=seeded()).loss
    loss.backward()
    assert torch.allclose(logits.grad.sum(-1), torch.zeros(3, 12, dtype=torch.float64), atol=1e-15)
    moved = (logits - 0.01 * logits.grad).detach()
    paths, edit = pairs_of(logits.detach(), LENGTHS, LowLatency())

    def hinge(values):
        scores = values.log_softmax(-1)
        gap = path_scores(scores, paths, LENGTHS) - path_scores(scores, edit.paths, LENGTHS)
        return (gap / LENGTHS[:, None]).clamp(min=0).sum() / 3

    assert hinge(moved) < hinge(logits.detach())


def test_weight_zero_is_ctc_to_the_bit(logits):
    targets, counts = torch.tensor([[1, 2], [3, 1], [1, 0]]), torch.tensor([2, 2, 1])
    grads = []
    for weight in (None, 0.0):
        values = logits.clone().float().requires_grad_()
        log_probs = values.log_softmax(-1)
        loss = ctc_losses(CTCInput.of(log_probs, LENGTHS, targets, counts)).mean()
        if weight is not None:
            loss = loss + batch_loss(AlignWithPurpose(weight=weight), log_probs, LENGTHS, generator=seeded()).loss
        loss.backward()
        grads.append((loss.detach(), values.grad))
    assert torch.equal(grads[0][0], grads[1][0])
    assert torch.equal(grads[0][1], grads[1][1])


def test_weight_zero_draws_nothing(logits):
    generator = seeded()
    state = generator.get_state()
    batch_loss(AlignWithPurpose(weight=0.0), logits.log_softmax(-1), LENGTHS, generator=generator)
    assert torch.equal(generator.get_state(), state)


def test_called_as_pytorchs_own_ctc_loss_is(logits):
    """(T, B, V), targets before lengths; one utterance without a batch; lengths as numbers; targets in one row."""
    log_probs = logits.log_softmax(-1).transpose(0, 1)
    targets, counts = torch.tensor([[1, 2], [3, 1], [1, 0]]), torch.tensor([2, 2, 1])
    reference = torch.nn.CTCLoss(reduction="sum", zero_infinity=True)
    ours = PlainCTC()
    loss = ours(log_probs, targets, LENGTHS, counts)
    assert float(loss) == pytest.approx(float(reference(log_probs, targets, LENGTHS, counts)) / 3, abs=1e-12)
    assert ours.stats == {"ctc.impossible": 0.0}
    flat = torch.tensor([1, 2, 3, 1, 1])
    assert torch.equal(loss, ours(log_probs, flat, (12, 7, 1), (2, 2, 1)))
    one = ours(log_probs[:, 0], targets[0], 12, 2)
    assert float(one) == pytest.approx(float(reference(log_probs[:, 0], targets[0], LENGTHS[0], counts[0])), abs=1e-12)
    assert torch.equal(one, PlainCTC(batch_first=True)(log_probs[:, 0], targets[0], LENGTHS[0], counts[0]))

    purpose = AlignWithPurpose(weight=0.5)
    both = reference(log_probs, targets, LENGTHS, counts) + purpose(
        log_probs, targets, LENGTHS, counts, generator=seeded()
    )
    alone = AlignWithPurpose(weight=0.5)(log_probs, None, LENGTHS, generator=seeded())
    assert float(both) == pytest.approx(float(reference(log_probs, targets, LENGTHS, counts) + alone), abs=1e-12)
    assert isinstance(purpose, torch.nn.Module)
    assert alone.ndim == 0
    assert purpose.stats["low-latency.changed"] > 0
    with pytest.raises(InputError, match="targets without target_lengths"):
        purpose(log_probs, targets, LENGTHS)


def test_both_layouts_and_both_blank_spellings_agree(logits):
    log_probs = logits.log_softmax(-1)
    expected = AlignWithPurpose(blank=4, batch_first=True)(log_probs, None, LENGTHS, generator=seeded())
    other = AlignWithPurpose(blank=-1)(log_probs.transpose(0, 1), None, LENGTHS, generator=seeded())
    assert torch.equal(expected, other)


def test_unchanged_pairs_get_no_margin():
    """Without this a margin adds a constant to the loss that no gradient can remove."""
    silent = torch.full((1, 4, 3), -40.0)
    silent[..., 0] = 0.0
    assert batch_loss(AlignWithPurpose(margin=0.5), silent, torch.tensor([4])).loss == 0


def test_several_properties_share_samples_and_add_up(logits):
    log_probs = logits.log_softmax(-1)
    targets, counts = torch.tensor([[1, 2], [3, 1], [1, 0]]), torch.tensor([2, 2, 1])
    arguments = (log_probs, LENGTHS, targets, counts)
    both = batch_loss(AlignWithPurpose([LowLatency(), MinimumWER()], [0.3, 0.0]), *arguments, generator=seeded())
    one = batch_loss(AlignWithPurpose([LowLatency()], 0.3), *arguments, generator=seeded())
    assert torch.equal(both.loss, one.loss)
    all_on = batch_loss(AlignWithPurpose(["low-latency", "minimum-wer"], 0.3), *arguments, generator=seeded())
    generator = seeded()
    paths = sample_paths(log_probs, 5, generator=generator)
    batch = PathBatch(paths, LENGTHS, 0, targets, counts)
    expected = 0.0
    for rule in (LowLatency(), MinimumWER()):
        gap = path_scores(log_probs, paths, LENGTHS) - path_scores(
            log_probs, rule.edit(batch, generator).paths, LENGTHS
        )
        hinge = (gap / LENGTHS[:, None]).clamp(min=0).sum() / 3
        assert hinge > 0
        expected += 0.3 * float(hinge)
    assert float(all_on.loss) == pytest.approx(expected, abs=1e-12)
    assert {"low-latency.gap", "minimum-wer.gap"} <= set(all_on.stats)


def test_a_users_own_property(logits):
    class Last:
        """Prefers the last frame to be blank."""

        keeps_text = False
        needs_targets = False

        def edit(self, batch, generator=None):
            paths = batch.paths.clone()
            rows = torch.arange(len(paths))
            paths[rows, :, (batch.lengths - 1).clamp(min=0)] = batch.blank
            paths = torch.where(batch.lengths[:, None, None] > 0, paths, batch.paths)
            return Edit(paths, (paths != batch.paths).any(-1))

        def cost(self, batch):
            last = (batch.lengths - 1).clamp(min=0)[:, None, None].expand(-1, batch.paths.shape[1], 1)
            return (batch.paths.gather(-1, last)[..., 0] != batch.blank).double()

    check_property(Last(), paths=2000).require()
    name = "last-frame-blank"
    if name not in PROPERTIES:
        PROPERTIES.add(name, Last)
    loss, stats = batch_loss(AlignWithPurpose([name], margin=5.0), logits.log_softmax(-1), LENGTHS, generator=seeded())
    assert float(loss) > 0
    assert stats[f"{name}.changed"] > 0
    # A registered property is a method of training by its name, too.
    _, purpose = method_of(f"awp:{name}")(0.3, MethodSettings(num_samples=2, blank=4)).terms
    assert (purpose.names, purpose.num_samples, purpose.blank) == (("Last",), 2, 4)
    with pytest.raises(InputError, match="unknown CTC property 'late'"):
        method_of("awp:late")(0.3, MethodSettings())


def test_the_fuzzer_catches_a_property_that_lies():
    class Backwards(LowLatency):
        def edit(self, batch, generator=None):
            return Edit(batch.paths.flip(-1), torch.ones(batch.paths.shape[:2], dtype=torch.bool))

    violations = check_property(Backwards(), paths=1000).violations
    assert {"text changed", "changed flag", "cost not lower", "frames beyond the end"} <= set(violations)


def test_schedule_decides_when_it_starts(logits):
    purpose = AlignWithPurpose(weight=Schedule(((10, 0.0), (20, 1.0))))
    at = [
        batch_loss(purpose, logits.log_softmax(-1), LENGTHS, generator=seeded(), step=step).loss for step in (0, 15, 20)
    ]
    assert at[0] == 0
    assert float(at[1]) == pytest.approx(0.5 * float(at[2]))


def test_half_precision_is_scored_in_single(logits):
    half = logits.to(torch.bfloat16).log_softmax(-1)
    loss = batch_loss(AlignWithPurpose(), half, LENGTHS, generator=seeded()).loss
    assert loss.dtype == torch.float32
    assert torch.equal(loss, batch_loss(AlignWithPurpose(), half.float(), LENGTHS, generator=seeded()).loss)


def test_nan_is_passed_on_not_hidden(logits):
    log_probs = logits.log_softmax(-1)
    log_probs[0, 3] = torch.nan
    assert torch.isnan(batch_loss(AlignWithPurpose(), log_probs, LENGTHS, generator=seeded()).loss)


def test_nan_in_the_padding_does_not_matter(logits):
    log_probs = logits.log_softmax(-1).requires_grad_()
    poisoned = torch.where(torch.arange(12)[None, :, None] < LENGTHS[:, None, None], log_probs, torch.nan)
    loss = batch_loss(AlignWithPurpose(), poisoned, LENGTHS, generator=seeded()).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(log_probs.grad).all()


def test_labels_the_model_cannot_emit_make_no_infinite_loss():
    log_probs = torch.tensor([[[0.0, -torch.inf], [-torch.inf, 0.0], [-torch.inf, 0.0]]]).requires_grad_()
    loss = batch_loss(AlignWithPurpose(), log_probs, torch.tensor([3])).loss
    loss.backward()
    assert loss == 0
    assert torch.isfinite(log_probs.grad).all()


def test_utterances_without_frames_are_left_out_and_reported(logits):
    lengths = torch.tensor([12, 0, 0])
    loss, stats = batch_loss(AlignWithPurpose(), logits.log_softmax(-1), lengths, generator=seeded())
    assert torch.isfinite(loss)
    assert stats["invalid"] == pytest.approx(2 / 3)
    nothing = batch_loss(AlignWithPurpose(), torch.zeros(2, 0, 3), torch.zeros(2, dtype=torch.long))
    assert nothing.loss == 0


def test_epsilon_is_the_published_cut(logits):
    log_probs = (20 * logits).log_softmax(-1)
    paths = torch.randint(5, (3, 2, 12), generator=seeded())
    cut = path_scores(log_probs, paths, LENGTHS, epsilon=1e-7)
    by_hand = (log_probs.gather(2, paths.transpose(1, 2)).exp() + 1e-7).log()
    by_hand = torch.stack([by_hand[b, :length].sum(0) for b, length in enumerate(LENGTHS.tolist())])
    torch.testing.assert_close(cut, by_hand, atol=1e-12, rtol=0)
    assert (cut > path_scores(log_probs, paths, LENGTHS)).any()


def test_as_published_uses_its_conventions():
    published = AlignWithPurpose.as_published()
    assert (published.epsilon, published.num_samples, published.blank) == (1e-7, 5, 28)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "num_samples is 0"),
        ({"margin": -1.0}, "margin is -1"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"score": "product"}, "score is 'product'"),
        ({"reduction": "max"}, "reduction is 'max'"),
        ({"weight": [1.0, 2.0]}, "2 weights for 1 properties"),
        ({"properties": ["low-latncy"]}, "did you mean 'low-latency'"),
    ],
)
def test_bad_settings_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        AlignWithPurpose(**arguments)


def test_a_property_that_needs_targets_says_so(logits):
    with pytest.raises(InputError, match="MinimumWER compares with the reference"):
        batch_loss(AlignWithPurpose(["minimum-wer"]), logits.log_softmax(-1), LENGTHS)


@pytest.mark.parametrize("properties", ["low-latency", {"low-latency": 0.0}, []])
def test_properties_are_a_list_of_at_least_one(properties):
    with pytest.raises(InputError, match="give a list of at least one"):
        AlignWithPurpose(properties)
