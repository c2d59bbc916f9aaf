"""What is in memory in place of paths: the same numbers, told as what it is, given back as it was."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtant import ctc
from seqtant.ctc.recognition.recognizer import same_weights
from seqtant.data.audio import Recording, read_audio, write_wav
from seqtant.data.speech import TimedWord, Utterance, read_ctm, read_manifest, write_ctm
from seqtant.errors import InputError
from seqtant.settings import plain

SMALL: dict[str, Any] = {"network": {"channels": 8, "dilations": (1, 2), "bands": 8}, "optimization": {"batch_size": 4}}


@pytest.fixture(scope="module")
def recognizer() -> ctc.Recognizer:
    return ctc.load_recognizer()


@pytest.fixture(scope="module")
def model(recognizer: ctc.Recognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    recognizer.save(folder)
    return folder


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ctc.Speech]:
    """A few utterances of tones as lists with sounds, and as they are read from there."""
    folder = tmp_path_factory.mktemp("speech")
    made = ctc.load_speech(utterances=ctc.Utterances(train=24, development=4, test=6, digits=(2, 3)))
    parts = []
    for name in ("train", "development", "test"):
        entries = []
        for utterance in getattr(made, name):
            write_wav(folder / f"{utterance.id}.wav", utterance.recording)
            words = [[word.word, word.start, word.end] for word in utterance.words]
            entries.append({"audio": f"{utterance.id}.wav", "text": " ".join(utterance.text), "words": words})
        lines = "".join(json.dumps(entry) + "\n" for entry in entries)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        parts.append(read_manifest(folder / f"{name}.jsonl"))
    return folder, ctc.Speech(*parts)


def rows(utterances: list[Utterance]) -> list[dict[str, Any]]:
    """Utterances as mappings, the sound as a data set of transformers has it."""
    return [
        {
            "audio": {"array": each.recording.samples, "sampling_rate": each.recording.rate},
            "text": " ".join(each.text),
            "words": [(word.word, word.start, word.end) for word in each.words],
            "id": each.id,
        }
        for each in utterances
    ]


def test_speech_in_memory_trains_like_its_lists(speech: tuple[Path, ctc.Speech]) -> None:
    folder, given = speech
    by_path = ctc.train(folder, base_steps=4, **SMALL)
    by_object = ctc.train(given, base_steps=4, **SMALL)
    by_rows = ctc.train(
        {name: rows(getattr(given, name)) for name in ("train", "development", "test")}, base_steps=4, **SMALL
    )
    assert by_path.values == by_object.values == by_rows.values
    assert by_path.command.startswith("seqtant ctc train ")
    assert by_object.command == ""
    assert plain(ctc.TrainConfig(given))["data"] == f"<34 utterances in memory, sha256 {given.fingerprint}>"


def test_a_recognizer_in_memory_is_finetuned_like_its_folder_and_left_as_it_was(
    speech: tuple[Path, ctc.Speech], recognizer: ctc.Recognizer, model: Path
) -> None:
    settings: dict[str, Any] = {"steps": 3, "start_steps": 0, "optimization": {"batch_size": 4}}
    mine = copy.deepcopy(recognizer)
    mine.encoder.train()
    next(mine.encoder.parameters()).requires_grad_(False)
    by_object = ctc.finetune(mine, speech[1], **settings)
    assert by_object.values == ctc.finetune(model, speech[0], **settings).values
    assert same_weights(mine, recognizer)
    assert mine.encoder.training
    assert [each.requires_grad for each in mine.encoder.parameters()].count(False) == 1


def test_a_sweep_of_speech_in_memory(speech: tuple[Path, ctc.Speech], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"methods": "awp", "weights": (0.3,), "base_steps": 3, "steps": 2, "zero_steps": 0}
    by_path = ctc.sweep(speech[0], **settings, **SMALL)
    by_object = ctc.sweep(speech[1], **settings, **SMALL, out=tmp_path)
    assert by_path.values == by_object.values
    # What is kept of a run belongs to this speech: other utterances are other runs.
    fewer = ctc.Speech(speech[1].train[:-1], speech[1].development, speech[1].test)
    ctc.sweep(fewer, **settings, **SMALL, out=tmp_path)
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_sounds_in_every_form(recognizer: ctc.Recognizer, model: Path, tmp_path: Path) -> None:
    utterance = ctc.load_speech().test[0]
    path = tmp_path / "said.wav"
    write_wav(path, utterance.recording)
    read = read_audio(path)
    text = " ".join(utterance.text)
    integers = np.rint(read.samples * 32768).astype(np.int16)
    by_path = ctc.decode(path, model)
    assert by_path.command.startswith("seqtant ctc decode ")
    for sound in (read, (read.samples, read.rate), (torch.from_numpy(read.samples), 8000), (integers, 8000)):
        assert ctc.decode(sound, recognizer).values == by_path.values
    aligned = ctc.align(path, text, model).values
    assert ctc.align(read, utterance.text, recognizer).values == aligned
    untimed = Utterance("said", read, utterance.text)
    assert ctc.align(untimed, model=recognizer).values == aligned
    # The true word times of an utterance are used while the text is its own.
    assert ctc.align(utterance, model=recognizer).values["words_in_place"] == len(utterance.text)
    assert "words_in_place" not in ctc.align(utterance, utterance.text[:1], recognizer).values
    streamed = ctc.stream(read, recognizer, against=recognizer)
    assert streamed.values["last_word_ms"] == ctc.stream(path, model).values["last_word_ms"]
    assert streamed.title.startswith(f"Streaming <'sound', {read.seconds:.2f} s in memory, sha256 ")


def test_integers_are_scaled_to_one() -> None:
    found = ctc.utterance_of((np.array([-32768, 16384, 0], np.int16), 8000)).recording
    assert found.samples.tolist() == [-1.0, 0.5, 0.0]
    assert found.samples.dtype == np.float32


def test_a_diagnosis_of_utterances_in_memory(speech: tuple[Path, ctc.Speech], recognizer: ctc.Recognizer) -> None:
    mine = copy.deepcopy(recognizer)
    mine.encoder.train()
    by_path = ctc.diagnose(mine, speech[0])
    assert ctc.diagnose(mine, speech[1].test).values == by_path.values
    assert ctc.diagnose(mine, {"test": rows(speech[1].test)}).values == by_path.values
    assert mine.encoder.training


def test_words_in_memory_are_those_of_their_file(tmp_path: Path) -> None:
    true = {"a": [("one", 0.5, 0.9), ("two", 1.0, 1.5)], "b": [("six", 0.25, 0.75)]}
    late = {name: [TimedWord(word, start + 0.125, end) for word, start, end in rows] for name, rows in true.items()}
    write_ctm(tmp_path / "hyp.ctm", late)
    write_ctm(tmp_path / "ref.ctm", {name: [TimedWord(*row) for row in rows] for name, rows in true.items()})
    by_path = ctc.latency(tmp_path / "hyp.ctm", tmp_path / "ref.ctm", against=tmp_path / "hyp.ctm")
    by_object = ctc.latency(late, {name: rows[::-1] for name, rows in true.items()}, against=late)
    assert by_object.values == by_path.values
    assert by_object.values["mean_delay_ms"] == pytest.approx(125)
    assert read_ctm(tmp_path / "hyp.ctm") == late


def test_a_recognizer_and_its_finetuning_stay_in_memory(speech: tuple[Path, ctc.Speech]) -> None:
    corpora = ctc.load_corpora(speech[1], bands=8)
    network, quick = ctc.Network(channels=8, dilations=(1,)), ctc.Optimization(batch_size=4)
    first, again = (ctc.train_recognizer(corpora, network, quick, steps=2) for _ in range(2))
    assert same_weights(first, again)
    both = ctc.Objective([ctc.PlainCTC(), ctc.AlignWithPurpose(weight=0.3)])
    done = ctc.finetune_recognizer(first, corpora, both, quick, steps=2)
    alone = ctc.finetune_recognizer(first, corpora, ctc.PlainCTC(), quick, steps=2)
    assert same_weights(first, again)
    assert not same_weights(done.recognizer, alone.recognizer)


def test_records_tell_recognizers_and_sounds_apart_and_hold_neither(recognizer: ctc.Recognizer) -> None:
    other = copy.deepcopy(recognizer)
    sound, louder = Recording(np.full(80, 0.25, np.float32), 8000), Recording(np.full(80, 0.5, np.float32), 8000)
    first = plain(ctc.DecodeConfig(sound, recognizer))
    assert first == plain(ctc.DecodeConfig(sound, other))
    next(other.encoder.parameters()).data.add_(1)
    assert first["model"] != plain(ctc.DecodeConfig(sound, other))["model"]
    assert first["file"] != plain(ctc.DecodeConfig(louder, recognizer))["file"]
    assert len(json.dumps(first)) < 300
    assert "0.25" not in json.dumps(first)


def test_sections_are_settings_of_their_own() -> None:
    config = ctc.FinetuneConfig(guard=ctc.Guard(every=5), utterances={"train": 20})
    assert (config.guard.every, config.utterances.train, config.utterances.test) == (5, 20, 512)
    assert asdict(config.network)["channels"] == 80


SOUND = (np.zeros(80, np.float32), 8000)


@pytest.mark.parametrize(
    ("verb", "settings", "message"),
    [
        (ctc.train, {"data": 3}, "3 is no speech"),
        (ctc.train, {"data": "nowhere"}, "no folder 'nowhere'"),
        (ctc.train, {"data": {"trian": []}}, "unknown part 'trian' (did you mean 'train'?)"),
        (ctc.train, {"data": {"train": [3]}}, "train-0: 3 is no sound"),
        (ctc.train, {"data": [{"audio": SOUND, "text": "one"}]}, "data has no utterances for train"),
        (ctc.train, {"data": [{"audio": SOUND}]}, "test-0: an utterance needs 'audio' and 'text'"),
        (ctc.train, {"data": [{"audio": SOUND, "txt": "one"}]}, "unknown key 'txt' (did you mean 'text'?)"),
        (ctc.train, {"data": [{"audio": SOUND, "text": "one", "words": [("two", 0, 1)]}]}, "'words' and 'text' differ"),
        (ctc.train, {"base_steps": "many"}, "base_steps is 'many': give a whole number"),
        (ctc.train, {"base_steps": None}, "base_steps is None: give a whole number"),
        (ctc.train, {"base_steps": 0}, "base_steps is 0: give a number of at least 1"),
        (ctc.train, {"steps": 3}, "unknown key 'steps'"),
        (ctc.train, {"network": {"dilations": (0,)}}, "network.dilations.0 is 0: give a number of at least 1"),
        (ctc.train, {"utterances": {"digits": (4, 3)}}, "digits is (4, 3): give the smaller number first"),
        (ctc.train, {"optimization": {"betas": (0.9, 1.0)}}, "optimization.betas.1 is 1.0: give a number below 1"),
        (ctc.finetune, {"model": 3}, "3 is no recognizer: give a folder that 'seqtant ctc train' wrote"),
        (ctc.finetune, {"model": torch.nn.Linear(1, 1)}, "is no recognizer"),
        (ctc.finetune, {"weight": "much"}, "weight is 'much': give a number"),
        (ctc.finetune, {"weight": -0.1}, "weight is -0.1: give a number of at least 0"),
        (ctc.finetune, {"ramp": 401}, "ramp is 401: it must end within the 400 steps"),
        (ctc.finetune, {"start_wer": 101}, "start_wer is 101: give a number of at most 100"),
        (ctc.finetune, {"method": "awp:late"}, "unknown CTC property 'late'"),
        (ctc.sweep, {"methods": 3}, "methods"),
        (ctc.sweep, {"weights": ("much",)}, "weights.0 is 'much': give a number"),
        (ctc.stream, {"chunk_ms": 0}, "chunk_ms is 0: give a number above 0"),
        (ctc.stream, {"file": SOUND}, "belong together"),
        (ctc.stream, {"file": (np.zeros((80, 2)), 8000)}, "samples of shape (80, 2) at 8000 a second are no sound"),
        (ctc.stream, {"file": (np.array([0.0, np.nan]), 8000)}, "the samples are not finite"),
        (ctc.decode, {"file": 3}, "3 is no sound: give a file, (samples, rate), a Recording or an Utterance"),
        (ctc.decode, {"beam": 2, "best": 3}, "best is 3: it must be between 1 and beam (2)"),
        (ctc.align, {"file": SOUND, "text": 3}, "text is 3: give a text, or a list of words"),
        (ctc.align, {"file": SOUND}, "text is None: it must be given together with a sound file"),
        (ctc.latency, {"hyp": [1], "ref": {}}, "[1] holds no words"),
        (ctc.latency, {"hyp": {"a": [("one", 1)]}, "ref": {}}, "words must be a list of (word, start, end)"),
        (ctc.latency, {"hyp": {"a": [("one", 2, 1)]}, "ref": {}}, "'one' runs from 2.0 to 1.0"),
        (ctc.latency, {"hyp": {"a": []}}, "must be given together"),
        (ctc.latency, {"draws": 99}, "draws is 99: give a number of at least 100"),
        (ctc.diagnose, {"utterances": 1}, "utterances is 1: give a number of at least 2"),
        (ctc.diagnose, {"data": [{"audio": SOUND, "text": "one"}]}, "model and data belong together"),
    ],
)
def test_wrong_types_from_python_are_one_line(verb: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        verb(**settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_package_is_imported_without_numpy() -> None:
    code = "import sys, seqtant.ctc; sys.exit(bool({'numpy', 'torch', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
