"""The aligner, the decoders: each against enumeration of all paths."""

from __future__ import annotations

import math

import pytest
import torch

from seqtant.ctc.decoding.decoders import BeamDecoder, GreedyDecoder, greedy_decode
from seqtant.ctc.lattice.forced_alignment import forced_align
from seqtant.errors import InputError


@pytest.mark.parametrize("target", [(), (1,), (1, 2), (1, 1), (2, 1, 2), (2, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_aligner_equals_enumeration(target, seed, random_log_probs, enumerate_paths, collapse_by_definition):
    log_probs = random_log_probs(6, 3, seed=seed, sharpness=2.0)
    fitting = [(s, p) for p, s in enumerate_paths(log_probs) if collapse_by_definition(p, 0) == target]
    best_score, best_path = max(fitting)
    result = forced_align(log_probs[None], torch.tensor([6]), torch.tensor([[*target, 0]]), torch.tensor([len(target)]))
    assert float(result.scores[0]) == pytest.approx(best_score, abs=1e-10)
    assert tuple(result.paths[0].tolist()) == best_path
    assert tuple(span.label for span in result.spans[0]) == target
    for span in result.spans[0]:
        assert best_path[span.start : span.end] == (span.label,) * (span.end - span.start)
        mean = sum(float(log_probs[t, span.label]) for t in range(span.start, span.end)) / (span.end - span.start)
        assert span.score == pytest.approx(mean, abs=1e-12)


def test_a_batch_of_different_lengths_equals_its_utterances(random_log_probs):
    log_probs = random_log_probs(4, 8, 4, seed=1)
    lengths, counts = torch.tensor([8, 5, 3, 0]), torch.tensor([3, 2, 1, 0])
    targets = torch.tensor([[1, 1, 2], [3, 1, 0], [2, 0, 0], [0, 0, 0]])
    together = forced_align(log_probs, lengths, targets, counts)
    for b in range(3):
        alone = forced_align(
            log_probs[b : b + 1, : lengths[b]], lengths[b : b + 1], targets[b : b + 1], counts[b : b + 1]
        )
        assert together.spans[b] == alone.spans[0]
        assert (together.paths[b, lengths[b] :] == 0).all()
    assert together.spans[3] == []
    assert float(together.scores[3]) == 0


def test_what_cannot_fit_is_said_and_nothing_invented(random_log_probs):
    result = forced_align(
        random_log_probs(2, 4, 3), torch.tensor([2, 4]), torch.tensor([[1, 1], [1, 1]]), torch.tensor([2, 2])
    )
    assert torch.isneginf(result.scores[0])
    assert result.spans[0] == []
    assert (result.paths[0] == 0).all()
    assert torch.isfinite(result.scores[1])


def test_blank_last_and_time_first(random_log_probs):
    log_probs = random_log_probs(1, 7, 4, seed=2)
    moved = log_probs[..., [1, 2, 3, 0]].transpose(0, 1)
    arguments = (torch.tensor([7]), torch.tensor([2]))
    first = forced_align(log_probs, arguments[0], torch.tensor([[1, 3]]), arguments[1])
    last = forced_align(moved, arguments[0], torch.tensor([0, 2]), arguments[1], blank=-1, batch_first=False)
    assert [(s.start, s.end) for s in first.spans[0]] == [(s.start, s.end) for s in last.spans[0]]


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_is_exact(blank, seed, random_log_probs, enumerate_paths, collapse_by_definition):
    log_probs = random_log_probs(6, 3, seed=seed)
    totals: dict[tuple[int, ...], float] = {}
    for path, score in enumerate_paths(log_probs):
        said = collapse_by_definition(path, blank)
        totals[said] = totals.get(said, 0.0) + math.exp(score)
    decoder = BeamDecoder(width=10_000, blank=blank)
    decoder.push(log_probs)
    found = decoder.best(10_000)
    assert {h.labels: pytest.approx(math.exp(h.score), abs=1e-10) for h in found} == totals
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    assert math.fsum(math.exp(h.score) for h in found) == pytest.approx(1, abs=1e-10)


def test_beam_time_stamps_are_those_of_the_likeliest_path(random_log_probs, enumerate_paths, collapse_by_definition):
    for seed in range(100):
        frames, labels = 2 + seed % 4, 2 + seed % 2
        log_probs = random_log_probs(frames, labels, seed=seed, sharpness=(0.3, 1.0, 4.0)[seed % 3])
        best: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {}
        for path, score in enumerate_paths(log_probs):
            emits = tuple(t for t, label in enumerate(path) if label != 0 and (t == 0 or path[t - 1] != label))
            said = collapse_by_definition(path, 0)
            best[said] = max(best.get(said, (-math.inf, ())), (score, emits))
        decoder = BeamDecoder(width=10_000)
        decoder.push(log_probs)
        assert {h.labels: h.frames for h in decoder.best(10_000)} == {said: emits for said, (_, emits) in best.items()}


def test_beam_time_stamps_are_those_of_the_best_alignment(random_log_probs):
    log_probs = random_log_probs(7, 3, seed=5, sharpness=3.0)
    decoder = BeamDecoder(width=1000)
    decoder.push(log_probs)
    for hypothesis in decoder.best(5):
        count = len(hypothesis.labels)
        aligned = forced_align(
            log_probs[None], torch.tensor([7]), torch.tensor([[*hypothesis.labels, 0]]), torch.tensor([count])
        )
        assert hypothesis.frames == tuple(span.start for span in aligned.spans[0])


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_streams_equal_the_whole(chunk, random_log_probs):
    log_probs = random_log_probs(11, 4, seed=6, sharpness=2.0)
    whole, stream, greedy = BeamDecoder(4), BeamDecoder(4), GreedyDecoder()
    whole.push(log_probs)
    said = []
    for piece in log_probs.split(chunk):
        stream.push(piece)
        said += greedy.push(piece)
    assert stream.best(4) == whole.best(4)
    assert stream.frames == 11
    at_once = greedy_decode(log_probs[None], torch.tensor([11]))[0]
    assert [(s.label, s.start) for s in said] == [(s.label, s.start) for s in at_once]


def test_greedy_is_the_collapse_of_the_likeliest_labels(random_log_probs, collapse_by_definition):
    log_probs = random_log_probs(3, 20, 4, seed=7)
    lengths = torch.tensor([20, 13, 0])
    for row, length, spans in zip(log_probs, lengths.tolist(), greedy_decode(log_probs, lengths), strict=True):
        assert tuple(s.label for s in spans) == collapse_by_definition(row[:length].argmax(-1).tolist(), 0)


def test_a_language_model_changes_the_order_by_what_it_says():
    log_probs = torch.tensor([[0.0, 0.55, 0.45]]).log()
    plain, fused = BeamDecoder(4), BeamDecoder(4, language_model=lambda prefix, label: -2.0 * (label == 1))
    for decoder in (plain, fused):
        decoder.push(log_probs)
    assert plain.best()[0].labels == (1,)
    assert fused.best()[0].labels == (2,)
    assert fused.best(2)[1].score == pytest.approx(math.log(0.55) - 2, abs=1e-6)


def test_pruned_labels_lower_the_score_only(random_log_probs):
    log_probs = random_log_probs(8, 6, seed=8, sharpness=2.0)
    all_labels, two = BeamDecoder(50), BeamDecoder(50, labels_per_frame=2)
    all_labels.push(log_probs)
    two.push(log_probs)
    assert two.best()[0].score <= all_labels.best()[0].score


def test_bad_input():
    with pytest.raises(InputError, match="beam width is 0"):
        BeamDecoder(0)
    with pytest.raises(InputError, match="NaN"):
        BeamDecoder().push(torch.full((1, 2), torch.nan))
