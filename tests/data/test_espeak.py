"""Synthetic speech: words, their times, and what happens without the extra."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from seqtant.data.espeak import RATE, Event, Voice, speak, speak_texts, word_times, words_of
from seqtant.errors import InputError, MissingExtraError


@pytest.fixture
def engine():
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is the optional extra 'espeak'")


def test_words_of_a_text():
    assert words_of("It\u2019s 5 o'clock -- GO, \u00fcber_all!") == ("it's", "o'clock", "go", "\u00fcber", "all")
    assert words_of("12 3.") == ()


class TestWordTimes:
    def test_a_pause_ends_a_word_and_a_neighbor_does(self):
        events = [
            Event("word", 0, 100),
            Event("phoneme", 0, 250, is_pause=True),
            Event("word", 2, 300),
            Event("word", 6, 500),
        ]
        times = word_times(["a", "bcd", "e"], events, 900, 1000)
        assert [(word.start, word.end) for word in times] == [(0.1, 0.25), (0.3, 0.5), (0.5, 0.9)]

    def test_a_word_without_a_time_is_named(self):
        with pytest.raises(InputError, match="gives 'the' no time"):
            word_times(["of", "the"], [Event("word", 0, 0)], 100, 1000)


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    from seqtant.data import espeak

    espeak._engine.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match=r"seqtant\[espeak\]"):
        speak(["one"])


@pytest.mark.usefixtures("engine")
class TestSpoken:
    def test_every_word_has_a_time_even_where_the_dictionary_joins_two(self):
        words = words_of("There was none of the one at all")
        spoken = speak(words, Voice("en-us+m3"))
        assert tuple(word.word for word in spoken.words) == words
        edges = [edge for word in spoken.words for edge in (word.start, word.end)]
        assert edges == sorted(edges)
        assert all(word.end > word.start for word in spoken.words)
        assert edges[-1] <= spoken.recording.seconds
        assert spoken.recording.rate == RATE

    def test_sound_is_where_the_words_are(self):
        spoken = speak(["seven"])
        (word,) = spoken.words
        inside = spoken.recording.samples[round(word.start * RATE) : round(word.end * RATE)]
        outside = spoken.recording.samples[round(word.end * RATE) + 400 :]
        assert np.abs(inside).max() > 0.1
        assert not len(outside) or np.abs(outside).max() < 0.1

    def test_slower_is_longer_and_voices_are_checked(self):
        slow, fast = (speak(["one", "two"], Voice(words_per_minute=speed)) for speed in (100, 300))
        assert slow.recording.seconds > 1.5 * fast.recording.seconds
        with pytest.raises(InputError, match="no voice 'nobody'"):
            speak(["one"], Voice("nobody"))
        with pytest.raises(InputError, match="nothing to speak"):
            speak([])

    def test_the_same_seed_says_the_same(self):
        texts = [("one", "two"), ("three",)]
        first, second = (speak_texts(texts, 4, np.random.default_rng(3)) for _ in range(2))
        assert [(u.text, u.speaker) for u in first] == [(u.text, u.speaker) for u in second]
        # The engine itself goes on from call to call: times agree to a few milliseconds only.
        for one, other in zip(first, second, strict=True):
            assert [w.start for w in one.words] == pytest.approx([w.start for w in other.words], abs=0.02)
        assert len({u.speaker for u in first}) > 1

    def test_no_text_is_refused(self):
        with pytest.raises(InputError, match="no text"):
            speak_texts([], 1, np.random.default_rng(0))
