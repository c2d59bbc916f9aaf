"""Errors that a user can act on: each names the input, what is wrong with it, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SeqtantError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


class InputError(SeqtantError, ValueError):
    """The user's input cannot be used; the message is one line that says what to do."""

    exit_code = 2


class MissingExtraError(InputError):
    """An optional library is not installed; the message holds the line that installs it."""


class NothingToSayError(SeqtantError):
    """An instrument has nothing to say about this model; the message says what to give."""


class GateError(SeqtantError):
    """A gate or a claim failed: the run is sound, the verdict is bad news."""


class InconclusiveError(SeqtantError):
    """Not enough data for a verdict."""

    exit_code = 3


class TrainingError(SeqtantError):
    """Training cannot go on (a loss that is not finite, a checkpoint of another run)."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Returns ``" (did you mean 'x'?)"`` for the nearest known word, or an empty string.

    Example:
        >>> suggest("dept", ["depth", "width"])
        " (did you mean 'depth'?)"
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""
