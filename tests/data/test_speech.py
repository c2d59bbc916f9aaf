"""Manifests, folders, CTM files and connected digits."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seqtant.data.audio import Recording, write_wav
from seqtant.data.digits import (
    WORDS,
    DigitStrings,
    SpokenDigit,
    connect_digits,
    read_fsdd,
    split_digits,
)
from seqtant.data.speech import TimedWord, read_ctm, read_folder, read_manifest, write_ctm
from seqtant.errors import InputError


def beep(path, seconds=0.1, rate=8000):
    write_wav(path, Recording(np.full(round(seconds * rate), 0.25, np.float32), rate))


@pytest.fixture
def digits_folder(tmp_path):
    folder = tmp_path / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    for digit in range(3):
        for speaker in ("ann", "bob"):
            for index in range(12):
                beep(folder / f"{digit}_{speaker}_{index}.wav", 0.1 + 0.01 * digit)
    (folder / "README.txt").write_text("not a recording")
    return tmp_path / "fsdd"


class TestDigits:
    def test_reads_a_checkout_or_its_recordings(self, digits_folder):
        digits = read_fsdd(digits_folder)
        assert len(digits) == len(read_fsdd(digits_folder / "recordings")) == 72
        assert {digit.speaker for digit in digits} == {"ann", "bob"}

    def test_official_split_shares_no_take(self, digits_folder):
        split = split_digits(read_fsdd(digits_folder))
        assert {digit.index for digit in split.test} == set(range(5))
        assert {digit.index for digit in split.development} == set(range(5, 10))
        assert {digit.index for digit in split.train} == {10, 11}

    def test_other_takes_can_be_tested(self, digits_folder):
        split = split_digits(read_fsdd(digits_folder), first_test_take=2)
        parts = [{digit.index for digit in part} for part in (split.test, split.development, split.train)]
        assert parts == [set(range(2, 7)), set(range(7, 12)), {0, 1}]

    def test_held_out_speaker_is_nowhere_else(self, digits_folder):
        split = split_digits(read_fsdd(digits_folder), test_speaker="ann")
        assert {digit.speaker for digit in split.test} == {"ann"}
        assert len(split.test) == 36
        assert {digit.speaker for digit in split.train + split.development} == {"bob"}

    def test_unknown_speaker(self, digits_folder):
        with pytest.raises(InputError, match="did you mean 'ann'"):
            split_digits(read_fsdd(digits_folder), test_speaker="anne")

    def test_a_part_without_recordings_is_refused(self, digits_folder):
        few = [digit for digit in read_fsdd(digits_folder) if digit.index < 5]
        with pytest.raises(InputError, match="no recording for training"):
            split_digits(few)

    def test_times_are_exact(self):
        """Each digit is a constant of its own: the sound itself says where it is."""
        takes = [
            SpokenDigit(digit, "a", 0, Recording(np.full(400 + 80 * digit, 0.05 * (digit + 1), np.float32), 8000))
            for digit in range(10)
        ]
        made = connect_digits(takes, DigitStrings(count=20, noise=(0.0, 0.0)), np.random.default_rng(0))
        for utterance in made:
            rebuilt = np.zeros_like(utterance.recording.samples)
            for word in utterance.words:
                start, end = round(word.start * 8000), round(word.end * 8000)
                rebuilt[start:end] = 0.05 * (WORDS.index(word.word) + 1)
            np.testing.assert_allclose(utterance.recording.samples, rebuilt, atol=1e-7)
            assert 3 <= len(utterance.words) <= 6
            assert utterance.text == tuple(word.word for word in utterance.words)

    def test_one_speaker_per_utterance_and_reproducible(self, digits_folder):
        digits = read_fsdd(digits_folder)
        first, second = (connect_digits(digits, DigitStrings(count=5), np.random.default_rng(3)) for _ in range(2))
        for a, b in zip(first, second, strict=True):
            assert a.text == b.text
            np.testing.assert_array_equal(a.recording.samples, b.recording.samples)
        assert {utterance.speaker for utterance in first} <= {"ann", "bob"}

    def test_silences_and_noise_are_in_their_ranges(self):
        take = [SpokenDigit(0, "a", 0, Recording(np.zeros(800, np.float32), 8000))]
        config = DigitStrings(count=50, lead_in=(0.2, 0.3), gap=(0.1, 0.1), tail=(0.8, 0.8), noise=(0.002, 0.002))
        for utterance in connect_digits(take, config, np.random.default_rng(0)):
            words = utterance.words
            assert 0.2 <= words[0].start <= 0.3
            assert utterance.recording.seconds - words[-1].end == pytest.approx(0.8)
            assert words[1].start - words[0].end == pytest.approx(0.1)
            assert utterance.recording.samples.std() == pytest.approx(0.002, rel=0.05)

    def test_speed_changes_length_and_pitch_and_the_times_follow(self):
        tone = np.sin(2 * np.pi * 500 * np.arange(4000) / 8000).astype(np.float32)
        take = [SpokenDigit(0, "a", 0, Recording(tone, 8000))]
        config = DigitStrings(count=10, words=(1, 1), noise=(0.0, 0.0), speed=(0.8, 1.25))
        for utterance in connect_digits(take, config, np.random.default_rng(0)):
            (word,) = utterance.words
            speed = 0.5 / (word.end - word.start)
            assert 0.79 < speed < 1.26
            heard = utterance.recording.samples[round(word.start * 8000) : round(word.end * 8000)]
            loudest = np.argmax(np.abs(np.fft.rfft(heard, 80_000))) / 10
            assert loudest == pytest.approx(500 * speed, rel=0.02)

    def test_recordings_can_be_brought_to_one_level(self):
        tone = np.sin(np.arange(4000)).astype(np.float32)
        takes = [SpokenDigit(digit, "a", 0, Recording(tone * loud, 8000)) for digit, loud in enumerate((0.01, 0.5, 0))]
        config = DigitStrings(count=10, noise=(0.0, 0.0), speed=(0.9, 1.1), level=0.06)
        for utterance in connect_digits(takes, config, np.random.default_rng(0)):
            for word in utterance.words:
                heard = utterance.recording.samples[round(word.start * 8000) : round(word.end * 8000)]
                expected = 0 if word.word == "two" else 0.06
                assert np.sqrt(np.mean(heard**2)) == pytest.approx(expected, rel=1e-3)

    def test_wrong_folders(self, tmp_path):
        with pytest.raises(InputError, match="no folder"):
            read_fsdd(tmp_path / "none")
        with pytest.raises(InputError, match="7_jackson_32"):
            read_fsdd(tmp_path)
        beep(tmp_path / "1_a_0.wav")
        beep(tmp_path / "1_a_1.wav", rate=16000)
        with pytest.raises(InputError, match="mixes sampling rates"):
            read_fsdd(tmp_path)
        with pytest.raises(InputError, match="no recordings"):
            connect_digits([], DigitStrings(), np.random.default_rng(0))

    def test_the_real_recordings(self, shared_data):
        digits = read_fsdd(shared_data / "fsdd")
        assert len(digits) == 2500
        assert {digit.recording.rate for digit in digits} == {8000}
        assert len(split_digits(digits).test) == 250


class TestManifests:
    def entry(self, **changes):
        return {"audio": "a.wav", "text": "one two"} | changes

    def write(self, tmp_path, *entries):
        beep(tmp_path / "a.wav")
        path = tmp_path / "list.jsonl"
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        return path

    def test_reads_what_it_wrote(self, tmp_path):
        words = [["one", 0.0, 0.04], ["two", 0.05, 0.1]]
        path = self.write(tmp_path, self.entry(id="x", speaker="s", words=words))
        (utterance,) = read_manifest(path)
        assert (utterance.id, utterance.speaker, utterance.text) == ("x", "s", ("one", "two"))
        assert utterance.words[1] == TimedWord("two", 0.05, 0.1)
        assert utterance.recording.seconds == pytest.approx(0.1)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"audio": 3}, "needs the strings"),
            ({"texts": "x"}, "unknown key 'texts'"),
            ({"words": [["one", 0, 1]]}, "differ"),
            ({"words": [["one", 0], ["two", 1]]}, r"\[word, start, end\]"),
            ({"words": [["one", 2, 1], ["two", 2, 3]]}, "0 <= start <= end"),
            ({"audio": "b.wav"}, "no sound file"),
        ],
    )
    def test_wrong_entries_are_named(self, tmp_path, changes, message):
        with pytest.raises(InputError, match=message):
            read_manifest(self.write(tmp_path, self.entry(**changes)))

    def test_wrong_files(self, tmp_path):
        with pytest.raises(InputError, match="comes twice"):
            read_manifest(self.write(tmp_path, self.entry(), self.entry()))
        with pytest.raises(InputError, match="is empty"):
            read_manifest(self.write(tmp_path))
        with pytest.raises(InputError, match="no file"):
            read_manifest(tmp_path / "none.jsonl")
        (tmp_path / "bad.jsonl").write_text("{")
        with pytest.raises(InputError, match="line 1 is not JSON"):
            read_manifest(tmp_path / "bad.jsonl")
        (tmp_path / "list.jsonl").write_text("{}\n")
        with pytest.raises(InputError, match="line 1: needs"):
            read_manifest(tmp_path / "list.jsonl")

    def test_folders(self, tmp_path):
        beep(tmp_path / "a.wav")
        with pytest.raises(InputError, match=r"write a\.txt"):
            read_folder(tmp_path)
        (tmp_path / "a.txt").write_text("one  two\n")
        assert read_folder(tmp_path)[0].text == ("one", "two")
        with pytest.raises(InputError, match="no folder"):
            read_folder(tmp_path / "none")
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="no WAV"):
            read_folder(tmp_path / "empty")


class TestCTM:
    def test_round_trip(self, tmp_path):
        words = {"u1": [TimedWord("one", 0.5, 0.75), TimedWord("two", 1.0, 1.0)], "u2": [TimedWord("x", 0.0, 2.0)]}
        write_ctm(tmp_path / "out.ctm", words)
        assert read_ctm(tmp_path / "out.ctm") == words

    def test_comments_order_channels_and_confidence(self, tmp_path):
        path = tmp_path / "in.ctm"
        path.write_text(";; made by hand\nu 1 1.0 0.5 late 0.9\nu A 0.5 0.25 early\n\nu 2 0 1 other\n")
        words = read_ctm(path)
        assert [word.word for word in words["u"]] == ["early", "late"]
        assert list(words) == ["u", "u/2"]

    @pytest.mark.parametrize("line", ["u 1 0.5 one", "u 1 x 0.5 one", "u 1 0 -1 one", "u 1 nan 1 one", "u 1 0 inf one"])
    def test_wrong_lines_are_numbered(self, tmp_path, line):
        (tmp_path / "bad.ctm").write_text("u 1 0 1 fine\n" + line)
        with pytest.raises(InputError, match="line 2"):
            read_ctm(tmp_path / "bad.ctm")

    def test_missing_empty_and_unwritable(self, tmp_path):
        with pytest.raises(InputError, match="give an existing CTM file"):
            read_ctm(tmp_path / "none.ctm")
        (tmp_path / "empty.ctm").write_text(";; nothing\n")
        with pytest.raises(InputError, match="no word"):
            read_ctm(tmp_path / "empty.ctm")
        (tmp_path / "latin.ctm").write_bytes(b"u 1 0 1 \xe9\n")
        with pytest.raises(InputError, match="UTF-8"):
            read_ctm(tmp_path / "latin.ctm")
        with pytest.raises(InputError, match="spaces"):
            write_ctm(tmp_path / "out.ctm", {"u": [TimedWord("a b", 0, 1)]})
        assert not (tmp_path / "out.ctm").exists()
