"""Every verb runs on tones, repeats itself, and refuses what it cannot use; the page it writes plays."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from seqtant import cli
from seqtant.ctc import align, decode, diagnose, finetune, latency, stream, sweep, train
from seqtant.ctc import config as configs
from seqtant.ctc.instruments.sweep import Sweep, finetune_recognizer
from seqtant.ctc.reporting import write_timeline
from seqtant.ctc.training import load_model_and_sound, load_recognizer
from seqtant.data.audio import Recording, write_wav
from seqtant.data.speech import TimedWord, read_ctm, write_ctm
from seqtant.errors import InputError
from seqtant.findings import Result, from_json, to_json
from seqtant.instruments import figures
from seqtant.runs.recorder import Context

CPU = Context(device="cpu")
TINY = configs.Utterances(train=32, development=8, test=8, digits=(2, 3))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    load_recognizer(None, 0).save(folder)
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    _, utterance = load_model_and_sound(None, None, 0)
    path = tmp_path_factory.mktemp("sound") / "said.wav"
    write_wav(path, utterance.recording)
    return path, utterance


class TestSweep:
    config = replace(configs.SweepConfig.smoke(), utterances=TINY, base_steps=4, steps=3, weights=(0.1, 0.2, 0.4))

    def test_names_numbers_and_figure(self):
        result = sweep.run(self.config, CPU)
        names = {f"{kind}_{run}" for kind in ("wer", "delay_ms") for run in ("ctc", "awp_0.1", "awp_0.2", "awp_0.4")}
        assert names <= set(result.values)
        assert result.values["zero_is_ctc"] == 1
        assert from_json(Result, to_json(result)) == result
        (figure,) = figures(result)
        assert [trace["name"] for trace in figure.data] == ["ctc", "awp"]
        assert {finding.key for finding in result.findings} >= {"zero", "monotone", "earlier_awp_0.1"}

    def test_an_interrupted_sweep_goes_on(self, tmp_path, monkeypatch):
        context = Context(device="cpu", folder=tmp_path)
        whole = sweep.run(self.config, CPU)
        first = Sweep(self.config, context)
        kept = first.timings(0, "ctc", 0.0)
        first.timings(0, "awp", 0.1)
        assert Sweep(self.config, context).timings(0, "ctc", 0.0) == kept
        trained = []
        monkeypatch.setattr(
            "seqtant.ctc.instruments.sweep.finetune_recognizer",
            lambda *a, **k: trained.append(1) or finetune_recognizer(*a, **k),
        )
        resumed = sweep.run(replace(self.config, zero_steps=0), context)
        assert len(trained) == 2
        assert {**resumed.values, "zero_is_ctc": 1} == whole.values

    def test_a_damaged_run_is_named(self, tmp_path):
        again = Sweep(self.config, Context(device="cpu", folder=tmp_path))
        again.folder.mkdir(parents=True)
        (again.folder / "0-ctc-0.json").write_text("[{}]")
        with pytest.raises(InputError, match="damaged"):
            again.timings(0, "ctc", 0.0)

    def test_several_seeds_have_intervals_over_seeds(self):
        result = sweep.run(replace(self.config, seeds=2, weights=(0.2,), zero_steps=0), CPU)
        assert {row.seed for row in result.series("wer", "ctc")} == {0, 1}
        rows = [row.value for row in result.series("wer", "awp_0.2")]
        assert result.values["wer_awp_0.2"] == pytest.approx(sum(rows) / 2)

    def test_methods_for_fewer_errors_are_asked_for_them(self):
        config = replace(self.config, methods=("awp-mwer",), method_weights={"awp-mwer": (20.0,)}, zero_steps=0)
        result = sweep.run(config, CPU)
        (finding,) = [each for each in result.findings if each.key == "errors_awp_mwer_20"]
        assert finding.measured.value == pytest.approx(result.values["wer_awp_mwer_20"] - result.values["wer_ctc"])
        assert f"on {result.values['words_measured']} words" in finding.summary

    def test_methods_are_checked_before_anything_is_trained(self, monkeypatch):
        monkeypatch.setattr("seqtant.ctc.instruments.sweep.train_recognizer", lambda *a, **k: pytest.fail("trained"))
        with pytest.raises(InputError, match="did you mean 'delay-penalty'"):
            sweep.run(replace(self.config, methods=("ctc", "delay-penalti")), CPU)

    def test_weights_of_other_methods(self):
        plan = configs.SweepConfig(methods=("awp", "trim-tail"), method_weights={"trim-tail": (0.3,)}).plan()
        assert plan == [("ctc", 0.0), ("awp", 0.2), ("awp", 0.5), ("trim-tail", 0.3)]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"weights": (-1.0,)},
            {"weights": (float("nan"),)},
            {"method_weights": {"trim-tail": (0.3,)}},
            {"seeds": 0},
            {"steps": 0},
            {"methods": ()},
        ],
    )
    def test_wrong_settings_are_named(self, wrong):
        with pytest.raises(InputError, match=next(iter(wrong))):
            configs.SweepConfig(**wrong)


class TestFinetune:
    config = replace(configs.FinetuneConfig.smoke(), utterances=TINY, base_steps=4, steps=3, start_steps=0)

    def test_a_weight(self, tmp_path):
        result = finetune.run(self.config, Context(device="cpu", folder=tmp_path))
        assert {"wer", "wer_before", "delay_change_ms", "weight", "collapsed"} <= set(result.values)
        assert (tmp_path / "model" / "model.safetensors").is_file()
        assert any("above start_wer" in warning for warning in result.warnings)
        assert figures(result)[0].name == "gaps"

    def test_from_a_saved_model_within_a_budget(self, model):
        config = replace(
            self.config, model=str(model), budget_wer=60.0, budget_runs=2, weight=0.2, utterances=replace(TINY, test=16)
        )
        result = finetune.run(config, CPU)
        assert result.values["runs"] == 2
        finding = next(finding for finding in result.findings if finding.key == "budget")
        assert finding.verdict == "agrees"
        assert result.values["spent_points"] <= 60

    def test_an_unknown_method_is_refused_before_anything_is_trained(self, monkeypatch):
        monkeypatch.setattr("seqtant.ctc.instruments.finetune.train_recognizer", lambda *a, **k: pytest.fail("trained"))
        with pytest.raises(InputError, match="unknown CTC method 'awpp'"):
            finetune.run(replace(self.config, method="awpp"), CPU)

    def test_the_start_rule_trains_ctc_first(self):
        result = finetune.run(replace(self.config, start_wer=1.0, start_steps=100, steps=1), CPU)
        assert result.values["start_steps"] == 100


class TestTrain:
    def test_real_data_layouts(self, tmp_path):
        for name in ("train", "development", "test"):
            write_wav(tmp_path / f"{name}.wav", Recording(np.zeros(8000, np.float32), 8000))
            entry = {"audio": f"{name}.wav", "text": "yes", "words": [["yes", 0.1, 0.5]]}
            (tmp_path / f"{name}.jsonl").write_text(json.dumps(entry) + "\n")
        config = replace(configs.TrainConfig.smoke(), data=str(tmp_path), base_steps=2)
        result = train.run(replace(config, optimization=replace(config.optimization, batch_size=1)), CPU)
        assert result.values["words"] == 1
        assert not result.warnings

    def test_folders_of_sounds_and_texts_have_errors_and_no_delays(self, tmp_path):
        for name in ("train", "development", "test"):
            (tmp_path / name).mkdir()
            write_wav(tmp_path / name / "a.wav", Recording(np.zeros(8000, np.float32), 8000))
            (tmp_path / name / "a.txt").write_text("yes")
        config = replace(configs.TrainConfig.smoke(), data=str(tmp_path), base_steps=2)
        small = replace(config, optimization=replace(config.optimization, batch_size=1))
        result = train.run(small, CPU)
        assert result.values["words"] == 1
        assert result.values["mean_delay_ms"] is None
        assert "no word times, 'a' first" in result.warnings[0]
        with pytest.raises(InputError, match="no test utterance has word times"):
            finetune.run(
                replace(TestFinetune.config, data=str(tmp_path), budget_wer=1.0, optimization=small.optimization), CPU
            )

    def test_the_lines_of_a_text_are_spoken(self, tmp_path):
        pytest.importorskip("espeakng_loader", reason="eSpeak NG is the optional extra 'espeak'")
        (tmp_path / "lines.txt").write_text("\n".join(["One, two!", "3", "two one"] * 8))
        config = replace(configs.TrainConfig.smoke(), data=str(tmp_path / "lines.txt"), utterances=TINY, base_steps=2)
        result = train.run(config, CPU)
        assert result.values["words"] == 2 * TINY.test
        assert result.values["first_token_ms"] is not None or result.values["deletions"] == 2 * TINY.test

    def test_a_text_that_is_too_short_is_refused(self, tmp_path):
        (tmp_path / "lines.txt").write_text("one\n2\n")
        with pytest.raises(InputError, match="has 1 lines with words"):
            train.run(replace(configs.TrainConfig.smoke(), data=str(tmp_path / "lines.txt")), CPU)
        with pytest.raises(InputError, match="no file"):
            train.run(replace(configs.TrainConfig.smoke(), data=str(tmp_path / "none.txt")), CPU)

    def test_held_out_speakers_and_unknown_ones(self):
        config = replace(configs.TrainConfig.smoke(), utterances=TINY, base_steps=2)
        assert train.run(replace(config, test_speaker="low"), CPU).values["words"] > 0
        with pytest.raises(InputError, match="known are high, low, middle"):
            train.run(replace(config, test_speaker="nobody"), CPU)


class TestStream:
    def test_of_ones_own_with_a_page_that_plays(self, model, sound, tmp_path):
        config = configs.StreamConfig(file=str(sound[0]), model=str(model), against=str(model))
        result = stream.run(config, Context(device="cpu", folder=tmp_path))
        assert result.values["words"] == len(sound[1].text)
        assert result.values["last_word_ms"] == result.values["last_word_ms_against"]
        assert {finding.verdict for finding in result.findings} == {"agrees"}
        page = (tmp_path / "timeline.html").read_text()
        assert page.count("data:audio/wav;base64,") == 1
        assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
        assert figures(result)[0].name == "timeline"

    def test_sound_and_model_are_not_mixed_in_silence(self, model, sound):
        with pytest.raises(InputError, match="belong together"):
            stream.run(configs.StreamConfig(model=str(model)), CPU)
        with pytest.raises(InputError, match="belong together"):
            stream.run(configs.StreamConfig(file=str(sound[0])), CPU)

    def test_words_cannot_break_out_of_the_page(self, tmp_path):
        from seqtant.data.speech import Utterance

        evil = "</script><b>x"
        utterance = Utterance(evil, Recording(np.zeros(10, np.float32), 8000), (evil,), (TimedWord(evil, 0, 0.001),))
        page = write_timeline(tmp_path / "p.html", utterance, {evil: [TimedWord(evil, 0, 0)]}).read_text()
        assert "<b>" not in page


class TestAlignAndDecode:
    def test_both_find_the_words(self, model, sound, tmp_path):
        path, utterance = sound
        text = " ".join(utterance.text)
        aligned = align.run(
            configs.AlignConfig(file=str(path), text=text, model=str(model)), Context(device="cpu", folder=tmp_path)
        )
        assert aligned.values["words"] == len(utterance.text)
        assert [word.word for word in read_ctm(tmp_path / "alignment.ctm")["said"]] == list(utterance.text)
        decoded = decode.run(
            configs.DecodeConfig(file=str(path), model=str(model)), Context(device="cpu", folder=tmp_path)
        )
        assert decoded.values["log_probability"] >= aligned.values["log_probability"]
        assert [word.word for word in read_ctm(tmp_path / "words.ctm")["said"]] == list(utterance.text)

    def test_texts_that_do_not_fit_are_refused(self, model, sound):
        path = str(sound[0])
        with pytest.raises(InputError, match="no label 'banana'"):
            align.run(configs.AlignConfig(file=path, text="banana", model=str(model)), CPU)
        with pytest.raises(InputError, match="cannot fit"):
            align.run(configs.AlignConfig(file=path, text="one " * 400, model=str(model)), CPU)
        with pytest.raises(InputError, match="given together"):
            configs.AlignConfig(file=path)


class TestLatency:
    def files(self, tmp_path):
        true = {"a": [TimedWord("one", 0.5, 0.9), TimedWord("two", 1.0, 1.5)], "b": [TimedWord("six", 0.2, 0.6)]}
        late = {name: [TimedWord(w.word, w.start + 0.1, w.end) for w in words] for name, words in true.items()}
        later = {name: [TimedWord(w.word, w.start + 0.15, w.end) for w in words] for name, words in true.items()}
        for name, words in {"ref": true, "hyp": late, "other": later}.items():
            write_ctm(tmp_path / f"{name}.ctm", words)
        return [str(tmp_path / f"{name}.ctm") for name in ("hyp", "ref", "other")]

    def test_known_delays_come_out(self, tmp_path):
        hyp, ref, other = self.files(tmp_path)
        result = latency.run(configs.LatencyConfig(hyp=hyp, ref=ref, against=other), CPU)
        values = result.values
        assert [values["mean_delay_ms"], values["p50_ms"], values["p90_ms"]] == pytest.approx([100, 100, 100])
        assert values["last_token_ms"] == pytest.approx((-400 - 300) / 2)
        assert values["wer"] == 0
        assert values["delay_change_ms"] == pytest.approx(50)
        assert figures(result)[0].table.rows

    def test_the_made_up_system_has_the_delay_it_was_given(self):
        result = latency.run(configs.LatencyConfig(), CPU)
        assert result.findings[0].verdict == "agrees"

    def test_silent_and_unknown_recordings(self, tmp_path):
        hyp, ref, _ = self.files(tmp_path)
        write_ctm(tmp_path / "part.ctm", {"a": [TimedWord("one", 0.6, 0.7)]})
        result = latency.run(configs.LatencyConfig(hyp=str(tmp_path / "part.ctm"), ref=ref), CPU)
        assert result.values["deletions"] == 2
        assert "all deletions" in result.warnings[0]
        with pytest.raises(InputError, match="recording 'b' is not in ref"):
            latency.run(configs.LatencyConfig(hyp=hyp, ref=str(tmp_path / "part.ctm")), CPU)
        with pytest.raises(InputError, match="given together"):
            configs.LatencyConfig(hyp=hyp)

    def test_the_command_prints_one_json_object(self, tmp_path, capsys):
        hyp, ref, _ = self.files(tmp_path)
        assert cli.call(["ctc", "latency", "--hyp", hyp, "--ref", ref, "--json"]) == 0
        values = json.loads(capsys.readouterr().out)["values"]
        assert {"mean_delay_ms", "p50_ms", "p90_ms", "last_token_ms", "wer"} <= set(values)
        assert cli.call(["ctc", "latency", "--hyp", hyp]) == 2
        assert cli.call(["ctc", "latency", "--hyp", hyp, "--ref", str(tmp_path / "none.ctm")]) == 2


def test_diagnose(model):
    result = diagnose.run(configs.DiagnoseConfig.smoke(), CPU)
    assert {finding.key: finding.verdict for finding in result.findings} == {"emission": "agrees", "gradient": "agrees"}
    assert result.values["gradient_error_unnormalized"] > 1
    with pytest.raises(InputError, match="belong together"):
        diagnose.run(configs.DiagnoseConfig(model=str(model)), CPU)


def test_lists_on_the_command_line(capsys):
    arguments = ("ctc", "sweep", "--methods", "ctc,awp", "--weights", "0.2,0.5", "--test-speaker", "theo")
    assert cli.call([*arguments, "--print-config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["methods"] == ["ctc", "awp"]
    assert printed["weights"] == [0.2, 0.5]
    assert printed["test_speaker"] == "theo"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("train", "--base-steps", "1.5"), "--base-steps: '1.5' is not a whole number"),
        (("train", "--data", "nowhere"), "no folder 'nowhere'"),
        (("finetune", "--model", "nowhere"), "'nowhere' holds no recognizer.json"),
        (("finetune", "--method", "awpp"), "unknown CTC method 'awpp' (did you mean 'awp'?)"),
        (("finetune", "--budget-wer", "0"), "budget_wer is 0.0"),
        (("sweep", "--weights", "much"), "--weights"),
        (("stream", "sound.wav"), "give --model"),
        (("latency", "--hyp", "none.ctm", "--ref", "none.ctm"), "no file 'none.ctm': give an existing CTM file"),
        (("diagnose", "--utterances", "0"), "utterances is 0"),
        (("align", "sound.wav"), "text is None"),
        (("decode", "--best", "9"), "best is 9"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, says, capsys):
    assert cli.call(["ctc", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert says in captured.err


@pytest.mark.parametrize("wrong", [{"wer_increase": -1.0}, {"utterances": 0}, {"every": 0}, {"blank_share": 0.0}])
def test_a_guard_that_would_stop_at_once_is_refused(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is"):
        configs.Guard(**wrong)


def test_commands_and_settings_load_no_torch():
    import subprocess
    import sys

    names = "seqtant.commands.builder, seqtant.ctc.config, seqtant.ctc.theory, seqtant.ctc"
    code = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
