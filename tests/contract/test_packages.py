"""Every package meets the same contracts: same parts, documented settings, equal seeds, honest claims."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqtant import cli
from seqtant.commands import builder as commands
from seqtant.errors import InputError
from seqtant.findings import Claim, Result, from_json, to_json
from seqtant.instruments import config_type, configs, figures, find, run, write_report
from seqtant.packages import PACKAGES
from seqtant.runs.recorder import Context, command_of
from seqtant.settings import build, field_docs, plain, preset, to_yaml

ROOT = Path(__file__).parents[2]
PARTS = ("theory", "config")
VERBS = [(name, verb) for name in PACKAGES for verb in configs(name)]
EACH_PACKAGE = pytest.mark.parametrize("name", list(PACKAGES))
EACH_VERB = pytest.mark.parametrize(("name", "verb"), VERBS, ids=str)


def smoke_config(name: str, verb: str) -> Any:
    return preset(config_type(f"{name}.{verb}"), "smoke")


@pytest.fixture(scope="session")
def smoke_results() -> dict[tuple[str, str], Result]:
    """One smoke run of each verb, shared by the tests that look at it."""
    return {}


def smoke_result(name: str, verb: str, kept: dict[tuple[str, str], Result], folder: Path) -> Result:
    if (name, verb) not in kept:
        kept[name, verb] = run(smoke_config(name, verb), Context(device="cpu", folder=folder))
    return kept[name, verb]


@EACH_PACKAGE
def test_has_every_part(name: str) -> None:
    for part in PARTS:
        assert import_module(f"seqtant.{name}.{part}").__doc__, f"{name}/{part}.py says nothing about itself"
    for verb in configs(name):
        assert find(f"{name}.{verb}").__doc__, f"{name}.{verb} says nothing about itself"
    assert getattr(commands, name).name == (name,)


@EACH_PACKAGE
def test_has_page_example_recipe_and_claims(name: str) -> None:
    page = (ROOT / "docs" / "instruments" / f"{name}.md").read_text(encoding="utf-8")
    assert "## When not to use it" in page
    assert list((ROOT / "examples").glob(f"{name}_*.py")), "an example script of 20 to 40 lines"
    assert list((ROOT / "recipes" / name).glob("*.yaml"))
    assert (ROOT / "recipes" / name / "README.md").is_file()
    assert name in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@EACH_VERB
def test_settings_are_frozen_documented_and_round_trip(name: str, verb: str) -> None:
    config = smoke_config(name, verb)
    kind: Any = type(config)
    assert kind.__dataclass_params__.frozen
    documented = field_docs(kind)
    assert [field.name for field in dataclasses.fields(config) if not documented.get(field.name)] == []
    assert build(kind, yaml.safe_load(to_yaml(config))) == config


@EACH_VERB
def test_unknown_keys_are_refused_by_name(name: str, verb: str) -> None:
    data = plain(smoke_config(name, verb)) | {"no_such_key": 1}
    with pytest.raises(InputError, match="unknown key 'no_such_key'"):
        build(config_type(f"{name}.{verb}"), data)


@EACH_VERB
def test_its_command_makes_the_same_settings_again(name: str, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = smoke_config(name, verb)
    command = command_of(f"{name}.{verb}", config, Context())
    assert cli.call([*shlex.split(command)[1:], "--print-config"]) == 0
    assert capsys.readouterr().out == to_yaml(config)


@EACH_VERB
def test_has_a_command_with_help(name: str, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call([name, verb, "--help"]) == 0
    assert verb in capsys.readouterr().out


@EACH_VERB
def test_smoke_run_makes_a_sound_record(
    name: str, verb: str, smoke_results: dict[tuple[str, str], Result], tmp_path: Path
) -> None:
    result = smoke_result(name, verb, smoke_results, tmp_path)
    assert result.instrument == f"{name}.{verb}"
    assert result.status == "ok"
    assert set(result.papers) <= set(PACKAGES[name].papers)
    assert result.papers
    assert result.values
    assert result.findings or result.tables
    assert from_json(Result, to_json(result)) == result


@EACH_VERB
def test_same_seed_gives_the_same_numbers(
    name: str, verb: str, smoke_results: dict[tuple[str, str], Result], tmp_path: Path
) -> None:
    timed = ("seconds", "per_second")
    first = smoke_result(name, verb, smoke_results, tmp_path / "first")
    second = run(smoke_config(name, verb), Context(device="cpu", folder=tmp_path / "second"))
    keep = [key for key in first.values if not any(word in key for word in timed)]
    assert {key: second.values[key] for key in keep} == {key: first.values[key] for key in keep}


@EACH_VERB
def test_figures_speak_and_the_page_is_written(
    name: str, verb: str, smoke_results: dict[tuple[str, str], Result], tmp_path: Path
) -> None:
    result = smoke_result(name, verb, smoke_results, tmp_path)
    for figure in figures(result):
        assert figure.alt
        assert figure.caption
        assert figure.table.rows
    page = write_report([result], tmp_path / "page.html").read_text(encoding="utf-8")
    assert result.title in page


@EACH_PACKAGE
def test_claims_name_their_source_and_can_be_observed(name: str) -> None:
    claims = yaml.safe_load((ROOT / "src" / "seqtant" / name / "claims.yaml").read_text(encoding="utf-8"))
    built = [build(Claim, claim, source=f"{name}/claims.yaml") for claim in claims["claims"]]
    assert len({claim.id for claim in built}) == len(built)
    for claim in built:
        assert claim.paper in PACKAGES[name].papers
        if claim.script:
            assert (ROOT / claim.script).is_file()
        elif claim.instrument:
            build(config_type(claim.instrument), claim.config, source=claim.id)


@EACH_PACKAGE
def test_recipes_build_at_every_scale(name: str) -> None:
    for path in (ROOT / "recipes" / name).glob("*.yaml"):
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert set(recipe["scales"]) <= {"smoke", "cpu", "gpu"}, path
        for scale in recipe["scales"].values():
            for config in scale["runs"]:
                build(config_type(recipe["instrument"]), config, source=str(path))


@EACH_PACKAGE
def test_examples_run(name: str, tmp_path: Path) -> None:
    for example in (ROOT / "examples").glob(f"{name}_*.py"):
        done = subprocess.run([sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
