"""Plain data held against the types of a dataclass before pydantic sees it.

Pydantic alone drops unknown keys of a plain dataclass, reads ``true`` as the number 1, lets NaN pass and knows no
``1.3B``. Here unknown keys are refused by name, the rest is refused or turned into numbers.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from seqtant.errors import InputError, suggest

_SIZE = re.compile(r"^\s*([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)\s*([KMBT])\s*$", re.IGNORECASE)
RENAMED = {
    "behaviour": "behavior",
    "magnetisation": "magnetization",
    "optimisation": "optimization",
    "optimiser": "optimizer",
    "symmetrise": "symmetrize",
}
"""Settings and flags under the names they had in 0.1, which are read until 0.3."""

_FACTORS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def parse_size(text: str | float) -> float:
    """Reads a size such as ``1.3e9``, ``"1.3B"`` or ``"350M"``.

    Example:
        >>> parse_size("1.5B"), parse_size("2e6"), parse_size("2.3M")
        (1500000000.0, 2000000.0, 2300000.0)
    """
    if not isinstance(text, str):
        return float(text)
    match = _SIZE.match(text)
    try:
        # Decimal, because 2.3 * 1e6 in floats is not a whole number and would not fit an integer field.
        return float(Decimal(match[1]) * _FACTORS[match[2].upper()]) if match else float(text)
    except ValueError:
        raise InputError(f"'{text}' is not a size: write 1.3e9, 1.3B or 350M") from None


def size_text(size: float) -> str:
    """Writes a size as :func:`parse_size` reads it, to three digits.

    Example:
        >>> size_text(1.3e9), size_text(174e9), size_text(1205888), size_text(950)
        ('1.3B', '174B', '1.21M', '950')
    """
    letter = next((letter for letter in reversed(_FACTORS) if size >= _FACTORS[letter]), "")
    return f"{float(f'{size / _FACTORS.get(letter, 1):.3g}'):g}{letter}"


def union_members(hint: Any) -> list[Any]:
    """The types a value may have: a union taken apart, annotations dropped."""
    if typing.get_origin(hint) is typing.Annotated:
        return union_members(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [member for part in typing.get_args(hint) for member in union_members(part)]
    return [hint]


def marked(hint: Any, *marks: str) -> bool:
    """Whether a type or a member of a union is annotated with an object of a class of one of these names."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(marked(member, *marks) for member in typing.get_args(hint))
    return any(type(mark).__name__ in marks for mark in getattr(hint, "__metadata__", ()))


def fit(hint: Any, value: Any, source: str, key: str = "") -> Any:
    """Makes plain data ready for pydantic's validation against a type.

    Args:
        hint: The type the data is meant for.
        value: YAML or JSON data.
        source: What to call the data in messages, e.g. a file name.
        key: Dotted name of the value within the source.
    """
    if marked(hint, "InMemory"):  # what is in memory passes as it is
        return value
    members = union_members(hint)
    if isinstance(value, Mapping):
        kinds = [member for member in members if dataclasses.is_dataclass(member)]
        if kinds:
            # The dataclass that knows most of the keys.
            hints = max(map(_hints, kinds), key=lambda each: sum(name in each for name in value))
            prefix = f"{key}." if key else ""
            data: dict[Any, Any] = {
                name if name in hints else RENAMED.get(name, name): item for name, item in value.items()
            }
            if unknown := [name for name in data if name not in hints]:
                raise InputError(f"{source}: unknown key '{prefix}{unknown[0]}'{suggest(str(unknown[0]), hints)}")
            return {name: fit(hints[name], item, source, f"{prefix}{name}") for name, item in data.items()}
        arguments = [typing.get_args(member) for member in members if typing.get_origin(member) in (dict, Mapping)]
        inner = arguments[0][1] if arguments and len(arguments[0]) == 2 else Any
        return {name: fit(inner, item, source, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        items = [(_element(members, place), item) for place, item in enumerate(value)]
        return [fit(element, item, source, f"{key}.{place}") for place, (element, item) in enumerate(items)]
    choices = [typing.get_args(member) for member in members if typing.get_origin(member) is typing.Literal]
    numbers = any(all(isinstance(each, int) for each in choice) for choice in choices)
    numeric = int in members or float in members or numbers
    # bool is a subclass of int, so pydantic would read true as 1.
    if numeric and isinstance(value, bool) and bool not in members:
        raise InputError(f"{source}: {key}: give a number, not {str(value).lower()}")
    if isinstance(value, float) and math.isnan(value):
        raise InputError(f"{source}: {key}: NaN is no setting: give a number or leave the key out")
    if numeric and str not in members and isinstance(value, str) and _SIZE.match(value):
        return parse_size(value)
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    named = {field.name for field in dataclasses.fields(kind)}
    return {name: hint for name, hint in typing.get_type_hints(kind, include_extras=True).items() if name in named}


def _element(members: Sequence[Any], place: int) -> Any:
    """The type of one element of a list or tuple type."""
    for member in members:
        arguments = [each for each in typing.get_args(member) if each is not Ellipsis]
        if typing.get_origin(member) in (list, tuple, Sequence) and arguments:
            # A tuple of fixed length has a type per place; a list, or tuple[T, ...], has its only type at every place.
            return arguments[min(place, len(arguments) - 1)]
    return Any
