"""A registry imports lazily, refuses doubles and strangers, and finds what other packages offer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from seqtant.errors import InputError
from seqtant.registry import Registry, import_attribute


def test_a_lazy_entry_is_imported_when_asked_for_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_shapes.py").write_text("made = object()\n")
    monkeypatch.syspath_prepend(tmp_path)
    shapes: Registry[object] = Registry("shape", entries={"square": "lazy_shapes:made"})
    assert "square" in shapes
    assert "lazy_shapes" not in sys.modules
    first = shapes["square"]
    assert first is import_attribute("lazy_shapes:made")
    assert shapes["square"] is first
    monkeypatch.delitem(sys.modules, "lazy_shapes")


def test_a_name_is_given_once() -> None:
    shapes: Registry[int] = Registry("shape", entries={"square": 4})
    with pytest.raises(InputError, match="shape 'square' is already registered"):
        shapes.add("square", 5)
    assert shapes["square"] == 4


def test_an_unknown_name_gets_a_suggestion_and_the_list() -> None:
    shapes: Registry[int] = Registry("shape", entries={"square": 4, "triangle": 3})
    with pytest.raises(
        InputError, match=r"unknown shape 'sqare' \(did you mean 'square'\?\): known are square, triangle"
    ):
        shapes["sqare"]


def plug(folder: Path, monkeypatch: pytest.MonkeyPatch, *points: str) -> None:
    """An installed package with a module of shapes that offers these entry points."""
    (folder / "plugged_shapes.py").write_text("hexagon = 6\nsquare = 5\n")
    info = folder / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[seqtant.test_shapes]", *points]))
    monkeypatch.syspath_prepend(folder)


def test_installed_packages_add_entries_but_do_not_replace_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug(tmp_path, monkeypatch, "hexagon = plugged_shapes:hexagon", "square = plugged_shapes:square")
    shapes: Registry[int] = Registry("shape", group="seqtant.test_shapes", entries={"square": 4})
    assert sorted(shapes) == ["hexagon", "square"]
    assert (shapes["hexagon"], shapes["square"], len(shapes)) == (6, 4, 2)
    monkeypatch.delitem(sys.modules, "plugged_shapes")


def test_what_is_added_while_a_module_loads_goes_before_what_packages_offer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug(tmp_path, monkeypatch, "square = plugged_shapes:square")
    shapes: Registry[int] = Registry("shape", group="seqtant.test_shapes")
    shapes.register("square")(4)
    assert shapes["square"] == 4


@pytest.mark.parametrize("target", ["plugged_shapes:nothing", "no_such_module:square"])
def test_a_package_that_does_not_load_is_named(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(tmp_path, monkeypatch, f"broken = {target}")
    shapes: Registry[int] = Registry("shape", group="seqtant.test_shapes", entries={"ours": "math:no_such_name"})
    with pytest.raises(InputError, match=f"the shape 'broken' that an installed package adds .* from '{target}'"):
        shapes["broken"]
    with pytest.raises(AttributeError):
        shapes["ours"]
    sys.modules.pop("plugged_shapes", None)
