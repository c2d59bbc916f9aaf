"""Recipes: found by name, checked when read, run once per configuration and seed, resumed after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqtant.errors import InputError
from seqtant.experiments import records as reuse
from seqtant.experiments.recipes import find_recipe, list_recipes, read_recipe, run_recipe
from seqtant.runs.recorder import Context
from seqtant.runs.store import Store

pytestmark = pytest.mark.usefixtures("demo_package")

TEXT = """
name: swing
paper: 8
question: Does the period grow with the root of the length?
instrument: demo.pendulum
published: [demo.seconds_pendulum, {value: 2.0, where: Table 1}]
scales:
  smoke:
    runs: [{length: 1}, {length: 4, starts: 2}]
  cpu:
    runs: [{}]
    seeds: [3, 4]
    takes: a second
expected: Four times the length, twice the period.
"""


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "recipes" / "demo"
    folder.mkdir(parents=True)
    (folder / "swing.yaml").write_text(TEXT)
    return folder


def run(name: str, scale: Any, **options: Any) -> list[tuple[str, bool]]:
    context = options.pop("context", Context())
    found = run_recipe(find_recipe(name), scale, context, Store(), **options)
    return [(outcome.result.id, outcome.found) for outcome in found]


@pytest.mark.parametrize("name", ["swing", "demo/swing", "recipes/demo/swing.yaml"])
def test_found_by_name_and_by_file(name: str, recipes: Path) -> None:
    assert find_recipe(name).question == "Does the period grow with the root of the length?"
    assert [recipe.name for recipe in list_recipes()] == ["swing"]


def test_every_run_of_a_scale_is_made_and_stored(recipes: Path) -> None:
    outcomes = list(run_recipe(find_recipe("swing"), "smoke", Context(seed=2), Store()))
    assert [outcome.result.config["length"] for outcome in outcomes] == [1.0, 4.0]
    assert {outcome.result.seed for outcome in outcomes} == {2}
    assert outcomes[1].result.values["law_seconds"] == pytest.approx(2 * outcomes[0].result.values["law_seconds"])
    assert [Store().load(outcome.result.id) for outcome in outcomes] == [outcome.result for outcome in outcomes]


def test_seeds_of_the_recipe_go_before_the_commands(recipes: Path) -> None:
    outcomes = run_recipe(find_recipe("swing"), "cpu", Context(seed=9), Store())
    assert [outcome.result.seed for outcome in outcomes] == [3, 4]


def test_each_run_has_a_folder_of_its_own(recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path | None] = []
    really_run = reuse.run
    monkeypatch.setattr(
        reuse, "run", lambda config, context: (seen.append(context.folder), really_run(config, context))[1]
    )
    run("swing", "cpu", context=Context(folder=tmp_path / "out"))
    assert seen == [tmp_path / "out" / "run-1", tmp_path / "out" / "run-2"]


def test_an_interrupted_recipe_goes_on_where_it_stopped(recipes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really_run = reuse.run

    def interrupted(config: Any, context: Any) -> Any:
        if config.length == 4:
            raise KeyboardInterrupt
        return really_run(config, context)

    monkeypatch.setattr(reuse, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("swing", "smoke")
    monkeypatch.setattr(reuse, "run", really_run)
    again = run("swing", "smoke")
    assert [found for _, found in again] == [True, False]
    assert run("swing", "smoke") == [(id, True) for id, _ in again]
    assert all(not found for _, found in run("swing", "smoke", force=True))


def test_another_version_or_seed_runs_again(recipes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("swing", "smoke")
    assert [found for _, found in run("swing", "smoke", context=Context(seed=1))] == [False, False]
    monkeypatch.setattr(reuse, "environment", lambda: {"seqtant": "9.9"})
    assert [found for _, found in run("swing", "smoke")] == [False, False]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("question:", "qestion:", r"unknown key 'qestion' \(did you mean 'question'\?\)"),
        ("paper: 8\n", "", "paper has no default: give it"),
        ("smoke:", "smok:", "unknown scale 'smok': use smoke, cpu or gpu"),
        ("length: 4", "lenght: 4", r"smoke, run 2: unknown key 'lenght' \(did you mean 'length'\?\)"),
        ("{length: 1}", "{length: -1}", r"smoke, run 1: length is -1: give a number above 0"),
        ("demo.pendulum", "demo.pendel", r"unknown verb 'pendel' of 'demo' \(did you mean 'pendulum'\?\)"),
        ("demo.pendulum", "demos.pendulum", r"unknown instrument 'demos'"),
    ],
)
def test_a_bad_recipe_is_named_when_it_is_read(old: str, new: str, message: str, recipes: Path) -> None:
    path = recipes / "swing.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_recipe(path)


def test_unknown_names_and_scales(recipes: Path) -> None:
    with pytest.raises(InputError, match=r"no recipe 'swin' \(did you mean 'swing'\?\)"):
        find_recipe("swin")
    with pytest.raises(InputError, match=r"no file 'gone\.yaml'"):
        find_recipe("gone.yaml")
    with pytest.raises(InputError, match="has no scale 'gpu': it has smoke, cpu"):
        run("swing", "gpu")
    (recipes.parent / "other").mkdir()
    (recipes.parent / "other" / "swing.yaml").write_text(TEXT)
    with pytest.raises(InputError, match="write demo/swing or other/swing"):
        find_recipe("swing")
