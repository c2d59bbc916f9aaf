"""Configurations: YAML, presets and dotted overrides into frozen dataclasses, with unknown keys refused by name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from seqtant.boundary import fit, union_members
from seqtant.errors import InputError, suggest
from seqtant.findings import Scale

C = TypeVar("C")
PRESETS: tuple[Scale, ...] = typing.get_args(Scale)
_GIVEN = "settings"
"""What messages call that which comes from flags, files and presets together."""


def parse_yaml(text: str, source: str) -> Any:
    """Reads YAML data of any shape; None for an empty text.

    Raises:
        InputError: The text is not YAML; the message names ``source`` and the line.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{source} is not YAML{place}: {reason}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping.

    Raises:
        InputError: The file is missing, is not YAML, or holds no mapping.
    """
    if not path.is_file():
        raise InputError(f"no file '{path}': give an existing YAML file")
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"), f"'{path}'")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not text in UTF-8: give a YAML file") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"'{path}' holds a {type(data).__name__}: write 'key: value' lines")
    return data


def override(data: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Applies ``a.b=value`` assignments to a nested mapping; values are YAML.

    Raises:
        InputError: An assignment has no ``=``, goes through a plain value, or its value is not YAML.

    Example:
        >>> override({"model": {"depth": 2}}, ["model.depth=4", "seeds=[0, 1]"])
        {'model': {'depth': 4}, 'seeds': [0, 1]}
    """
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not all(key.split(".")):
            raise InputError(f"--set {assignment}: write --set key=value or --set section.key=value")
        *sections, last = key.split(".")
        target = data
        for section in sections:
            if target.get(section) is None:
                target[section] = {}
            target = target[section]
            if not isinstance(target, dict):
                raise InputError(f"--set {assignment}: '{section}' holds a plain value, not a section")
        target[last] = parse_yaml(value, f"--set {assignment}: the value")
    return data


def build(kind: type[C], data: Mapping[str, Any], *, source: str = "configuration") -> C:
    """Makes a configuration of a dataclass type from plain data.

    Args:
        kind: A frozen dataclass.
        data: Nested mapping of its fields; sizes may be written ``"1.3B"``.
        source: What to call the data in messages, e.g. a file name.

    Raises:
        InputError: A key is unknown or a value does not fit; the message names it.
    """
    ready = fit(kind, dict(data), source)
    try:
        return _adapter(kind).validate_python(ready)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing" and source == _GIVEN:
            reason = f"it has no default: give it by its flag, with --set {where}=VALUE or in a configuration file"
        place = f"{source}: {where}" if where else source
        raise InputError(f"{place}: {reason}" + _got(first)) from error


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _got(error: Any) -> str:
    if error["type"] in {"value_error", "missing"}:
        return ""
    return f" (got {error['input']!r})"


def preset(kind: type[C], name: str) -> C:
    """The preset ``smoke``, ``cpu`` or ``gpu`` of a configuration type; its defaults where it has no such preset.

    Raises:
        InputError: The preset has another name, or the type has neither that preset nor a default for every field.
    """
    if name not in PRESETS:
        raise InputError(f"unknown preset '{name}'{suggest(name, PRESETS)}: use smoke, cpu or gpu")
    return getattr(kind, name)() if hasattr(kind, name) else build(kind, {}, source=f"preset {name}")


def resolve(
    kind: type[C],
    *,
    preset_name: str | None = None,
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
) -> C:
    """Resolves a configuration: defaults or preset, then the YAML file, then flags, then ``--set``.

    A nested section is merged key by key: what a later source does not name keeps its earlier value. Flags whose value
    is None were not given and are left out.

    Raises:
        InputError: A source cannot be read, has an unknown key, or a value does not fit.
    """
    data = _section_defaults(kind)
    if preset_name is not None and (preset_name not in PRESETS or hasattr(kind, preset_name)):
        data = plain(preset(kind, preset_name))
    if file is not None:
        data = _merge(kind, data, fit(kind, read_yaml(file), str(file)))
    data = _merge(kind, data, {key: value for key, value in (flags or {}).items() if value is not None})
    if assignments:
        fit(kind, override({}, assignments), "--set")
        data = override(data, assignments)
    return build(kind, data, source=_GIVEN)


def _section_defaults(kind: Any) -> dict[str, Any]:
    """Default sections as plain data, so that naming one key of a section does not reset its others."""
    sections: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if dataclasses.is_dataclass(default):
            sections[field.name] = plain(default)
    return sections


def _merge(kind: Any, base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """``new`` over ``base``; sections of one dataclass type are merged, everything else is replaced."""
    hints = typing.get_type_hints(kind, include_extras=True)
    merged = dict(base)
    for key, value in new.items():
        kinds = [member for member in union_members(hints.get(key)) if dataclasses.is_dataclass(member)]
        mappings = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(kinds[0], merged[key], value) if mappings and len(kinds) == 1 else value
    return merged


def plain(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON data, the same for 3 and 3.0 in a float field; infinity becomes the text ``inf``.

    Raises:
        InputError: A value does not fit its field.
    """
    adapter = _adapter(type(config))
    dumped = adapter.dump_python(config, mode="json", warnings=False)
    try:
        return _infinities_as_text(adapter.dump_python(adapter.validate_python(dumped), mode="json"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{type(config).__name__}: {where}: {first['msg']} (got {first['input']!r})") from error


def _infinities_as_text(value: Any) -> Any:
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _infinities_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_infinities_as_text(item) for item in value]
    return value


def config_hash(config: Any) -> str:
    """SHA-256 of the canonical JSON of a configuration, 16 hexadecimal digits."""
    text = json.dumps(plain(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
