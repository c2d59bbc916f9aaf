"""Settings from YAML, presets, flags and --set: merged key by key, refused by name, printed so that they read back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtant.boundary import parse_size
from seqtant.errors import InputError
from seqtant.settings import (
    build,
    config,
    config_hash,
    field_docs,
    override,
    plain,
    preset,
    read_yaml,
    resolve,
    to_yaml,
)


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A section."""

    rate: float = 0.1
    """Step size."""
    steps: int | None = None
    """How many; by default until it is good enough.

    Counted in batches.
    """


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """One of two shapes."""

    period: float = 1.0
    """Length."""


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """The other shape."""

    slope: float = 1.0
    """Rise."""


@dataclass(frozen=True, kw_only=True)
class Outer:
    """Everything a field can be."""

    name: str = "3M"
    """A name that looks like a size."""
    params: float = 1e9
    """A size."""
    limit: float = math.inf
    """A number that may be infinite."""
    count: int = 3
    """A whole number."""
    tied: bool = True
    """A switch."""
    kind: Literal["a", "b"] = "a"
    """A choice."""
    seeds: tuple[int, ...] = (0,)
    """A list."""
    section: Inner = field(default_factory=lambda: Inner(rate=0.5, steps=7))
    """A section whose defaults are not those of its type."""
    maybe: Inner | None = None
    """A section that may be missing."""
    shape: Cosine | Ramp = field(default_factory=Cosine)
    """A section of one of two types."""
    several: tuple[Inner, ...] = ()
    """Many sections."""
    extra: dict[str, float] = field(default_factory=dict)
    """Free names."""

    @classmethod
    def smoke(cls) -> Outer:
        """Small."""
        return cls(count=1, section=Inner(rate=0.9, steps=1))


@dataclass(frozen=True, kw_only=True)
class Required:
    """One field has no default."""

    params: float
    """A size."""


@dataclass(frozen=True, kw_only=True)
class Child(Required):
    """Inherits a field."""

    depth: int = 2
    """Layers."""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


INNER = st.builds(Inner, rate=st.floats(allow_nan=False), steps=st.none() | st.integers(-(2**40), 2**40))
OUTER = st.builds(
    Outer,
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=20),
    params=st.floats(allow_nan=False),
    limit=st.floats(allow_nan=False),
    count=st.integers(-(2**40), 2**40),
    tied=st.booleans(),
    kind=st.sampled_from(("a", "b")),
    seeds=st.lists(st.integers(0, 9), max_size=3).map(tuple),
    section=INNER,
    maybe=st.none() | INNER,
    shape=st.builds(Cosine, period=st.floats(0, 9)) | st.builds(Ramp, slope=st.floats(0, 9)),
    several=st.lists(INNER, max_size=2).map(tuple),
    extra=st.dictionaries(st.text("abc_", max_size=4), st.floats(allow_nan=False), max_size=2),
)


@settings(max_examples=50, deadline=None)
@given(OUTER)
def test_printed_settings_read_back_the_same(config: Outer) -> None:
    again = build(Outer, yaml.safe_load(to_yaml(config)))
    assert again == config
    assert config_hash(again) == config_hash(config)


def test_printed_settings_carry_their_documentation() -> None:
    text = to_yaml(Outer())
    assert "# A size.\nparams: 1000000000.0\n" in text
    section = """section:
  # Step size.
  rate: 0.5
  # How many; by default until it is good enough.
  #
  # Counted in batches.
  steps: 7
"""
    assert section in text


def test_inherited_fields_are_documented() -> None:
    assert field_docs(Child) == {"params": "A size.", "depth": "Layers."}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-3", 1e-3),
        ("1.3B", 1.3e9),
        ("350M", 3.5e8),
        ("2.3M", 2.3e6),
        ("16k", 16e3),
        ("1.5e2T", 1.5e14),
        ("0.25", 0.25),
    ],
)
def test_sizes_and_exponents_are_numbers(text: str, number: float, tmp_path: Path) -> None:
    assert parse_size(text) == number
    assert resolve(Outer, file=write(tmp_path, f"params: {text}")).params == number
    assert resolve(Outer, flags={"params": text}).params == number
    assert resolve(Outer, assignments=[f"params={text}"]).params == number


def test_a_size_fits_a_whole_number_and_leaves_names_alone() -> None:
    config = build(Outer, {"count": "2.3M", "name": "7B", "several": [{"steps": "4K"}], "extra": {"x": "1M"}})
    assert (config.count, config.name, config.several[0].steps, config.extra["x"]) == (2_300_000, "7B", 4000, 1e6)


@pytest.mark.parametrize("text", ["", "1.3X", "B", "1.2.3M", "one"])
def test_no_size(text: str) -> None:
    with pytest.raises(InputError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"parms": 1}, r"unknown key 'parms' \(did you mean 'params'\?\)"),
        ({"section": {"rat": 1}}, r"unknown key 'section.rat' \(did you mean 'rate'\?\)"),
        ({"maybe": {"stepz": 1}}, "unknown key 'maybe.stepz'"),
        ({"several": [{"rate": 1}, {"rates": 1}]}, "unknown key 'several.1.rates'"),
        ({"shape": {"slope": 1, "slop": 2}}, r"unknown key 'shape.slop' \(did you mean 'slope'\?\)"),
        ({"count": True}, "count: give a number, not true"),
        ({"params": math.nan}, "params: NaN is no setting"),
        ({"count": 1.5}, "count is 1.5: give a whole number"),
        ({"kind": "c"}, "kind is 'c': give 'a' or 'b'"),
        ({"section": 3}, "section: "),
        ({"seeds": ["x"]}, "seeds.0 is 'x': give a whole number"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(data: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build(Outer, data, source="file.yaml")
    assert str(caught.value).startswith("file.yaml: ")
    assert "\n" not in str(caught.value)


def test_missing_settings_are_named() -> None:
    with pytest.raises(InputError, match=r"settings: params has no default: give it .* --set params=VALUE"):
        resolve(Required)
    with pytest.raises(InputError, match="params has no default"):
        resolve(Required, preset_name="smoke")


def test_later_sources_win_and_sections_are_merged(tmp_path: Path) -> None:
    file = write(tmp_path, "count: 5\nsection: {steps: 9}\n")
    config = resolve(
        Outer, preset_name="smoke", file=file, flags={"kind": "b", "name": None}, assignments=["section.rate=0.2"]
    )
    assert (config.count, config.kind, config.name) == (5, "b", "3M")
    assert config.section == Inner(rate=0.2, steps=9)


def test_naming_one_key_of_a_section_keeps_the_others(tmp_path: Path) -> None:
    expected = Inner(rate=0.5, steps=1)
    assert resolve(Outer, assignments=["section.steps=1"]).section == expected
    assert resolve(Outer, file=write(tmp_path, "section: {steps: 1}")).section == expected
    assert resolve(Outer, assignments=["maybe.steps=1"]).maybe == Inner(steps=1)


def test_a_section_of_another_type_replaces_the_default(tmp_path: Path) -> None:
    assert resolve(Outer, file=write(tmp_path, "shape: {slope: 2}")).shape == Ramp(slope=2.0)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("count", "write --set key=value"),
        ("=3", "write --set key=value"),
        ("section..rate=3", "write --set key=value"),
        ("count.x=3", "'count' holds a plain value"),
        ("cuont=3", r"--set: unknown key 'cuont' \(did you mean 'count'\?\)"),
        ("section.rat=3", "--set: unknown key 'section.rat'"),
        ("seeds=[1", "the value is not YAML at line 1"),
    ],
)
def test_a_bad_assignment_is_named(assignment: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(Outer, preset_name="smoke", assignments=[assignment])


def test_override_reads_yaml_values() -> None:
    assert override({}, ["a=1", "b.c=[x, 2]", "d=null", "e=", "f=a=b"]) == {
        "a": 1,
        "b": {"c": ["x", 2]},
        "d": None,
        "e": None,
        "f": "a=b",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: }", "is not YAML at line 2"),
        (b"- 1\n- 2\n", "holds a list: write 'key: value' lines"),
        (b"\xff\xfe\x00", "is not"),
        (b"a: b: c", "is not YAML at line 1"),
    ],
)
def test_a_bad_file_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_yaml(path)
    assert "bad.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_or_missing_file(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, "")) == {}
    with pytest.raises(InputError, match=r"no file '.*gone\.yaml'"):
        read_yaml(tmp_path / "gone.yaml")


def test_presets() -> None:
    assert preset(Outer, "smoke").count == 1
    assert preset(Outer, "gpu") == Outer()
    with pytest.raises(InputError, match=r"unknown preset 'smok' \(did you mean 'smoke'\?\)"):
        preset(Outer, "smok")
    with pytest.raises(InputError, match="params"):
        preset(Required, "smoke")


def test_the_hash_knows_values_not_how_they_were_written() -> None:
    assert config_hash(Outer(params=1000000000)) == config_hash(resolve(Outer, flags={"params": "1B"}))  # type: ignore[arg-type]
    assert config_hash(Outer()) != config_hash(Outer(count=4))
    assert config_hash(Outer()) != config_hash(Outer(limit=1.0))
    assert plain(Outer())["limit"] == "inf"


def test_a_value_of_the_wrong_type_is_named_when_the_record_is_made() -> None:
    with pytest.raises(InputError, match="Outer: count is 'x': give a whole number"):
        plain(Outer(count="x"))  # type: ignore[arg-type]


@config
class Placed:
    """A configuration with two fields that may be given by place."""

    model: str = field(default="reference", kw_only=False)
    """The model."""
    steps: int = field(default=3, kw_only=False)
    """How many."""
    kind: Literal["a", "b"] | None = None
    """Which."""


def test_values_by_place_are_held_to_the_rules_of_their_fields() -> None:
    assert Placed("mine", 4) == Placed(model="mine", steps=4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Placed("mine", True), "Placed: steps: give a number, not true"),
        (lambda: Placed("mine", "four"), "steps is 'four': give a whole number"),
        (lambda: Placed("mine", 1, "a"), r"takes 2 values by place \(model, steps\), not 3: give the others by name"),
        (lambda: Placed("mine", model="yours"), "'model' is given by place and by name: give it once"),
        (lambda: Placed(kind="c"), "^kind is 'c': give 'a' or 'b'$"),
    ],
)
def test_wrong_values_from_python_are_refused_in_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """A section that had another name in 0.1."""

    optimizer: Inner = field(default_factory=Inner)
    """Of the optimizer."""


def test_a_former_name_in_set_keeps_the_rest_of_its_section(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("optimizer: {steps: 7}\n", encoding="utf-8")
    for name in ("optimizer", "optimiser"):
        found = resolve(Renamed, file=path, assignments=[f"{name}.rate=0.3"])
        assert found.optimizer == Inner(rate=0.3, steps=7)
