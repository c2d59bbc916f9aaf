"""The low-latency edit: never a change of text, always earlier, every candidate equally likely."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from seqtant.ctc.lattice.paths import PathBatch
from seqtant.ctc.losses.low_latency import LowLatency
from seqtant.ctc.losses.properties import check_property, random_paths
from seqtant.errors import InputError


def edit(path, rule=None, *, length=None, blank=0, draws=1, seed=0):
    batch = PathBatch(torch.tensor(path).expand(1, draws, -1), torch.tensor([length or len(path)]), blank)
    return (rule or LowLatency()).edit(batch, torch.Generator().manual_seed(seed))


def test_no_collapse_violation_on_100_000_random_paths(collapse_by_definition):
    generator = torch.Generator().manual_seed(0)
    tried = 0
    for rule in (LowLatency(), LowLatency("any"), LowLatency("tokens"), LowLatency(shifts=3)):
        batch = random_paths(3200, 8, 16, 5, generator)
        better = rule.edit(batch, generator)
        rows = zip(batch.paths.tolist(), better.paths.tolist(), batch.lengths.tolist(), strict=True)
        for before, after, length in rows:
            for old, new in zip(before, after, strict=True):
                said = collapse_by_definition(old[:length], batch.blank)
                assert collapse_by_definition(new[:length], batch.blank) == said
                assert old[length:] == new[length:]
                tried += 1
    assert tried >= 100_000


@pytest.mark.parametrize(
    "rule", [LowLatency(), LowLatency("any"), LowLatency("tokens"), LowLatency(shifts=3), LowLatency("any", shifts=30)]
)
def test_keeps_every_promise(rule):
    report = check_property(rule, paths=4000).require()
    assert report.changed > 1000


def test_the_published_rule_is_caught_reading_the_padding():
    report = check_property(LowLatency("published"), paths=4000)
    assert {"frames beyond the end", "text changed"} <= set(report.violations)
    with pytest.raises(InputError, match="breaks its promises"):
        report.require()


def test_a_single_removable_frame_is_removed():
    assert edit([0, 3, 4, 5]).paths.tolist() == [[[3, 4, 5, 0]]]
    assert edit([3, 3, 4, 5]).paths.tolist() == [[[3, 4, 5, 0]]]


@pytest.mark.parametrize("path", [[3, 4, 5, 0], [0, 0, 0, 0], [3, 4, 5, 6], [1, 0, 0, 0]])
def test_paths_with_nothing_to_gain_stay(path):
    result = edit(path)
    assert result.paths.tolist() == [[path]]
    assert not result.changed.any()


def test_shift_happens_at_the_end_of_the_utterance_not_of_the_batch():
    result = edit([0, 3, 4, 9, 9, 9], length=3, blank=0)
    assert result.paths.tolist() == [[[3, 4, 0, 9, 9, 9]]]


def test_blank_may_be_the_last_label():
    assert edit([5, 3, 4], blank=5).paths.tolist() == [[[3, 4, 5]]]


def test_every_candidate_is_drawn_equally_often():
    path = [0, 0, 1, 1, 1, 0, 0, 2, 0]  # removable: 0, 1, 3, 4, 6; a run gives the same path whichever goes
    draws = 20_000
    seen = Counter(tuple(row) for row in edit(path, draws=draws).paths[0].tolist())
    expected = {
        (0, 1, 1, 1, 0, 0, 2, 0, 0): 2 / 5,
        (0, 0, 1, 1, 0, 0, 2, 0, 0): 2 / 5,
        (0, 0, 1, 1, 1, 0, 2, 0, 0): 1 / 5,
    }
    assert seen.keys() == expected.keys()
    for outcome, share in expected.items():
        assert seen[outcome] / draws == pytest.approx(share, abs=4 * (share * (1 - share) / draws) ** 0.5)


def test_several_shifts_stop_where_nothing_is_left():
    assert edit([0, 0, 1, 1, 0, 0], LowLatency(shifts=9)).paths.tolist() == [[[1, 0, 0, 0, 0, 0]]]


def test_tokens_only_leaves_blanks_alone():
    assert not edit([0, 0, 1, 0, 2], LowLatency("tokens")).changed.any()
    assert edit([0, 1, 1, 0, 2], LowLatency("tokens")).paths.tolist() == [[[0, 1, 0, 2, 0]]]


def test_no_frames_no_edit():
    result = edit([1, 1, 1], length=None)
    assert result.changed.all()
    empty = PathBatch(torch.zeros(2, 3, 0, dtype=torch.long), torch.zeros(2, dtype=torch.long), 0)
    assert not LowLatency().edit(empty).changed.any()
    unspoken = PathBatch(torch.ones(2, 3, 4, dtype=torch.long), torch.zeros(2, dtype=torch.long), 0)
    assert not LowLatency().edit(unspoken).changed.any()


def test_shifts_must_be_positive():
    with pytest.raises(InputError, match="shifts is 0"):
        LowLatency(shifts=0)
