"""Refuses settings outside their range, naming each."""

from __future__ import annotations

from seqtant.errors import InputError


def at_least(least: int, **fields: int) -> None:
    """Whole numbers with a least value.

    Raises:
        InputError: One is below it.
    """
    for name, value in fields.items():
        if value < least:
            raise InputError(f"{name} is {value}: give a whole number of at least {least}")


def share(**fields: float) -> None:
    """Numbers strictly between 0 and 1.

    Raises:
        InputError: One is not.
    """
    for name, value in fields.items():
        if not 0 < value < 1:
            raise InputError(f"{name} is {value}: give a number between 0 and 1, both excluded")
