"""From sound to words and back: corpora, labels, streaming, saving, the guard, the budget."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqtant.ctc.config import Guard, TrainConfig
from seqtant.ctc.instruments.finetune import max_weight_within_wer_budget
from seqtant.ctc.lattice.forced_alignment import Span
from seqtant.ctc.losses.base import TrimTail
from seqtant.ctc.recognition.dataset import Corpus, CorpusBatches, Labels
from seqtant.ctc.recognition.latency import Transcript, measure_timing
from seqtant.ctc.recognition.recognizer import (
    Recognizer,
    StreamingRecognizer,
    blank_share,
    same_weights,
    too_short_for_target,
)
from seqtant.ctc.recognition.sources import load_corpora
from seqtant.ctc.training import (
    CollapseError,
    CollapseGuard,
    finetune_recognizer,
    load_recognizer,
    objective_of,
    word_error_rate,
)
from seqtant.data.speech import TimedWord
from seqtant.errors import InputError
from seqtant.runs.recorder import Context


@pytest.fixture(scope="module")
def corpora():
    config = TrainConfig.smoke()
    return load_corpora(None, config.utterances, units=config.units, bands=config.network.bands, seed=0)


@pytest.fixture(scope="module")
def trained():
    """A recognizer of tones, a few seconds old."""
    return load_recognizer(None, 0)


def test_it_learns_the_tones(trained, corpora):
    assert word_error_rate(trained, corpora.test) < 10
    assert 0.8 < blank_share(trained, corpora.test) < 0.99


def test_no_recording_is_in_two_parts(corpora):
    def pieces(corpus):
        return {
            utterance.recording.samples[round(w.start * 8000) : round(w.end * 8000)].round(2).tobytes()
            for utterance in corpus.utterances
            for w in utterance.words
        }

    assert not pieces(corpora.train) & pieces(corpora.test)


@pytest.mark.parametrize("chunk", [37, 800, 10_000])
def test_a_stream_equals_the_whole(trained, corpora, chunk):
    utterance = corpora.test.utterances[0]
    stream = StreamingRecognizer(trained)
    pieces = [stream.push(part) for part in np.split(utterance.recording.samples, range(chunk, 20_000, chunk))]
    torch.testing.assert_close(torch.cat(pieces), trained.log_probs(utterance), atol=1e-4, rtol=0)
    (heard,) = trained.transcribe(Corpus([utterance], corpora.test.features[:1], corpora.test.targets[:1]))
    assert [(w.word, w.start) for w in stream.words] == [(w.word, w.start) for w in heard.hypothesis]


def test_saved_and_loaded_is_the_same(trained, tmp_path):
    trained.save(tmp_path / "model")
    again = Recognizer.load(tmp_path / "model")
    assert same_weights(trained, again)
    assert (again.labels, again.log_mel, again.frame_seconds) == (trained.labels, trained.log_mel, 0.03)


def test_damaged_folders_are_named(trained, tmp_path):
    with pytest.raises(InputError, match=r"no recognizer\.json"):
        Recognizer.load(tmp_path)
    trained.save(tmp_path)
    description = json.loads((tmp_path / "recognizer.json").read_text())
    for change, message in [
        ({"format": 9}, "format"),
        ({"labels": ["<blank>"]}, "names 1 labels"),
        ({"encoder": {"channls": 3}}, "channls"),
    ]:
        (tmp_path / "recognizer.json").write_text(json.dumps(description | change))
        with pytest.raises(InputError, match=message):
            Recognizer.load(tmp_path)
    (tmp_path / "recognizer.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        Recognizer.load(tmp_path)
    (tmp_path / "recognizer.json").write_text(json.dumps(description))
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="does not fit"):
        Recognizer.load(tmp_path)


def test_letters_are_words_when_their_last_letter_is_out():
    labels = Labels.of([("ab", "c")], "letter")
    spans = [Span(labels.encode(("ab", "c"))[i], start, start + 1, 0.0) for i, start in enumerate((2, 5, 6, 9))]
    words = labels.words(spans, frame_seconds=0.1)
    assert [(w.word, round(w.start, 6)) for w in words] == [("ab", 0.6), ("c", 1.0)]


def test_utterances_too_short_for_their_texts_are_named(trained, corpora):
    bands, stack = corpora.log_mel.bands, trained.encoder.config.stack
    lengths, targets = (2 * stack, 3 * stack - 1, 3 * stack, 0), [[1, 2], [1, 1], [1, 1], []]
    corpus = Corpus(corpora.test.utterances[:4], [torch.zeros(length, bands) for length in lengths], targets)
    assert too_short_for_target(trained, corpus) == [corpus.utterances[1].id]


def test_unknown_words_are_named():
    with pytest.raises(InputError, match="no label 'tree' \\(did you mean 'three'"):
        Labels.of([("three",)], "word").encode(("tree",))
    with pytest.raises(InputError, match="no word"):
        Labels.of([()], "word")


def test_batches_depend_on_seed_and_step_only(corpora):
    first, second = (CorpusBatches(corpora.train, 8, seed=5, trim=TrimTail(9)) for _ in range(2))
    for step in (7, 0, 16):
        a, b = first.batch(step), second.batch(step)
        assert all(torch.equal(a[name], b[name]) for name in a)
    other = CorpusBatches(corpora.train, 8, seed=6)
    assert other.fingerprint != first.fingerprint
    epoch = torch.cat([other.batch(step)["target_lengths"] for step in range(16)])
    assert sorted(epoch.tolist()) == sorted(len(t) for t in corpora.train.targets)
    with pytest.raises(InputError, match="batch size 999"):
        CorpusBatches(corpora.train, 999, seed=0)


def quick(trained, corpora, weight, *, method="awp", steps=12, guard=None, seed=0):
    config = TrainConfig.smoke()
    return finetune_recognizer(
        trained,
        corpora,
        objective_of(method, weight, config.purpose, corpora),
        config.optimization,
        steps=steps,
        context=Context(device="cpu"),
        seed=seed,
        guard=guard,
    )


def test_finetuning_leaves_the_start_as_it_was_and_repeats_to_the_bit(trained, corpora):
    before = {name: tensor.clone() for name, tensor in trained.encoder.state_dict().items()}
    first, second = (quick(trained, corpora, 0.5).recognizer for _ in range(2))
    assert same_weights(first, second)
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.encoder.state_dict().items())
    assert not same_weights(first, quick(trained, corpora, 0.5, seed=1).recognizer)


def test_weight_zero_trains_to_the_bit_like_ctc(trained, corpora):
    plain, zero = (quick(trained, corpora, 0.0, method=method).recognizer for method in ("ctc", "awp"))
    assert same_weights(plain, zero)


def test_the_guard_stops_a_collapse_and_keeps_the_last_good_weights(trained, corpora):
    done = quick(trained, corpora, 500.0, steps=60, guard=Guard(every=5, wer_increase=30.0, utterances=16))
    assert "word error rate rose" in done.collapse or "blank" in done.collapse
    assert done.guard.good_step < 60
    assert word_error_rate(done.recognizer, done.guard.corpus) <= done.guard.start_wer + 30


def test_the_guard_sees_silence(trained, corpora):
    guard = CollapseGuard(trained, corpora.development, Guard(blank_share=0.5))
    with pytest.raises(CollapseError, match="blank"):
        guard.check(1, trained.encoder)


def test_without_word_times_there_are_errors_and_no_delays(trained, corpora):
    corpus = Corpus(
        [replace(corpora.test.utterances[0], words=())], corpora.test.features[:1], corpora.test.targets[:1]
    )
    (found,) = trained.timings(corpus)
    assert found.errors == trained.timings(corpora.test)[0].errors
    assert (found.delays, found.first, found.last) == ((), None, None)
    assert corpus.without_timestamps == [corpora.test.utterances[0].id]
    assert corpora.test.without_timestamps == []


class TestBudget:
    """A made-up frontier: errors rise with the weight squared, words come 100 ms earlier per unit of weight."""

    words = tuple(TimedWord(str(place), place, place + 0.5) for place in range(10))

    def hear(self, weight):
        rows = []
        for number in range(200):
            wrong = number < 200 * min(weight**2, 1) * 10 / 100
            said = tuple(TimedWord(w.word, w.start + 0.3 - 0.1 * weight, 0) for w in self.words[wrong:])
            rows.append(measure_timing(Transcript(str(number), said, self.words)))
        return rows

    def search(self, budget, first, runs=8, hear=None, collapses=False):
        attempt = lambda weight: (None, (hear or self.hear)(weight), collapses)
        return max_weight_within_wer_budget(budget, self.hear(0.0), attempt, first_weight=first, most_runs=runs)

    @pytest.mark.parametrize("first", [0.05, 0.5, 8.0])
    def test_finds_the_largest_weight_within_the_budget(self, first):
        trials, best = self.search(0.6, first, runs=12)
        assert best.change.wer.high <= 0.6
        assert best.weight == max(trial.weight for trial in trials if trial.within)
        overspent = min(trial.weight for trial in trials if not trial.within)
        assert overspent <= 1.16 * best.weight

    def test_doubles_until_overspent_then_takes_geometric_means(self):
        trials, _ = self.search(0.6, 0.0625, runs=12)
        # 1/2 is within, 1 is not; the means close in until the two ends are less than 15 % apart.
        powers = [-4, -3, -2, -1, 0, -0.5, -0.75, -0.875]
        assert [trial.weight for trial in trials] == pytest.approx([2**power for power in powers])
        assert [trial.within for trial in trials] == [True] * 4 + [False] * 3 + [True]

    def test_stops_after_the_runs_it_was_given(self):
        trials, _ = self.search(0.6, 0.001, runs=3)
        assert [trial.weight for trial in trials] == [0.001, 0.002, 0.004]

    def test_halves_and_buys_nothing_where_no_weight_is_within(self):
        trials, best = self.search(0.1, 1.0, runs=3, hear=lambda weight: self.hear(1.0))
        assert best is None
        assert [trial.weight for trial in trials] == [1.0, 0.5, 0.25]

    def test_a_collapsed_run_is_never_within(self):
        _, best = self.search(50, 1.0, runs=2, hear=lambda weight: self.hear(0.0), collapses=True)
        assert best is None
