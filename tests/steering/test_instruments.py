"""Every verb on a small model from its command: values, tables, figures, files, and one clear line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seqtant import cli
from seqtant.errors import NothingToSayError
from seqtant.findings import Result, from_json
from seqtant.instruments import figures
from seqtant.runs.recorder import Context
from seqtant.settings import resolve
from seqtant.steering import choose_strength
from seqtant.steering.config import ChooseConfig

SMALL = ("--set", "prompts=8", "--set", "items=24", "--set", "max_pairs=12")


def call(*arguments: str) -> int:
    return cli.call(["steering", *arguments])


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> Result:
    assert call(*arguments, "--device", "cpu", "--json") in (0, 3)
    return from_json(Result, capsys.readouterr().out.encode())


def test_sweep(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    extra = ("--set", "coherence_prompts=2", "--set", "points=7", "--scorer", "begins", "--out", str(tmp_path))
    result = ask(capsys, "sweep", str(folder), *SMALL, *extra)
    assert {"tanh_r2", "loss_ratio_log2", "alignment_at_zero"} <= set(result.values)
    places = [row.step for row in result.series("alignment")]
    assert len(places) == 7 + 6
    assert places == sorted(places, key=lambda step: step or 0.0)
    assert {table.name for table in result.tables} == {"tradeoff", "hard_scores"}
    assert len(result.series("coherence")) == 2 * 7
    zero = [row.value for row in result.series("alignment") if row.step == 0.0]
    assert zero == [result.values["alignment_at_zero"]]
    drawn = figures(result)
    assert [figure.name for figure in drawn] == ["curves", "tradeoff"]
    assert (tmp_path / "report.html").is_file()


def test_choose_verifies_on_other_items(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    result = ask(capsys, "choose", str(folder), "--budget", "0.02", "--set", "coherence_budget=50", *SMALL)
    names = {
        "strength", "edge", "edge_low", "edge_high", "predicted_loss", "measured_loss", "incoherence",
        "predicted_alignment", "measured_alignment", "guaranteed_alignment", "operating_point",
    }  # fmt: skip
    assert names <= set(result.values)
    fitting, held_out = (next(t for t in result.tables if t.name == name) for name in ("fitting", "held_out"))
    assert fitting.rows[0] != held_out.rows[0]
    assert float(result.values["strength"] or 0) > 0
    assert figures(result)[0].table.rows


def test_choose_splits_without_overlap(folder: Path) -> None:
    from seqtant.steering.inputs import open_bench
    from seqtant.steering.instruments.choose import split_in_halves

    bench = open_bench(ChooseConfig(model=str(folder), prompts=9, items=30, max_pairs=8), Context(device="cpu"))
    first, second = split_in_halves(bench, 0)
    assert len(first.helpfulness) == len(second.helpfulness) == 15
    assert not {id(item) for item in first.helpfulness} & {id(item) for item in second.helpfulness}
    assert not {id(item) for item in first.behavior} & {id(item) for item in second.behavior}


@pytest.mark.parametrize(("verb", "values"), [
    ("diagnose", {"norm_r2", "norm_range", "margin_worst", "margin_mean", "noise_slope", "linear_term"}),
    ("layers", {"best_layer", "best_gain", "best_strength"}),
])  # fmt: skip
def test_other_measurements(verb: str, values: set[str], capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    result = ask(capsys, verb, str(folder), *SMALL)
    assert values <= set(result.values)
    assert all(figure.table.rows for figure in figures(result))


def test_vector_files_go_round(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    made = ask(capsys, "extract", str(folder), "--set", "max_pairs=12", "--out", str(tmp_path))
    assert made.values["layers"] == 4
    path = tmp_path / "vector.safetensors"
    assert made.artifacts[0].path == str(path)
    common = ("--vector", str(path), "--layers", "1,2")
    said = ask(capsys, "apply", str(folder), *common, "--strength", "30", "--prompt", "talk : how are you ?")
    assert said.values["changed"] == 1
    plain = ask(capsys, "apply", str(folder), *common, "--strength", "0", "--prompt", "talk : how are you ?")
    assert plain.values["changed"] == 0
    assert plain.tables[0].rows[0][1] == said.tables[0].rows[0][1], "the baseline is the baseline"
    written = ask(capsys, "export", str(folder), *common, "--format", "folder", "--to", str(tmp_path / "steered"))
    assert (tmp_path / "steered" / "config.json").is_file()
    assert written.values["layers"] == 2
    assert call("export", str(folder), *common, "--format", "folder", "--to", str(tmp_path / "steered")) == 2
    assert "is not empty" in capsys.readouterr().err


def test_users_own_files(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    lines = {
        "pairs": [
            {"prompt": "talk :", "positive": f" the {n} is lovely .", "negative": f" the {n} is grim ."}
            for n in ("lamp", "table", "room", "river")
        ],
        "behavior": [
            {"prompt": f"talk : the {n} is", "good": [" lovely", " nice"], "bad": [" grim", " bad"]}
            for n in ("chair", "hill", "lake", "road")
        ],
        "helpfulness": [{"text": f"book : {n} lives in paris ."} for n in ("tom", "anna", "ben", "kate", "leo", "ida")],
    }
    files = {}
    for name, records in lines.items():
        files[name] = tmp_path / f"{name}.jsonl"
        files[name].write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    flags = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    result = ask(capsys, "sweep", str(folder), *flags, "--strengths=-4:4:2", "--set", "coherence_prompts=0")
    assert [row.step for row in result.series("helpfulness")] == [-4, -2, 0, 2, 4], "no strength beyond those asked for"
    assert result.values["format_rate_at_zero"] == 1.0
    diagnosed = ask(capsys, "diagnose", str(folder), *flags)
    assert any("A3 is about questions" in warning for warning in diagnosed.warnings)


@pytest.mark.parametrize(("arguments", "reason"), [
    (("choose", "--budget", "1.5"), "budget is 1.5"),
    (("extract", "--method", "centered-pca"), "centering the differences"),
    (("sweep", "--strengths", "1:2"), "cannot be read"),
    (("sweep", "--scorer", "nobody"), "unknown scorer 'nobody'"),
    (("apply",), "no prompt"),
    (("extract", "--pairs", "/nowhere.jsonl"), "no file '/nowhere.jsonl'"),
    (("choose", "--layers", "9"), "layers '9'"),
    (("export", "--format", "folder"), "say where to write"),
    (("export", "--to", "x.bin"), "does not end in .gguf"),
])  # fmt: skip
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], reason: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *rest = arguments
    assert call(verb, str(folder), *rest, "--device", "cpu") == 2
    message = capsys.readouterr().err
    assert reason in message
    assert message.count("\n") == 1


def test_an_unknown_model_needs_the_users_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    copy = tmp_path / "unknown"
    shutil.copytree(folder, copy)
    (copy / "manifest.json").unlink()
    assert call("choose", str(copy)) == 2
    assert "give --behavior FILE" in capsys.readouterr().err


def test_checkup_says_something_only_where_it_can(folder: Path, tmp_path: Path) -> None:
    from seqtant.steering.checks import check

    with pytest.raises(NothingToSayError, match=r"contrast pairs .*, prompts .*, questions .*--behavior FILE"):
        check(str(folder), Context(device="cpu"), budget=0.05)
    behavior, helpfulness = tmp_path / "b.jsonl", tmp_path / "h.jsonl"
    records = [
        {"prompt": f"talk : the {n} is", "good": [" nice"], "bad": [" bad"]} for n in ("lamp", "hill", "lake", "sun")
    ]
    behavior.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    texts = [{"text": f"book : {n} lives in paris ."} for n in ("tom", "anna", "ben", "kate", "leo", "ida")]
    helpfulness.write_text("\n".join(map(json.dumps, texts)), encoding="utf-8")
    pairs = tmp_path / "p.jsonl"
    sides = [{"positive": f"the {n} is nice .", "negative": f"the {n} is bad ."} for n in ("lamp", "hill", "lake")]
    pairs.write_text("\n".join(map(json.dumps, sides)), encoding="utf-8")
    result = check(
        str(folder),
        Context(device="cpu"),
        behavior=str(behavior),
        helpfulness=str(helpfulness),
        pairs=str(pairs),
        budget=0.1,
    )
    assert "strength" in result.values
    assert result.config["budget"] == 0.1
    asked = result.series("helpfulness_unsteered")
    table = next(table for table in result.tables if table.name == "held_out")
    unsteered = next(row for row in table.rows if row[0] == 0.0)
    assert np.mean([row.value for row in asked]) == pytest.approx(unsteered[1], abs=1e-4)


def test_same_seed_same_numbers_and_another_seed_another_split(folder: Path) -> None:
    config = resolve(ChooseConfig, preset_name="smoke", flags={"model": str(folder), "coherence_budget": 50.0})
    first, second, other = (choose_strength.run(config, Context(device="cpu", seed=seed)).values for seed in (0, 0, 1))
    assert first == second
    assert first["strength"] != other["strength"]
    assert np.isfinite([value for value in first.values() if value is not None]).all()


def test_importing_the_package_is_light() -> None:
    import subprocess
    import sys

    code = (
        "import sys, seqtant.steering; "
        "heavy = ['numpy', 'pydantic', 'torch', 'transformers', 'plotly', 'fastapi']; "
        "assert not [name for name in heavy if name in sys.modules]; "
        "import seqtant.steering.config, seqtant.steering.theory; "
        "print([name for name in heavy[2:] if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
