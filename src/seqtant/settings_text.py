"""Configurations as text: YAML that explains itself, and what to give to ``--set`` to make the same one again."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from seqtant.settings import plain


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
