"""Settings of the pendulum."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar

from pydantic import Field

from seqtant.settings import VerbConfig, config


@config
class Clock:
    """The clock that times the swings."""

    error: float = 0.01
    """Standard error of one timing, seconds."""
    digits: int | None = None
    """Digits it shows; by default all."""


@config
class PendulumConfig(VerbConfig):
    """Time a pendulum."""

    verb: ClassVar[str] = "demo.pendulum"
    length: Annotated[float, Field(gt=0, lt=1e4)] = 1.0
    """Length, meters."""
    angle: float = 5.0
    """Amplitude, degrees."""
    swings: int = 20
    """Timed swings per start."""
    starts: int = 6
    """Independent starts."""
    clock: Clock = field(default_factory=Clock)
    """How the swings are timed."""
