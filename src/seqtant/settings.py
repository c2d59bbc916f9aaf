"""Configurations: frozen dataclasses validated at one door, from Python, YAML, presets, flags and ``--set`` alike."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import inspect
import itertools
import json
import math
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar, dataclass_transform

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from seqtant.boundary import RENAMED, fit, union_members
from seqtant.errors import InputError, suggest
from seqtant.findings import Scale

C = TypeVar("C")
T = TypeVar("T")

Share = Annotated[float, Field(gt=0, lt=1)]
"""A number strictly between 0 and 1."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A finite number."""
Count = Annotated[int, Field(ge=1)]
"""A whole number of at least 1."""


class Listed:
    """Marks a field whose flag takes one text, such as ``0,1,2``, that a validator of its own turns into values."""


def _split(value: Any) -> Any:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


Numbers = Annotated[tuple[int, ...], Listed(), BeforeValidator(_split)]
"""Whole numbers, or a text such as ``0,1,2``."""
Names = Annotated[tuple[str, ...], Listed(), BeforeValidator(_split)]
"""Names, or a text such as ``plain,purpose``."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field,))
def config(cls: type[T]) -> type[T]:
    """Makes a class a configuration: a frozen dataclass whose every construction is validated.

    Fields are keyword-only, save those declared with ``dataclasses.field(default=..., kw_only=False)``. Wrong names and
    values raise :class:`InputError` in one line, wherever they come from.
    """
    made: Any = pydantic_dataclass(
        frozen=True,
        kw_only=True,
        config=ConfigDict(extra="forbid", arbitrary_types_allowed=True, validate_default=True),
    )(cls)
    validate = made.__init__
    by_place = [field.name for field in dataclasses.fields(made) if not field.kw_only]

    @functools.wraps(validate)
    def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: N807  (it is the class's own)
        if len(args) > len(by_place):
            several = f"{len(by_place)} values by place ({', '.join(by_place)})" if by_place else "no value by place"
            raise InputError(f"{made.__name__} takes {several}, not {len(args)}: give the others by name")
        given = dict(zip(by_place, args, strict=False))
        if twice := given.keys() & values.keys():
            raise InputError(f"{made.__name__}: '{min(twice)}' is given by place and by name: give it once")
        # pydantic alone reads true as 1, lets NaN pass and knows no "1.3B".
        ready = fit(made, given | values, made.__name__)
        try:
            validate(self, **ready)
        except ValidationError as error:
            raise InputError(_one_line(error, "")) from error

    made.__init__ = __init__
    return made


@config
class VerbConfig:
    """What every verb takes besides its own settings; none of it changes what is measured, only where and how."""

    verb: ClassVar[str] = ""
    """Which verb this configures, e.g. ``steering.choose``."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of every random draw."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps`` for training."""
    out: Path | None = None
    """Folder for artifacts and checkpoints; None keeps nothing."""
    progress: Any = None
    """Where long work reports, see :mod:`seqtant.progress`; None is silent."""

    @classmethod
    def smoke(cls) -> Self:
        """The settings that show the course of things within seconds."""
        return preset(cls, "smoke")

    @classmethod
    def cpu(cls) -> Self:
        """The settings for a few CPU cores."""
        return preset(cls, "cpu")

    @classmethod
    def gpu(cls) -> Self:
        """The settings for one accelerator."""
        return preset(cls, "gpu")


CIRCUMSTANCES = frozenset({"seed", "device", "out", "progress"})
"""Fields that are no part of what is measured: left out of records, hashes and files."""

PRESETS: tuple[Scale, ...] = typing.get_args(Scale)
_GIVEN = "settings"
"""What messages call that which comes from flags, files and presets together."""


def parse_yaml(text: str, source: str) -> Any:
    """Reads YAML data of any shape; None for an empty text."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{source} is not YAML{place}: {reason}") from error
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        # Text that is YAML, but names what cannot be made: a month 13, a tag without a value, nesting without end.
        raise InputError(f"{source} is YAML that means nothing: {type(error).__name__}: {error!s:.100}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping."""
    if not path.is_file():
        raise InputError(f"no file '{path}': give an existing YAML file")
    try:
        data = parse_yaml(path.read_text(encoding="utf-8-sig"), f"'{path}'")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not text in UTF-8: give a YAML file") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"'{path}' holds a {type(data).__name__}: write 'key: value' lines")
    return data


def override(data: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Applies ``a.b=value`` assignments to a nested mapping; values are YAML.

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
        for name in sections:
            section = name if name in target else RENAMED.get(name, name)
            if target.get(section) is None:
                target[section] = {}
            target = target[section]
            if not isinstance(target, dict):
                raise InputError(f"--set {assignment}: '{section}' holds a plain value, not a section")
        last = last if last in target else RENAMED.get(last, last)
        target[last] = parse_yaml(value, f"--set {assignment}: the value")
    return data


def build(kind: type[C], data: Mapping[str, Any], *, source: str = "configuration") -> C:
    """Makes a configuration of a dataclass type from plain data.

    Args:
        kind: A frozen dataclass.
        data: Nested mapping of its fields; sizes may be written ``"1.3B"``.
        source: What to call the data in messages, e.g. a file name.
    """
    ready = fit(kind, dict(data), source)
    try:
        return _adapter(kind).validate_python(ready)
    except ValidationError as error:
        raise InputError(_one_line(error, source)) from error


def _one_line(error: ValidationError, source: str) -> str:
    """The first fault of a validation as one line: where, what it is, what to give."""
    first = error.errors()[0]
    # Members of a union and validators stand in the place too: "function-before", "literal['a','b']".
    where = ".".join(str(part) for part in first["loc"] if not re.search(r"^function-|[\[(]", str(part)))
    kind, got, bounds = first["type"], first["input"], first.get("ctx") or {}
    reason = first["msg"].removeprefix("Value error, ")
    given = f" is {got!r:.80}" if where else ""
    if kind == "missing" and source == _GIVEN:
        given = f" has no default: give it by its flag, with --set {where}=VALUE or in a configuration file"
        return f"{source}: {where}{given}"
    if kind == "missing":
        return _joined(source, f"{where} has no default: give it")
    if kind in _WANTED:
        return _joined(source, f"{where}{given}: give {_WANTED[kind].format(**bounds)}")
    if kind == "value_error":
        return _joined(source, f"{where}: {reason}" if where and where not in reason else reason)
    return _joined(source, f"{where}: {reason} (got {got!r:.80})")


def _joined(source: str, text: str) -> str:
    return f"{source}: {text}" if source else text


_WANTED = {
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "finite_number": "a finite number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "literal_error": "{expected}",
    "string_type": "a text",
}
"""What to give, by pydantic's type of fault."""


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def preset(kind: type[C], name: str) -> C:
    """The preset ``smoke``, ``cpu`` or ``gpu`` of a configuration type; its defaults where it has no such preset."""
    if name not in PRESETS:
        raise InputError(f"unknown preset '{name}'{suggest(name, PRESETS)}: use smoke, cpu or gpu")
    data = _preset_data(kind, name) if issubclass(kind, VerbConfig) else None
    if not issubclass(kind, VerbConfig) and hasattr(kind, name):
        return getattr(kind, name)()
    return build(kind, data or {}, source=f"preset {name}")


def _preset_data(kind: type[VerbConfig], name: str) -> dict[str, Any] | None:
    """What ``presets.yaml`` beside the configuration's module holds for its verb at a scale."""
    package = kind.__module__.rpartition(".")[0]
    path = files(package) / "presets.yaml"
    if not path.is_file():
        return None
    verb = kind.verb.partition(".")[2]
    return (_presets(str(path)).get(verb) or {}).get(name)


@cache
def _presets(path: str) -> dict[str, Any]:
    return read_yaml(Path(path))


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
    """
    # Default sections as plain data, so that naming one key of a section does not reset its others.
    data: dict[str, Any] = {}
    fields: Any = dataclasses.fields(kind)  # type: ignore[arg-type]
    for field in fields:
        made = field.default_factory is not dataclasses.MISSING
        default = field.default_factory() if made else field.default
        if dataclasses.is_dataclass(default):
            data[field.name] = plain(default)
    if preset_name is not None:
        if preset_name not in PRESETS:
            preset(kind, preset_name)  # refuses the name
        if issubclass(kind, VerbConfig):
            found = fit(kind, _preset_data(kind, preset_name) or {}, f"preset {preset_name}")
        else:
            found = plain(preset(kind, preset_name)) if hasattr(kind, preset_name) else {}
        data = _merge(kind, data, found)
    if file is not None:
        data = _merge(kind, data, fit(kind, read_yaml(file), str(file)))
    data = _merge(kind, data, {key: value for key, value in (flags or {}).items() if value is not None})
    if assignments:
        fit(kind, override({}, assignments), "--set")
        data = override(data, assignments)
    return build(kind, data, source=_GIVEN)


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
    """Writes a configuration as plain JSON data, the same for 3 and 3.0 in a float field.

    Infinity becomes the text ``inf``; what is in memory becomes its description; seed, device, folder and progress are
    no part of it.
    """
    adapter = _adapter(type(config))
    left_out = CIRCUMSTANCES if isinstance(config, VerbConfig) else frozenset[str]()
    dumped = adapter.dump_python(config, mode="json", warnings=False, exclude=set(left_out) or None)
    if not isinstance(config, VerbConfig):
        # A plain dataclass was never validated: its values are, once, on the way out.
        try:
            # Validation turns 3 into 3.0 in a float field, so that equal settings have equal hashes.
            dumped = adapter.dump_python(adapter.validate_python(dumped), mode="json")
        except ValidationError as error:
            raise InputError(_one_line(error, type(config).__name__)) from error
    return _infinities_as_text(dumped)


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
    return hash_of(plain(config))


def hash_of(data: Mapping[str, Any]) -> str:
    """Hashes plain data, see :func:`config_hash`."""
    # Canonical: one text per content, whatever the order of the keys.
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def assignments(config: Any, data: Mapping[str, Any] | None = None) -> list[str]:
    """What must be given to ``--set`` to make this configuration: all that differs from the defaults of its type.

    Args:
        config: The configuration.
        data: What :func:`seqtant.settings.plain` made of it, where that is at hand.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Chosen:
        ...     budget: float = 0.05
        ...     layers: tuple[int, ...] = ()
        >>> assignments(Chosen(layers=(2, 3)))
        ['layers=[2, 3]']
    """
    missing = dataclasses.MISSING
    fields = dataclasses.fields(config)
    needed = {field.name for field in fields if field.default is missing and field.default_factory is missing}
    usual = plain(type(config)(**{name: getattr(config, name) for name in needed}))
    usual = {name: value for name, value in usual.items() if name not in needed}
    changes = _changes(plain(config) if data is None else data, usual)
    return [f"{name}={_inline(value)}" for name, value in changes]


def _changes(data: Mapping[str, Any], usual: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        before = usual.get(key, dataclasses.MISSING)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            yield from _changes(value, before, f"{prefix}{key}.")
        elif value != before:
            yield f"{prefix}{key}", value


def _inline(value: Any) -> str:
    """A value as YAML on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False).removesuffix("\n...\n").rstrip()


def field_docs(kind: type) -> dict[str, str]:
    """The docstrings written under a dataclass's fields, inherited ones too, by field name."""
    docs: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(each):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
        for field, after in itertools.pairwise(typing.cast(ast.ClassDef, tree.body[0]).body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
                docs[field.target.id] = inspect.cleandoc(ast.literal_eval(after.value))
    return docs


def to_yaml(config: Any, indent: str = "") -> str:
    """A configuration as YAML with the fields' docstrings as comments: a file to edit and give back."""
    lines: list[str] = []
    docs = field_docs(type(config))
    data = plain(config)
    for field in dataclasses.fields(config):
        if field.name not in data:  # seed, device and the like
            continue
        lines += [f"{indent}# {line}".rstrip() for line in docs.get(field.name, "").splitlines()]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            lines += [f"{indent}{field.name}:", to_yaml(value, indent + "  ").rstrip()]
        else:
            written = data[field.name]
            line = f"{field.name}: {_inline(written)}"
            if not isinstance(written, dict | list) or "\n" in line:
                whole = {field.name: written}
                line = yaml.safe_dump(whole, default_flow_style=False, width=10**6, sort_keys=False).rstrip("\n")
            lines.append(textwrap.indent(line, indent))
    return "\n".join(lines) + "\n"
