"""Word errors against jiwer, latency against hand counts, intervals against what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from seqtant.ctc.decoding.word_errors import aligned_pairs, split_words, word_errors
from seqtant.ctc.recognition.latency import Transcript, compare, measure_timing, summarize
from seqtant.data.speech import TimedWord
from seqtant.errors import InputError


def test_word_errors_equal_jiwers_on_random_strings():
    jiwer = pytest.importorskip("jiwer", reason="the extra 'speech' is not installed")
    rng = np.random.default_rng(0)
    for _ in range(400):
        reference, hypothesis = (
            [str(word) for word in rng.integers(5, size=rng.integers(least, 12))] for least in (1, 0)
        )
        theirs = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
        ours = word_errors(hypothesis, reference)
        assert ours.total == theirs.substitutions + theirs.insertions + theirs.deletions
        assert ours.rate == pytest.approx(theirs.wer)
        assert ours.insertions - ours.deletions == theirs.insertions - theirs.deletions


def test_alignments_are_monotone_and_complete():
    rng = np.random.default_rng(1)
    for _ in range(200):
        a, b = (rng.integers(4, size=rng.integers(10)).tolist() for _ in range(2))
        pairs = aligned_pairs(a, b)
        assert [h for h, _ in pairs if h is not None] == list(range(len(a)))
        assert [r for _, r in pairs if r is not None] == list(range(len(b)))


def test_words_of_letters():
    assert [word.positions for word in split_words([1, 2, 1, 1, 3, 4, 1], space=1)] == [(1,), (4, 5)]
    assert split_words([], space=1) == []
    assert [word.labels for word in split_words([5, 5], space=None)] == [(5,), (5,)]


TRUE = (TimedWord("one", 0.5, 0.9), TimedWord("two", 1.0, 1.4), TimedWord("six", 1.5, 2.0))


def heard(*words, name="u"):
    return Transcript(name, tuple(TimedWord(word, time, time) for word, time in words), TRUE)


def test_delays_of_correct_words_only():
    result = measure_timing(heard(("one", 0.7), ("ten", 1.3), ("six", 1.9)))
    assert [(d.place, round(d.after_start), round(d.after_end)) for d in result.delays] == [
        (0, 200, -200),
        (2, 400, -100),
    ]
    assert (result.errors.substitutions, result.errors.words) == (1, 3)
    assert (round(result.first), round(result.last)) == (200, -100)


def test_an_utterance_that_says_nothing_has_no_times():
    result = measure_timing(heard())
    assert (result.first, result.last, result.delays) == (None, None, ())
    assert result.errors.deletions == 3
    summary = summarize([result, result])
    assert summary.wer.value == 100
    assert summary.after_start is None


def test_summary_is_counted_by_hand():
    rows = [
        measure_timing(heard(("one", 0.6), ("two", 1.3), name="a")),
        measure_timing(heard(("one", 0.8), ("six", 1.6), name="b")),
    ]
    summary = summarize(rows, draws=200)
    assert summary.wer.value == pytest.approx(100 * 2 / 6)
    assert summary.after_start.value == pytest.approx((100 + 300 + 300 + 100) / 4)
    assert summary.median.value == pytest.approx(200)
    assert summary.last.value == pytest.approx((-700 - 400) / 2)
    assert summary.wer.clusters == 2


def test_references_without_words_are_refused():
    with pytest.raises(InputError, match="no word"):
        summarize([measure_timing(Transcript("a", (), ()))])


def test_comparison_is_over_words_both_got_right():
    """The second system loses the slow word: its mean falls, the paired delay does not."""
    first = [measure_timing(heard(("one", 0.6), ("two", 1.1), ("six", 2.4), name=n)) for n in "ab"]
    second = [measure_timing(heard(("one", 0.6), ("two", 1.1), name=n)) for n in "ab"]
    assert summarize(second, draws=100).after_start.value < summarize(first, draws=100).after_start.value - 200
    change = compare(first, second)
    assert change.delay.value == pytest.approx(0, abs=1e-9)
    assert change.words == 4
    assert change.wer.value == pytest.approx(100 / 3)


def test_comparison_needs_the_same_utterances():
    with pytest.raises(InputError, match="different utterances"):
        compare([measure_timing(heard(name="a"))], [measure_timing(heard(name="b"))])


def test_intervals_cover_as_they_promise():
    """Clusters of words that share a delay: an interval over words alone would be far too narrow."""
    rng = np.random.default_rng(0)
    covered, trials = 0, 120
    for trial in range(trials):
        rows = []
        for number in range(40):
            late = 0.2 + rng.normal(0, 0.05)
            words = tuple(TimedWord(w.word, w.start + late, w.start + late) for w in TRUE)
            rows.append(measure_timing(Transcript(str(number), words, TRUE)))
        interval = summarize(rows, seed=trial, draws=200).after_start
        covered += interval.low <= 200 <= interval.high
    assert covered / trials == pytest.approx(0.94, abs=0.06)
