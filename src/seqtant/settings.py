"""Configurations: YAML, presets and dotted overrides into frozen dataclasses, with unknown keys refused by name."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import json
import re
import textwrap
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from seqtant.errors import InputError, suggest

C = TypeVar("C")
_SIZE = re.compile(r"^\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([KMBT])\s*$", re.IGNORECASE)
_FACTORS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def parse_size(text: str | float) -> float:
    """Reads a size such as ``1.3e9``, ``"1.3B"`` or ``"350M"``.

    Raises:
        InputError: The text is no number.

    Example:
        >>> parse_size("1.5B"), parse_size("2e6")
        (1500000000.0, 2000000.0)
    """
    if not isinstance(text, str):
        return float(text)
    match = _SIZE.match(text)
    try:
        return float(match[1]) * _FACTORS[match[2].lower()] if match else float(text)
    except ValueError:
        raise InputError(f"'{text}' is not a size: write 1.3e9, 1.3B or 350M") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping.

    Raises:
        InputError: The file is missing, is not YAML, or holds no mapping.
    """
    if not path.is_file():
        raise InputError(f"no file '{path}': give an existing YAML file")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"'{path}' is not YAML: {first}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"'{path}' holds a {type(data).__name__}: write 'key: value' lines")
    return data


def override(data: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Applies ``a.b=value`` assignments to a nested mapping; values are YAML.

    Raises:
        InputError: An assignment has no ``=``, or goes through a plain value.

    Example:
        >>> override({"model": {"depth": 2}}, ["model.depth=4", "seeds=[0, 1]"])
        {'model': {'depth': 4}, 'seeds': [0, 1]}
    """
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise InputError(f"--set {assignment}: write --set key=value or --set section.key=value")
        *sections, last = key.split(".")
        target = data
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise InputError(f"--set {assignment}: '{section}' holds a plain value, not a section")
        target[last] = yaml.safe_load(value)
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
    _refuse_unknown(kind, data, source, "")
    try:
        return TypeAdapter(kind).validate_python(_sizes_to_numbers(dict(data)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        place = f"{source}: {where}" if where else source
        raise InputError(f"{place}: {reason}" + _got(first)) from error


def _got(error: Any) -> str:
    if error["type"] in {"value_error", "missing"}:
        return ""
    return f" (got {error['input']!r})"


def _refuse_unknown(kind: type, data: Mapping[str, Any], source: str, prefix: str) -> None:
    hints = typing.get_type_hints(kind)
    for key, value in data.items():
        if key not in hints:
            raise InputError(f"{source}: unknown key '{prefix}{key}'{suggest(str(key), hints)}")
        if isinstance(value, Mapping) and dataclasses.is_dataclass(hints[key]):
            _refuse_unknown(typing.cast(type, hints[key]), value, source, f"{prefix}{key}.")


def _sizes_to_numbers(value: Any) -> Any:
    if isinstance(value, str) and _SIZE.match(value):
        return parse_size(value)
    if isinstance(value, dict):
        return {key: _sizes_to_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sizes_to_numbers(item) for item in value]
    return value


def preset(kind: type[C], name: str) -> C:
    """The preset ``smoke``, ``cpu`` or ``gpu`` of a configuration type; its defaults where it has no such preset.

    Raises:
        InputError: The preset has another name.
    """
    if name not in {"smoke", "cpu", "gpu"}:
        raise InputError(f"unknown preset '{name}'{suggest(name, ['smoke', 'cpu', 'gpu'])}: use smoke, cpu or gpu")
    return getattr(kind, name, kind)()


def resolve(
    kind: type[C],
    *,
    preset_name: str | None = None,
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
) -> C:
    """Resolves a configuration: defaults or preset, then the YAML file, then flags, then ``--set``.

    Flags whose value is None were not given and are left out.
    """
    data = plain(preset(kind, preset_name)) if preset_name else {}
    if file is not None:
        data.update(read_yaml(file))
    data.update({key: value for key, value in (flags or {}).items() if value is not None})
    override(data, assignments)
    return build(kind, data, source=str(file) if file else kind.__name__)


def plain(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON data."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")


def config_hash(config: Any) -> str:
    """SHA-256 of the canonical JSON of a configuration, 16 hexadecimal digits."""
    text = json.dumps(plain(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def field_docs(kind: type) -> dict[str, str]:
    """The docstrings written under a dataclass's fields, by field name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    body = typing.cast(ast.ClassDef, tree.body[0]).body
    docs: dict[str, str] = {}
    for field, after in zip(body, body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            docs[field.target.id] = inspect.cleandoc(ast.literal_eval(after.value))
    return docs


def to_yaml(config: Any, indent: str = "") -> str:
    """A configuration as YAML with the fields' docstrings as comments: a file to edit and give back."""
    lines: list[str] = []
    docs = field_docs(type(config))
    data = plain(config)
    for field in dataclasses.fields(config):
        lines += [f"{indent}# {line}" for line in docs.get(field.name, "").splitlines()]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            lines += [f"{indent}{field.name}:", to_yaml(value, indent + "  ").rstrip()]
        else:
            dumped = yaml.safe_dump(data[field.name], default_flow_style=True, width=10**6)
            lines.append(f"{indent}{field.name}: {dumped.splitlines()[0]}")
    return "\n".join(lines) + "\n"
