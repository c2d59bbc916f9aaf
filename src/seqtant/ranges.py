"""Numbers of a configuration held against the range in which they mean something; None is a number not given."""

from __future__ import annotations

import math

from seqtant.errors import InputError


def at_least(least: int, **fields: int | None) -> None:
    """Refuses whole numbers below a least one.

    Raises:
        InputError: A number lies below it.

    Example:
        >>> at_least(1, width=64, heads=None)
    """
    for name, value in fields.items():
        if value is not None and not value >= least:
            raise InputError(f"{name} is {value}: give a whole number of at least {least}")


def at_most(most: int, **fields: int | None) -> None:
    """Refuses whole numbers above a largest one.

    Raises:
        InputError: A number lies above it.
    """
    for name, value in fields.items():
        if value is not None and not value <= most:
            raise InputError(f"{name} is {value}: give at most {most}")


def between(low: float, high: float, **fields: float | None) -> None:
    """Refuses numbers outside an interval, whose ends are allowed.

    Raises:
        InputError: A number lies outside.
    """
    for name, value in fields.items():
        if value is not None and not low <= value <= high:
            raise InputError(f"{name} is {value}: give a number from {low:g} to {high:g}")


def fraction(**fields: float | None) -> None:
    """Refuses what is not strictly between 0 and 1.

    Raises:
        InputError: A number is not.
    """
    for name, value in fields.items():
        if value is not None and not 0 < value < 1:
            raise InputError(f"{name} is {value}: give a number between 0 and 1, both excluded")


def positive(**fields: float | None) -> None:
    """Refuses what is not a finite number above 0.

    Raises:
        InputError: A number is not.
    """
    for name, value in fields.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value}: give a finite number above 0")
